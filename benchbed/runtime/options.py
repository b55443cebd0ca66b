"""Where and how to run: nothing in here changes a result, but for `mixed` where a machine or version changed."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple
from uuid import uuid4

import torch

from .parallel import ALONE, Group
from .progress import Reporter
from .watch import Finish, Track


def anew() -> str:
    """A word for one call under `--force`; of one process of several it is the first one's that counts."""
    return uuid4().hex


class RunOptions(NamedTuple):
    """Where and how to run. None of it is configuration: a result's identity does not depend on it."""

    out: Path
    device: torch.device
    force: str | None = None  # a call's own word (`anew`): what it has not begun anew yet, it does; None: goes on
    reporter: Reporter = Reporter(quiet=True)
    group: Group = ALONE
    snapshots: tuple[int, ...] = ()  # numbers of epochs after which a search's state is kept
    wait: bool = False  # for a process that holds a folder of this run, in place of a refusal
    track: Track | None = None  # who follows a run, from its beginning to its record
    checkpoint_steps: int | None = None  # a training is saved within an epoch after every so many of its steps
    mixed: bool = False  # go on with a stage that was begun on another machine, torch, commit or number of threads

    @contextmanager
    def tracked(self, folder: Path, config: Mapping[str, Any], search: Path | None = None) -> Iterator[Finish]:
        """Follows what is made in `folder`, and in its `search`; gives what takes the record. None follow what is done.

        Of several processes the leader alone is followed.
        """
        done = (folder / "record.json").exists() and not self.force
        if self.track is None or done or not self.group.leader:
            yield lambda record: None
            return
        with self.track(folder, config, search) as finish:
            yield finish
