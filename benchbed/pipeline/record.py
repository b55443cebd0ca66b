"""A run's record.json: the one model that writes it and reads it, of any format, and one notion of what is damaged."""

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator

from ..errors import BenchbedError
from ..runtime.folder import REMADE, read_json, write_json
from ..runtime.stage import SAME_RESULT, Segment
from .protocol import PRESETS

FORMAT: Literal[2] = 2  # of record.json
# What a finished run's record holds at least: a record without it is damaged.
RECORD_KEYS = ("id", "search", "searcher", "selector", "seed", "architecture", "test_accuracy", "facts", "seconds")
LARGEST = 2**63  # of a number: far above any count here, and a float holds it
GIVEN = "given"  # selector and objective of a result that benchbed did not make
UNKNOWN_SECONDS = "seconds_unknown"  # the note of one whose search's seconds nobody told
STAGES = ("search", "selection", "scoring")
# What every configuration holds, with its type, and the sections that some hold.
ALWAYS = {"space": str, "task": str, "protocol": str, "epochs": int, "searcher": dict, "selector": dict}
OWN = ("space", "objective", "seed")  # what a record and its configuration both say
NOT_ALWAYS = ("simulated_seconds", "datasets", "network", "predicted")  # left out of the file where there is none
SOMETIMES = ("space_options", "task_options", "table", "scoring", "supernet", "cost")


def amount(value: object, most: float = math.inf) -> float:
    """A finite number from 0 to `most`. Raises ValueError for anything else, a truth value too."""
    if (
        isinstance(value, bool)
        or not isinstance(value, int | float)
        or not (0 <= value <= most and math.isfinite(value))
    ):
        raise ValueError(f"{value!r} is not a number from 0 to {most:g}")
    return float(value)


def _name(value: str) -> str:
    if not value.isprintable() or "/" in value or value in ("", ".", ".."):
        raise ValueError("the name of a folder is needed")
    return value


def _cost(value: dict[str, Any]) -> dict[str, Any]:
    for key in ("chosen", "expected", "target"):
        amount(value.get(key))
    for key in ("device", "unit"):
        if not isinstance(value.get(key), str):
            raise ValueError(f"no {key}")
    return value


def _facts(value: dict[str, Any]) -> dict[str, Any]:
    for key, number in value.items():
        if isinstance(number, int | float) and not abs(number) <= LARGEST:
            raise ValueError(f"its {key} is not a number that a table can show")
    return value


def _network(value: dict[str, Any]) -> dict[str, Any]:
    """params, flops; where benchbed trained it also images (channels, height, width), classes, and C and N."""
    for key, number in value.items():
        for one in number if key == "images" and isinstance(number, list) else [number]:
            if isinstance(one, bool) or not isinstance(one, int) or not 0 <= one <= LARGEST:
                raise ValueError(f"its {key} is {number!r:.40}: expected whole numbers")
    return value


def _stages(value: dict[str, float]) -> dict[str, float]:
    if missing := [stage for stage in STAGES if stage not in value]:
        raise ValueError(f"no seconds of the {missing[0]}")
    return value


def _config(value: dict[str, Any]) -> dict[str, Any]:
    for key, kind in ALWAYS.items():
        if not isinstance(value.get(key), kind):
            raise ValueError(f"its {key} is {value.get(key)!r:.40}")
    for key in SOMETIMES:
        if not isinstance(value.get(key), dict | None):
            raise ValueError(f"its {key} is {value.get(key)!r:.40}")
    if "supernet" not in value:
        raise ValueError("no supernet, not even none")
    for plugin in ("searcher", "selector"):
        part: Mapping[str, Any] = value[plugin]
        if not isinstance(part.get("name"), str) or not isinstance(part.get("sha256"), str | None):
            raise ValueError(f"the name or sha256 of its {plugin}")
        if not isinstance(part.get("options"), dict):
            raise ValueError(f"no options of its {plugin}")
    return value


Name = Annotated[str, AfterValidator(_name)]
Seconds = Annotated[float, Field(ge=0)]
Percent = Annotated[float, Field(ge=0, le=100)]
Score = Annotated[float, Field(allow_inf_nan=True)]


