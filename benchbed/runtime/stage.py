"""The loop of a stage that may be killed and goes on: what was saved, the seconds so far, a save after each step."""

import time
from collections.abc import Callable
from typing import Any, TypeVar

from .folder import Folder, Tree

T = TypeVar("T")


class Stage:
    """A stage in its folder. saved: the tree of an earlier start's last `save`, or None; seconds: of all its steps.

    Without a folder nothing is saved: the stage is short, and begins again. clock: what the seconds are of.
    """

    def __init__(self, folder: Folder | None, clock: Callable[[], float] = time.perf_counter):
        self.folder, self.clock = folder, clock
        self.saved: Tree | None = None if folder is None else folder.load()
        self.seconds = 0.0 if self.saved is None else float(self.saved["seconds"])

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
            self.folder.save({**tree, "seconds": self.seconds})
