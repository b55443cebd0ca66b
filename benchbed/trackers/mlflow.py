"""MLflow: a run of experiment `benchbed` in MLFLOW_TRACKING_URI, or in a SQLite file beside the runs."""

import io
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from PIL import Image

from ..tracker import Tracker
from .tracking import figures, library, settings

EXPERIMENT = "benchbed"
STORE = "mlflow.db"  # beside the folders of the runs
LONGEST = 500  # letters of a parameter, in every store of MLflow's


class MLflow(Tracker):
    def __init__(self, run: str, folder: Path, config: Mapping[str, Any]) -> None:
        super().__init__(run, folder, config)
        client = library("mlflow", "mlflow.tracking").MlflowClient
        store = f"sqlite:///{(folder.parent / STORE).absolute()}"
        self._client = client(os.environ.get("MLFLOW_TRACKING_URI", store))
        self._id = self._found() or self._made()

    def _experiment(self) -> str:
        if (found := self._client.get_experiment_by_name(EXPERIMENT)) is not None:
            return str(found.experiment_id)
        place = (self.folder.parent / "mlflow").absolute()
        local = None if "MLFLOW_TRACKING_URI" in os.environ else place.as_uri()
        return str(self._client.create_experiment(EXPERIMENT, artifact_location=local))

    def _found(self) -> str | None:
        """The run of an earlier start, which goes on."""
        words = f"tags.benchbed_run = '{self.run}'"
        runs = self._client.search_runs([self._experiment()], words, max_results=1)
        return str(runs[0].info.run_id) if runs else None

    def _made(self) -> str:
        made = self._client.create_run(self._experiment(), tags={"benchbed_run": self.run}, run_name=self.run)
        for key, value in settings(self.config).items():
            self._client.log_param(made.info.run_id, key.replace("+", "-"), value[:LONGEST])
        return str(made.info.run_id)

    def scalars(self, stage: str, step: int, values: Mapping[str, float]) -> None:
        for name, value in values.items():
            self._client.log_metric(self._id, f"{stage}/{name}", value, step=step)

    def decision(self, step: int, words: str) -> None:
        self._client.set_tag(self._id, f"decision {step:02d}", words)

    def picture(self, png: bytes) -> None:
        self._client.log_image(self._id, Image.open(io.BytesIO(png)), "architecture.png")

    def finish(self, record: Mapping[str, Any]) -> None:
        for name, value in figures(record).items():
            self._client.log_metric(self._id, f"record/{name}", value)
        self._client.set_tag(self._id, "architecture", str(record.get("architecture")))
        self._client.log_dict(self._id, dict(record), "record.json")
        self._client.set_terminated(self._id)
