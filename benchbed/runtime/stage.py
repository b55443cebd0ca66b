"""The loop of a stage that may be killed and goes on: what was saved, the seconds so far, a save after each step."""

import time
from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar

import torch

from .folder import Folder, Tree
from .parallel import ALONE, Group
from .segments import StageName, continued, segment

T = TypeVar("T")


class Where(NamedTuple):
    """What a stage's segments are of, and whether it goes on where it was begun under what may give other bits."""

    stage: StageName
    unit: str
    device: torch.device
    mixed: bool = False
    group: Group = ALONE


class Stage:
    """A stage in its folder. saved: the tree of an earlier start's last `save`, or None; seconds: of all its steps.

    Without a folder nothing is saved: the stage is short, and begins again. clock: what the seconds are of. With
    `where` it keeps segments (`benchbed.runtime.segments`), the last of which is this process's, from `begin` on.
    """

    def __init__(
        self, folder: Folder | None, clock: Callable[[], float] = time.perf_counter, where: Where | None = None
    ):
        self.folder, self.clock, self.where = folder, clock, where
        self.segments: list[dict[str, Any]] = []
        self.saved: Tree | None = None if folder is None else folder.load()
        self.seconds = 0.0 if self.saved is None else float(self.saved["seconds"])

    def begin(self, done: int) -> None:
        """From here on this process computes, after `done` epochs or steps of earlier ones.

        Raises BenchbedError where those were computed under what may give other bits, and not `mixed`.
        """
        if self.where is not None and (folder := self.folder) is not None:
            of, saved = self.where, self.saved
            now = segment(of.stage, of.unit, done, of.device)
            self.segments = of.group.from_leader(lambda: continued(folder.path, saved, now, of.mixed))

    def reached(self, done: int) -> None:
        """So many epochs or steps are done now."""
        if self.segments:
            self.segments[-1]["stop"] = done

    def timed(self, step: Callable[[], T]) -> T:
        """What the step gives; its seconds are added."""
        began = self.clock()
        result = step()
        self.seconds += self.clock() - began
        return result

    def save(self, tree: Tree, line: dict[str, Any] | None = None) -> None:
        """Appends the line to the history, and replaces the checkpoint by the tree and the seconds."""
        if self.folder is not None:
            if line is not None:
                self.folder.log(line)
            kept = {"segments": self.segments} if self.segments else {}
            self.folder.save({**tree, "seconds": self.seconds, **kept})