class Record(BaseModel):
    """A finished run: what was run, what came out, and on what each part of it was computed.

    Accuracies and regret in percent; seconds by stage (search, selection, scoring), memory in bytes; scores (P, O) of
    the selector, None where nothing was measured; `state_sha256` of the supernet and searcher after search and
    selection. `config` is the run's whole configuration. `versions`, `machine` and `commit` are of the process that
    finished the run, `segments` of every part. What older versions did not write is None or empty. Types are checked;
    whatever else is in a file is kept out. `record["regret"]` and `.get` read it as the mapping that it is in its file.
    """

    model_config = ConfigDict(extra="ignore", frozen=True, strict=True, allow_inf_nan=False)

    format: Literal[2] = FORMAT
    id: Name
    search: Name
    searcher: str
    selector: str
    space: str
    objective: str = "supernet"
    task: str
    task_facts: dict[str, Any] = {}
    seed: int = Field(ge=0)
    config: Annotated[dict[str, Any], AfterValidator(_config)]
    architecture: str
    facts: Annotated[dict[str, Any], AfterValidator(_facts)] = {}
    latency_ms: float | None = None
    cost: Annotated[dict[str, Any], AfterValidator(_cost)] | None = None
    scores: list[list[Score | None]] | None = None
    notes: dict[str, Any] = {}
    supernet_accuracy: float | None = Field(None, ge=0, le=100)
    supernet: dict[str, Any] = {}
    valid_accuracy: float | None = Field(None, ge=0, le=100)
    test_accuracy: float = Field(ge=0, le=100)
    scored_by: Literal["training", "table"] = "training"
    best_test_accuracy: float | None = None
    regret: float | None = None
    rank: int | None = Field(None, ge=1, le=LARGEST)
    percentile: float | None = None
    cells: int | None = Field(None, ge=1, le=LARGEST)
    n_seeds: int | None = Field(None, ge=0, le=LARGEST)
    test_spread: float | None = Field(None, ge=0)
    noise_floor: int | None = Field(None, ge=0, le=LARGEST)
    predicted: bool | None = None  # of a surrogate's score: whether the accuracies are predictions, and no training's
    table: dict[str, Any] | None = None
    datasets: dict[str, dict[Literal["valid", "test"], Percent]] | None = None  # the cell's, on each of the table's
    network: Annotated[dict[str, Any], AfterValidator(_network)] | None = None  # that the test accuracy is of
    simulated_seconds: float | None = Field(None, ge=0)  # what a search on a table alone has spent there
    seconds: Annotated[dict[str, Seconds], AfterValidator(_stages)]
    peak_memory_bytes: int | None = Field(None, ge=0)
    state_sha256: dict[str, str] = {}
    segments: list[Segment] = []
    versions: dict[str, str] = {}
    commit: str | None = None
    machine: dict[str, Any] = {}
    finished: str = ""

    @classmethod
    def read(cls, path: Path) -> "Record":
        """A finished run's record, of any format, from its file or its folder.

        Raises BenchbedError that names the file and what is wrong in it.
        """
        file = path / "record.json" if path.is_dir() else path
        return checked(file, read_json(file, RECORD_KEYS, REMADE))

    @classmethod
    def of(cls, **values: object) -> "Record":
        """The record of a run that has just finished, the same as when it is read back from its file.

        Raises BenchbedError for a figure that no record can hold, such as an accuracy that is not a number.
        """
        try:
            return cls.model_validate(json.loads(json.dumps(values)))
        except ValidationError as error:
            raise BenchbedError(f"run {values['id']} cannot be recorded ({first_wrong(error)})") from None

    def dump(self) -> dict[str, Any]:
        """As its file holds it."""
        whole = self.model_dump()
        return {key: value for key, value in whole.items() if value is not None or key not in NOT_ALWAYS}

    def write(self, path: Path) -> None:
        """Writes the file, whole or not at all."""
        write_json(path, self.dump())

    def __getitem__(self, key: str) -> Any:
        if key not in type(self).model_fields or key not in self:
            raise KeyError(key)
        return getattr(self, key)

    def __contains__(self, key: object) -> bool:
        known = isinstance(key, str) and key in type(self).model_fields
        return known and not (key in NOT_ALWAYS and getattr(self, str(key)) is None)

    def get(self, key: str, default: object = None) -> Any:
        """What the record says of `key`; `default` where it says nothing."""
        try:
            return self[key]
        except KeyError:
            return default

    @model_validator(mode="after")
    def _by_a_table(self) -> "Record":
        if self.scored_by == "table" and None in (self.regret, self.rank, self.cells):
            raise ValueError("scored by a table, and without regret, rank or cells")
        best, regret = self.best_test_accuracy, self.regret
        if best is not None and regret is not None and abs(best - self.test_accuracy - regret) > 0.01:
            raise ValueError(f"test accuracy {self.test_accuracy} is not regret {regret} below the best, {best}")
        return self

    @model_validator(mode="after")
    def _of_its_configuration(self) -> "Record":
        inside: dict[str, Any] = {key: self.config[key] for key in OWN if key in self.config}
        inside |= {key: self.config[key]["name"] for key in ("searcher", "selector")}
        is_given = self.objective == GIVEN
        if is_given != (self.selector == GIVEN) or (is_given and GIVEN not in self.notes):
            raise ValueError(f"it contradicts itself: objective {self.objective!r:.40}, selector {self.selector!r:.40}")
        for key, value in inside.items():
            if (own := getattr(self, key)) != value:
                raise ValueError(f"it contradicts itself: {key} {own!r:.40}, in its config {value!r:.40}")
        return self

    @property
    def surrogate(self) -> dict[str, Any] | None:
        """What the record says of the surrogate that scored it; None where trainings did."""
        found = (self.table or {}).get("surrogate") if self.scored_by == "table" else None
        return found if isinstance(found, dict) else None

    @property
    def search_seconds(self) -> float:
        """Of finding the architecture: the search and the selection, without the score; on the table's clock if any.

        NaN where it is not known.
        """
        if self.notes.get(UNKNOWN_SECONDS):
            return math.nan
        search = self.seconds.get("search", 0.0) if self.simulated_seconds is None else self.simulated_seconds
        return search + self.seconds.get("selection", 0.0)


