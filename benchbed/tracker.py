"""The contract of an experiment tracker: what it is handed of a run, and when.

A tracker is a class that an entry point of the group `benchbed.trackers` names, or one of ours in `benchbed/trackers/`.
It is made when a run or a training begins, in the process that makes it, and again when that goes on after an
interruption: what it shows for the same `run` should go on too. It changes no result.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import Any


class Tracker(ABC):
    """One run's or training's side of a tracker.

    run: its id, the name of its folder. folder: where its record will be, which is there. config: all of its
    configuration. Where the library that a tracker needs is missing it raises BenchbedError with the command that
    installs it.
    """

    def __init__(self, run: str, folder: Path, config: Mapping[str, Any]) -> None:
        self.run, self.folder, self.config = run, folder, config

    @abstractmethod
    def scalars(self, stage: str, step: int, values: Mapping[str, float]) -> None:
        """Figures after an epoch: stage is search, selection (tuning) or training, step the epoch's number from 1.

        Accuracies in percent, seconds since the stage began. The epochs of a search that another run made come all at
        once, before `finish`.
        """

    @abstractmethod
    def decision(self, step: int, words: str) -> None:
        """The step-th decision of a selector, from 1, such as `0->1: nor_conv_3x3`."""

    @abstractmethod
    def picture(self, png: bytes) -> None:
        """The chosen architecture as a PNG."""

    @abstractmethod
    def finish(self, record: Mapping[str, Any]) -> None:
        """The record, as its file holds it. Nothing is handed over after it."""

    def close(self) -> None:  # noqa: B027  most have nothing to do
        """The end, also where the run was interrupted or failed."""
