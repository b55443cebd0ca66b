"""The loop of a stage that may be killed and goes on: what was saved, the seconds so far, a save after each step.

Segments say which part of it one process computed, when, and on what; and whether another may go on from there.
"""

import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal, NamedTuple, TypeVar

import torch
from pydantic import BaseModel, ConfigDict, Field, model_serializer

from ..errors import BenchbedError
from .folder import Folder, Tree
from .machine import loaded_commit, machine, reset_peak, versions
from .parallel import ALONE, Group

T = TypeVar("T")
StageName = Literal["search", "selection", "scoring", "training", "run"]
# What changes the bits of a result. The number of threads and the processor decide in which order sums are taken
# (libraries choose their blocks by its instruction set and caches), a device and a torch have kernels of their own.
ENVIRONMENT = ("threads", "torch", "processor", "capability", "device")
CODE = ("benchbed", "commit")  # may change anything; a commit with '+', of a changed checkout, is one of its own
SAME_RESULT = (*ENVIRONMENT, *CODE)


MOST_THREADS = 4096  # of a record: it is told to torch, which takes any number


class Segment(BaseModel):
    """A part of a stage that one process computed without a stop.

    start, stop: how many epochs or steps (`unit`) were done before and after it; equal where only figures were taken.
    started: UTC. capability: the CPU's instruction set that torch uses (`torch.backends.cpu.get_cpu_capability`).
    device: 'cpu', or an accelerator's name. None: not known, in the one segment of stage 'run' that stands for the
    whole of a record of format 1. deterministic: torch was kept to algorithms that repeat (`--deterministic`); left out
    where it was not. The machine's own name and its system are left out: they change no result.
    """

    model_config = ConfigDict(extra="ignore", frozen=True, strict=True)

    stage: StageName
    unit: Literal["epochs", "steps", "lookups"] | None = None
    start: int | None = Field(None, ge=0)
    stop: int | None = Field(None, ge=0)
    started: str | None = None
    threads: int | None = Field(None, ge=0, le=MOST_THREADS)
    torch: str | None = None
    processor: str | None = None
    capability: str | None = None
    device: str | None = None
    benchbed: str | None = None
    commit: str | None = None
    deterministic: Literal[True] | None = None

    @model_serializer(mode="wrap")
    def _as_before(self, write: Callable[[Any], dict[str, Any]]) -> dict[str, Any]:
        return {k: v for k, v in write(self).items() if k != "deterministic" or v is not None}


def segment(stage: StageName, unit: str, start: int, device: torch.device) -> dict[str, Any]:
    """A segment that begins now in this process, as a checkpoint holds it; its `stop` moves on with the work."""
    said = {**machine(device), **versions(), "commit": loaded_commit()}
    when = datetime.now(UTC).isoformat(timespec="seconds")
    places = {"stage": stage, "unit": unit, "start": start, "stop": start, "started": when}
    mode = {"deterministic": True} if torch.are_deterministic_algorithms_enabled() else {}
    return {**places, **{key: said[key] for key in SAME_RESULT}, **mode}


def differences(there: Mapping[str, Any], here: Mapping[str, Any], keys: tuple[str, ...] = SAME_RESULT) -> list[str]:
    """'KEY THERE, here HERE' for each of the keys in which two segments differ; what is not known differs from nothing.

    A commit is unknown where benchbed runs from no checkout, and then its version stands for it.
    """
    pairs = [(key, there.get(key), here.get(key)) for key in keys]
    return [f"{key} {was}, here {now}" for key, was, now in pairs if None not in (was, now) and was != now]


def continued(path: Path, saved: Mapping[str, Any] | None, now: dict[str, Any], mixed: bool) -> list[dict[str, Any]]:
    """The segments of the stage in `path` with `now` as the last; `saved`: the stage's checkpoint, None at its begin.

    Raises BenchbedError where the one before was computed under what may give other bits, and not `mixed`. A checkpoint
    from before there were segments is gone on with: nothing is known of it.
    """
    before = [] if saved is None else list(saved.get("segments", []))
    if before and not mixed and (found := differences(before[-1], now)):
        threads = found == differences(before[-1], now, ("threads",))  # alone
        how = f" (OMP_NUM_THREADS={before[-1]['threads']})" if threads else ""
        raise BenchbedError(
            f"{path} was begun with {'; '.join(found)}: the rest may come out otherwise. Go on as it was begun{how}, "
            "go on all the same with --mixed, which is recorded, or begin again with --force"
        )
    return [*before, now]


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
    `where` it keeps segments (`Segment`), the last of which is this process's, from `begin` on.
    """

    def __init__(
        self, folder: Folder | None, clock: Callable[[], float] = time.perf_counter, where: Where | None = None
    ):
        self.folder, self.clock, self.where = folder, clock, where
        self.segments: list[dict[str, Any]] = []
        self._began = 0.0
        self.saved: Tree | None = None if folder is None else folder.load()
        self.seconds = 0.0 if self.saved is None else float(self.saved["seconds"])

    def begin(self, done: int) -> None:
        """From here on this process computes, after `done` epochs or steps of earlier ones; the peak memory is its own.

        Raises BenchbedError where those were computed under what may give other bits, and not `mixed`.
        """
        if self.where is not None:
            reset_peak(self.where.device)
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
        self._began = self.clock()
        result = step()
        self.lap()
        return result

    def lap(self) -> None:
        """Within a timed step: its seconds so far are added, for a save in its middle."""
        now = self.clock()
        self.seconds, self._began = self.seconds + now - self._began, now

    def save(self, tree: Tree, line: dict[str, Any] | None = None) -> None:
        """Appends the line to the history, and replaces the checkpoint by the tree and the seconds."""
        if self.folder is not None:
            if line is not None:
                self.folder.log(line)
            kept = {"segments": self.segments} if self.segments else {}
            self.folder.save({**tree, "seconds": self.seconds, **kept})
