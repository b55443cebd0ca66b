"""A run's record.json as runs, reports and sweeps read it: one notion of what is damaged."""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator

from ..errors import BenchbedError
from ..runtime.folder import REMADE, read_json

# What a finished run's record holds at least: a record without it is damaged.
RECORD_KEYS = ("id", "search", "searcher", "selector", "seed", "architecture", "test_accuracy", "facts", "seconds")
LARGEST = 2**63  # of a number: far above any count here, and a float holds it
STAGES = ("search", "selection", "scoring")
# What every configuration holds, with its type, and the sections that some hold.
ALWAYS = {"space": str, "task": str, "preset": str, "epochs": int, "searcher": dict, "selector": dict}
OWN = ("space", "seed")  # what a record and its configuration both say
SOMETIMES = ("space_options", "task_options", "table", "scoring", "supernet", "cost")


def amount(value: Any, most: float = math.inf) -> float:
    """A finite number from 0 to `most`. Raises ValueError for anything else, a truth value too."""
    if (
        isinstance(value, bool)
        or not isinstance(value, int | float)
        or not (0 <= value <= most and math.isfinite(value))
    ):
        raise ValueError(f"{value!r} is no number from 0 to {most:g}")
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
            raise ValueError(f"its {key} is no number that a table can show")
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


class Record(BaseModel):
    """What a report reads of a run's record.json; the types are checked, whatever else is in the file is kept out.

    Accuracies and regret in percent, seconds by stage (search, selection, scoring). What older versions did not write
    is None or empty.
    """

    model_config = ConfigDict(extra="ignore", frozen=True, strict=True, allow_inf_nan=False)

    id: Name
    search: Name
    searcher: str
    selector: str
    space: str
    objective: str = "supernet"
    task: str
    task_facts: dict[str, Any] = {}
    seed: int = Field(ge=0)
    architecture: str
    facts: Annotated[dict[str, Any], AfterValidator(_facts)] = {}
    valid_accuracy: float | None = Field(None, ge=0, le=100)
    test_accuracy: float = Field(ge=0, le=100)
    scored_by: Literal["training", "table"] = "training"
    regret: float | None = None
    rank: int | None = Field(None, ge=1, le=LARGEST)
    cells: int | None = Field(None, ge=1, le=LARGEST)
    noise_floor: int | None = Field(None, ge=0, le=LARGEST)
    n_seeds: int | None = Field(None, ge=0, le=LARGEST)
    test_spread: float | None = Field(None, ge=0)
    best_test_accuracy: float | None = None
    table: dict[str, Any] | None = None
    cost: Annotated[dict[str, Any], AfterValidator(_cost)] | None = None
    seconds: Annotated[dict[str, Seconds], AfterValidator(_stages)]
    config: Annotated[dict[str, Any], AfterValidator(_config)]
    versions: dict[str, str] = {}
    machine: dict[str, Any] = {}
    commit: str | None = None
    finished: str = ""
    simulated_seconds: float | None = Field(None, ge=0)  # what a search on a table alone has spent there

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
        for key, value in inside.items():
            if (own := getattr(self, key)) != value:
                raise ValueError(f"it contradicts itself: {key} {own!r:.40}, in its config {value!r:.40}")
        return self

    @property
    def search_seconds(self) -> float:
        """Of finding the architecture: the search and the selection, without the score; on the table's clock if any."""
        search = self.seconds.get("search", 0.0) if self.simulated_seconds is None else self.simulated_seconds
        return search + self.seconds.get("selection", 0.0)


def read_record(path: Path) -> Record:
    """A finished run's record. Raises BenchbedError that names the file and what is wrong in it."""
    return checked(path, read_json(path, RECORD_KEYS, REMADE))


def checked(path: Path, raw: Mapping[str, Any]) -> Record:
    """The record that `path` holds as `raw`. Raises BenchbedError as `read_record` does."""
    try:
        record = Record.model_validate(raw)
    except ValidationError as error:
        first = error.errors()[0]
        name = ".".join(str(part) for part in first["loc"])
        if first["type"] == "missing" or not name:
            what = f"no '{name}' in it" if name else str(first["msg"]).removeprefix("Value error, ")
            raise BenchbedError(f"{path} is damaged ({what})") from None
        raise BenchbedError(f"{path} is damaged ({name} = {repr(first['input'])[:60]}: {first['msg']})") from None
    if record.id != path.parent.name:
        raise BenchbedError(
            f"{path} is the record of another folder, {record.id}: left out, so that nothing counts twice"
        )
    return record
