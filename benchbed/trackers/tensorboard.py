"""TensorBoard: an event file in the run's folder; `tensorboard --logdir runs` shows all of them."""

import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from ..tracker import Tracker
from .tracking import figures, library, settings

FOLDER = "tensorboard"  # beside the record


class TensorBoard(Tracker):
    def __init__(self, run: str, folder: Path, config: Mapping[str, Any]) -> None:
        super().__init__(run, folder, config)
        self._writer = library("tensorboard", "torch.utils.tensorboard").SummaryWriter(str(folder / FOLDER))

    def scalars(self, stage: str, step: int, values: Mapping[str, float]) -> None:
        for name, value in values.items():
            self._writer.add_scalar(f"{stage}/{name}", value, step)
        self._writer.flush()

    def decision(self, step: int, words: str) -> None:
        self._writer.add_text("decisions", words, step)

    def picture(self, png: bytes) -> None:
        pixels = np.asarray(Image.open(io.BytesIO(png)).convert("RGB"))
        self._writer.add_image("architecture", pixels, dataformats="HWC")

    def finish(self, record: Mapping[str, Any]) -> None:
        for name, value in figures(record).items():
            self._writer.add_scalar(f"record/{name}", value)
        lines = "\n".join(f"    {key} = {value}" for key, value in settings(self.config).items())
        self._writer.add_text("architecture", str(record.get("architecture")))
        self._writer.add_text("config", lines)

    def close(self) -> None:
        self._writer.close()
