"""Where and how to run: nothing in here changes a result, but for `mixed` where a machine or version changed."""

from pathlib import Path
from typing import NamedTuple

import torch

from .parallel import ALONE, Group
from .progress import Reporter


class RunOptions(NamedTuple):
    """Where and how to run. None of it is configuration: a result's identity does not depend on it."""

    out: Path
    device: torch.device
    force: bool = False
    reporter: Reporter = Reporter(quiet=True)
    group: Group = ALONE
    snapshots: tuple[int, ...] = ()  # numbers of epochs after which a search's state is kept
    wait: bool = False  # for a process that holds a folder of this run, in place of a refusal
    mixed: bool = False  # go on with a stage that was begun on another machine, torch, commit or number of threads
