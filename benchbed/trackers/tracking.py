"""Runs followed by trackers: what a history's line becomes, and who is told."""

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from importlib import import_module
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

from ..errors import BenchbedError, unknown
from ..pipeline.many import make as make_run
from ..runtime.files import make_folder, one_line
from ..runtime.reading import LIMITS, parse_line, read_text
from ..runtime.watch import Finish, watching
from ..runtime.worker import Place
from ..tracker import Tracker

GROUP = "benchbed.trackers"
OURS = {
    "tensorboard": "benchbed.trackers.tensorboard:TensorBoard",
    "wandb": "benchbed.trackers.wandb:WeightsAndBiases",
    "mlflow": "benchbed.trackers.mlflow:MLflow",
}
STAGES = {"tuning_epoch": "selection", "epoch": "search"}  # a line's number, and what it is of


def targets() -> dict[str, str]:
    """By name, where each tracker is: ours, and what installed packages offer."""
    return OURS | {point.name: point.value for point in entry_points(group=GROUP)}


def load(name: str) -> type[Tracker]:
    """The tracker's class. Raises BenchbedError for an unknown name, and for what is no tracker."""
    known = targets()
    if name not in known:
        raise unknown("tracker", name, known)
    module, _, attribute = known[name].partition(":")
    found = getattr(import_module(module), attribute)
    if not (isinstance(found, type) and issubclass(found, Tracker)):
        raise BenchbedError(f"tracker '{name}' ({known[name]}) is not a subclass of benchbed.tracker.Tracker")
    return found


def library(name: str, module: str) -> Any:
    """The module that a tracker of ours needs. Raises BenchbedError with the command that installs it."""
    try:
        return import_module(module)
    except ImportError:
        raise BenchbedError(f"tracker '{name}' needs {name}: pip install 'benchbed[{name}]'") from None


class Tracking:
    """Follows every run and training with these trackers. Raises BenchbedError for a name that there is not."""

    maker = "benchbed.trackers.tracking:make"

    def __init__(self, names: tuple[str, ...]) -> None:
        self.names = names
        self._classes = [load(name) for name in names]

    @contextmanager
    def __call__(self, folder: Path, config: Mapping[str, Any], search: Path | None) -> Iterator[Finish]:
        with one_line(folder, "make"):
            make_folder(folder)
        with ExitStack() as stack:
            trackers = [kind(folder.name, folder, config) for kind in self._classes]
            for one in trackers:
                stack.callback(one.close)
            teller = _Teller(trackers, folder, search)
            stack.enter_context(watching(teller.told))
            yield teller.finish


class _Teller:
    """Hands the lines of a run's folder, and of its search's, to its trackers."""

    def __init__(self, trackers: list[Tracker], folder: Path, search: Path | None) -> None:
        self.trackers, self.folder, self.search = trackers, folder, search
        self._epochs: set[int] = set()  # of the search, that were told

    def told(self, folder: Path, line: Mapping[str, Any]) -> None:
        if folder == self.search:
            self._epochs.add(int(line.get("epoch", 0)))
        elif folder != self.folder:
            return
        for key, stage in STAGES.items():
            if key in line:
                own = "training" if self.search is None else stage
                values = {name: float(x) for name, x in line.items() if name != key and _is_number(x)}
                for one in self.trackers:
                    one.scalars(own, int(line[key]), values)
                return
        if words := _decision(line):
            number = sum(_decision(line) is not None for line in _lines(self.folder))
            for one in self.trackers:
                one.decision(number, words)

    def finish(self, record: Mapping[str, Any]) -> None:
        """The epochs of a search that was made before, the picture, the record."""
        if self.search is not None:
            for line in _lines(self.search):
                if line.get("epoch") not in self._epochs:
                    self.told(self.search, line)
        png = picture(record)
        for one in self.trackers:
            if png is not None:
                one.picture(png)
            one.finish(record)


def _lines(folder: Path) -> list[dict[str, Any]]:
    """Those of a stage's history, also of before it was interrupted."""
    file = folder / "history.jsonl"
    return [parse_line(text) for text in read_text(file, LIMITS.lines_bytes).splitlines()] if file.exists() else []


def picture(record: Mapping[str, Any]) -> bytes | None:
    """The architecture of a record as a PNG; None where its space is not known here, or has no picture."""
    from ..report.draw import picture as drawn
    from ..spaces.load import load_space

    try:
        space = load_space(record["space"], record["config"].get("space_options"))
        return drawn(space, space.parse(record["architecture"]), "png")
    except BenchbedError:
        return None


def _decision(line: Mapping[str, Any]) -> str | None:
    if "operation" in line:
        return f"{line.get('position')}: {line['operation']}"
    return f"{line.get('node')}: keeps {', '.join(line['kept'])}" if "kept" in line else None


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def figures(record: Mapping[str, Any]) -> dict[str, float]:
    """The plain numbers of a record, those of its sections by dotted name."""
    found: dict[str, float] = {}
    for key, value in record.items():
        if _is_number(value):
            found[key] = float(value)
        elif isinstance(value, Mapping) and key in ("seconds", "supernet", "facts", "cost"):
            found |= {f"{key}.{name}": float(x) for name, x in value.items() if _is_number(x)}
    return found


def settings(config: Mapping[str, Any], under: str = "") -> dict[str, str]:
    """A configuration flat, by dotted name, as text."""
    found: dict[str, str] = {}
    for key, value in config.items():
        name = f"{under}.{key}" if under else key
        found |= settings(value, name) if isinstance(value, Mapping) else {name: str(value)}
    return found


def make(payload: dict[str, Any], place: Place) -> dict[str, Any]:
    """In a worker: makes the run of a job as `benchbed.pipeline.many.make` does, and follows it."""
    return make_run(payload, place, Tracking(tuple(payload["track"])))
