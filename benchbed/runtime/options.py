"""Where and how to run: nothing in here changes a result."""

from pathlib import Path
from typing import NamedTuple

import torch

from .parallel import ALONE, Group
from .progress import Reporter


class RunOptions(NamedTuple):
    """What does not change a result: where and how to run."""

    out: Path
    device: torch.device
    force: bool = False
    reporter: Reporter = Reporter(quiet=True)
    group: Group = ALONE
    snapshots: tuple[int, ...] = ()  # numbers of epochs after which a search's state is kept
    wait: bool = False  # for a process that holds a folder of this run, in place of a refusal
