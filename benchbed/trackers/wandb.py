"""Weights & Biases: a run of project `benchbed`, or of WANDB_PROJECT; WANDB_MODE=offline keeps it on disk."""

import io
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from PIL import Image

from ..tracker import Tracker
from .tracking import figures, library


class WeightsAndBiases(Tracker):
    def __init__(self, run: str, folder: Path, config: Mapping[str, Any]) -> None:
        super().__init__(run, folder, config)
        wandb = library("wandb", "wandb")
        self._image, self._decisions = wandb.Image, wandb.Table(columns=["step", "decision"])
        self._run = wandb.init(
            project=os.environ.get("WANDB_PROJECT", "benchbed"), id=run.replace("+", "-").replace(":", "-"), name=run,
            dir=str(folder), config=dict(config), resume="allow", settings=wandb.Settings(console="off", silent=True),
        )  # fmt: skip
        for stage in ("search", "selection", "training"):
            self._run.define_metric(f"{stage}/*", step_metric=f"{stage}/epoch")

    def scalars(self, stage: str, step: int, values: Mapping[str, float]) -> None:
        self._run.log({f"{stage}/epoch": step, **{f"{stage}/{name}": value for name, value in values.items()}})

    def decision(self, step: int, words: str) -> None:
        self._decisions.add_data(step, words)

    def picture(self, png: bytes) -> None:
        self._run.log({"architecture": self._image(Image.open(io.BytesIO(png)))})

    def finish(self, record: Mapping[str, Any]) -> None:
        if self._decisions.data:
            self._run.log({"decisions": self._decisions})
        self._run.summary.update({**figures(record), "architecture_string": str(record.get("architecture"))})

    def close(self) -> None:
        self._run.finish()
