"""What a person watches while a run goes on: a bar on a terminal, plain lines elsewhere."""

import sys
import time
from collections.abc import Callable
from importlib.util import find_spec
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from . import pulse


class Reporter:
    """One stage at a time: `begin`, then `advance` by steps, and `line` for what is worth keeping on the screen.

    On a terminal a bar shows the stage, its share done, the time left and the last status, and so in a notebook that
    has ipywidgets; elsewhere only the lines are printed. `quiet` prints neither. say: takes the lines in the console's
    place, as of a job in a worker, whose master shows them; told: is called with each epoch of a search.
    """

    def __init__(
        self,
        quiet: bool = False,
        say: Callable[[str], None] | None = None,
        told: Callable[[dict[str, Any]], None] = lambda line: None,
    ):
        self._say, self._told = say, told
        notebook = "ipykernel" in sys.modules  # its stderr says that it is a terminal, which takes no cursor back
        widgets = notebook and find_spec("ipywidgets") is not None  # by which rich draws there
        self.console = Console(
            file=sys.stderr,
            quiet=quiet,
            highlight=False,
            soft_wrap=notebook or not sys.stderr.isatty(),
            force_jupyter=widgets,
            force_terminal=False if notebook else None,
        )
        self._bar: Progress | None = None
        self._task: TaskID | None = None
        self._shown = 0.0

    def __enter__(self) -> "Reporter":
        if (self.console.is_terminal or self.console.is_jupyter) and not self.console.quiet:
            self._bar = Progress(
                TextColumn("{task.description}"),
                BarColumn(bar_width=24),
                TextColumn("{task.percentage:>3.0f}%"),
                TimeRemainingColumn(compact=True),
                TextColumn("{task.fields[status]}"),
                console=self.console,
                transient=True,
            )
            self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.stop()

    def begin(self, stage: str, total: int, done: int = 0) -> None:
        """A new stage of `total` steps, `done` of them from an earlier start."""
        pulse.tell(stage=stage, total=total, done=done, epoch=None, accuracy=None)
        if self._bar is not None:
            if self._task is not None:
                self._bar.remove_task(self._task)
            self._task = self._bar.add_task(stage, total=total, completed=done, status="")

    def advance(self, done: int, status: str = "") -> None:
        """`done` steps of the stage are finished. Redraws at most ten times a second."""
        pulse.tell(done=done)
        now = time.monotonic()
        if self._bar is not None and self._task is not None and now - self._shown > 0.1:
            self._shown = now
            self._bar.update(self._task, completed=done, status=status)

    def counted(self, stage: str) -> Callable[..., None]:
        """What takes (done, total, status) of a stage, which begins with the first call."""
        begun: list[int] = []

        def progress(done: int, total: int, status: str = "") -> None:
            if not begun:
                begun.append(total)
                self.begin(stage, total, done)
            self.advance(done, status)

        return progress

    def epoch(self, line: dict[str, Any]) -> None:
        """An epoch of a search is over and saved; `line` is its line of the history. For whoever watches: no output."""
        pulse.tell(epoch=line.get("epoch"), accuracy=line.get("accuracy"))
        self._told(line)

    def line(self, text: str) -> None:
        pulse.beat()
        if self._say is None:
            self.console.print(text, markup=False)
        else:
            self._say(text)