def schema() -> str:
    """The JSON Schema of record.json, as docs/record-schema.json holds it."""
    return json.dumps(Record.model_json_schema(), indent=2) + "\n"


def checked(path: Path, raw: Mapping[str, Any]) -> Record:
    """The record that `path` holds as `raw`. Raises BenchbedError as `Record.read` does."""
    try:
        record = Record.model_validate(upgraded(path, raw))
    except ValidationError as error:
        raise BenchbedError(f"{path} is damaged ({first_wrong(error)})") from None
    if record.id != path.parent.name:
        raise BenchbedError(
            f"{path} is the record of another folder, {record.id}: left out, so that nothing counts twice"
        )
    return record


def malformed(path: Path, raw: Mapping[str, Any]) -> None:
    """Raises BenchbedError where something in the record is not of its type, and not where figures do not fit."""
    try:
        Record.model_validate(upgraded(path, raw))
    except ValidationError as error:
        if any(one["loc"] for one in error.errors()):
            raise BenchbedError(f"{path} is damaged ({first_wrong(error)})") from None


def first_wrong(error: ValidationError) -> str:
    """What is wrong first, in a few words."""
    first = error.errors()[0]
    name = ".".join(str(part) for part in first["loc"])
    message = str(first["msg"]).removeprefix("Value error, ")
    if first["type"] == "missing" or not name:
        return f"no '{name}' in it" if name else message
    return f"{name} = {repr(first['input'])[:60]}: {message[:1].lower()}{message[1:]}"


# -- older formats -----------------------------------------------------------------------------------------------------


def upgraded(path: Path, raw: Mapping[str, Any]) -> dict[str, Any]:
    """`raw`, read from `path`, as a record of today's format.

    Format 1 gave no number and no segments: its versions, commit and machine become one segment, of stage 'run'. Raises
    BenchbedError for a format that is newer than this benchbed's, or none.
    """
    found = raw.get("format", 1)
    if isinstance(found, bool) or not isinstance(found, int) or found < 1:
        raise BenchbedError(f"{path} is damaged (format = {found!r:.40}: expected 1 or {FORMAT})")
    if found > FORMAT:
        raise BenchbedError(
            f"{path} is of format {found}, which a newer benchbed wrote: this one reads formats 1 to {FORMAT}"
        )
    record = {**raw, "format": FORMAT}
    if found == 1 and "segments" not in record:
        record["segments"] = _segments(raw)
    if isinstance(record.get("config"), dict):
        record["config"] = upgraded_config(record["config"])
    return record


def upgraded_config(raw: Mapping[str, Any]) -> dict[str, Any]:
    """A saved configuration of any age, with the keys that today's have: a protocol was called a preset."""
    if "preset" not in raw:
        return dict(raw)
    new = {key: value for key, value in raw.items() if key != "preset"}
    return {**new, "protocol": PRESETS.get(raw["preset"], raw["preset"])}


def _segments(raw: Mapping[str, Any]) -> list[dict[str, Any]]:
    """What format 1 says of where it was made; none where it does not say, or is damaged, which is found elsewhere."""
    machine, versions = raw.get("machine", {}), raw.get("versions", {})
    if not isinstance(machine, dict) or not isinstance(versions, dict) or not (machine or versions):
        return []
    said = {**machine, **versions, "commit": raw.get("commit")}
    known = {key: said[key] for key in SAME_RESULT if isinstance(said.get(key), int if key == "threads" else str)}
    return [{"stage": "run", **known}]
