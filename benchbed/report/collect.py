"""The records of a folder of runs: what is whole is read, what is not is named in one line and left aside."""

import json
import math
from collections import defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from ..config import read_toml
from ..errors import BenchbedError
from ..folder import read_json
from ..run import RECORD_KEYS

DEFAULT_OUT = "runs"  # where a file that names no `out` has its runs


class Record(BaseModel):
    """What a report reads of a run's record.json; the types are checked, whatever else is in the file is kept out.

    Accuracies and regret in percent, seconds by stage (search, selection, scoring). What older versions did not write
    is None or empty.
    """

    model_config = ConfigDict(extra="ignore", frozen=True)

    id: str
    search: str
    searcher: str
    selector: str
    space: str
    objective: str = "supernet"
    task: str
    task_facts: dict[str, Any] = {}
    seed: int
    architecture: str
    facts: dict[str, Any] = {}
    valid_accuracy: float | None = Field(None, ge=0, le=100)
    test_accuracy: float = Field(ge=0, le=100)
    scored_by: str = "training"
    regret: float | None = None
    rank: int | None = None
    cells: int | None = None
    noise_floor: int | None = None
    n_seeds: int | None = None
    best_test_accuracy: float | None = None
    table: dict[str, Any] | None = None
    cost: dict[str, Any] | None = None
    seconds: dict[str, float]
    config: dict[str, Any]
    versions: dict[str, str] = {}
    machine: dict[str, Any] = {}
    commit: str | None = None
    finished: str = ""
    simulated_seconds: float | None = None  # of the search's record: what a search on a table alone has spent there

    @property
    def search_seconds(self) -> float:
        """Of finding the architecture: the search and the selection, without the score; on the table's clock if any."""
        search = self.seconds.get("search", 0.0) if self.simulated_seconds is None else self.simulated_seconds
        return search + self.seconds.get("selection", 0.0)


class Epoch(NamedTuple):
    """One line of a search's history. seconds: since the search began; accuracy: validation, in percent."""

    seconds: float
    accuracy: float
    probabilities: tuple[tuple[float, ...], ...]  # (P, O), padding 0


class Clock(NamedTuple):
    """A search on a table's simulated clock. spent: seconds; incumbents: (since when, validation accuracy) of each."""

    spent: float
    incumbents: list[tuple[float, float]]


class Collection(NamedTuple):
    """What a folder holds. histories, clocks: by search; problems: a line each about what is left out, or odd."""

    place: Path
    records: list[Record]
    histories: dict[str, list[Epoch]]
    clocks: dict[str, Clock]
    problems: list[str]


def place_of(given: Path) -> Path:
    """The folder of runs that is meant: itself, or the one that a study's or run's TOML file writes to.

    Raises BenchbedError where there is neither.
    """
    if given.is_dir():
        return given
    if given.suffix.lower() == ".toml":
        out = read_toml(given).get("out", DEFAULT_OUT)
        if not isinstance(out, str) or not Path(out).is_dir():
            raise BenchbedError(
                f"{given} writes to out = {out!r}, which is no folder: run it first, or give the folder"
            )
        return Path(out)
    raise BenchbedError(f"{given} is no folder of runs and no TOML file of a study: give a folder such as runs/")


def collect(place: Path) -> Collection:
    """Every finished run of PLACE/*/record.json, by name, and the histories of their searches.

    Raises BenchbedError where there is no finished run.
    """
    problems: list[str] = []
    found: list[Record] = []
    for path in sorted(place.glob("*/record.json")):
        try:
            found.append(_record(path))
        except BenchbedError as error:
            problems.append(str(error))
    problems += _unfinished(place)
    records = _counted_once(found, problems)
    if not records:
        why = f" ({problems[0]})" if problems else ""
        raise BenchbedError(f"{place} holds no finished run, which is a folder with a record.json{why}")
    problems += _mixed(records)
    histories, clocks = {}, {}
    for search in dict.fromkeys(r.search for r in records):
        folder = place / "searches" / search
        try:
            histories[search] = history(folder / "history.jsonl")
            if (kept := clock(folder / "record.json")) is not None:
                clocks[search] = kept
        except BenchbedError as error:
            problems.append(f"{error}: its curve and trajectory are left out")
    spent = {search: kept.spent for search, kept in clocks.items()}
    records = [r.model_copy(update={"simulated_seconds": spent.get(r.search)}) for r in records]
    return Collection(place, records, histories, clocks, problems)


def _record(path: Path) -> Record:
    """Raises BenchbedError that names the file and what is wrong in it."""
    raw = read_json(path, RECORD_KEYS)
    try:
        record = Record.model_validate(raw)
    except ValidationError as error:
        first = error.errors()[0]
        name = ".".join(str(part) for part in first["loc"])
        raise BenchbedError(f"{path} is damaged ({name} = {repr(first['input'])[:60]}: {first['msg']})") from None
    numbers = {"test_accuracy": record.test_accuracy, **record.seconds}
    for name, value in numbers.items():
        if not math.isfinite(value):
            raise BenchbedError(f"{path} is damaged ({name} = {value}: a finite number is needed)")
    for kind in ("searcher", "selector"):
        if not isinstance(record.config.get(kind), Mapping) or "options" not in record.config[kind]:
            raise BenchbedError(f"{path} is damaged (no options of its {kind} in its config)")
    if record.id != path.parent.name:
        raise BenchbedError(
            f"{path} is the record of another folder, {record.id}: left out, so that nothing counts twice"
        )
    return record


def _unfinished(place: Path) -> list[str]:
    begun = [p.parent.name for p in sorted(place.glob("*/config.json")) if not (p.parent / "record.json").exists()]
    if not begun:
        return []
    return [f"{len(begun)} run(s) without a record.json, begun and not finished: {', '.join(begun)}"]


def _counted_once(records: Iterable[Record], problems: list[str]) -> list[Record]:
    """Of runs with the same settings and seed only the last; names of runs change when what they are made of does."""
    last: dict[str, Record] = {}
    for record in sorted(records, key=lambda r: r.finished):
        key = json.dumps([settings(record), record.seed, record.task_facts.get("fingerprint")], sort_keys=True)
        if key in last:
            problems.append(f"{last[key].id} has the settings and seed of {record.id}: only the later one is counted")
        last[key] = record
    return sorted(last.values(), key=lambda r: (r.searcher, r.selector, r.seed, r.id))


def _mixed(records: Iterable[Record]) -> list[str]:
    """A line where records of several versions of a library that figures depend on stand side by side."""
    lines = []
    for library in ("benchbed", "torch", "numpy"):
        by_version: dict[str, list[str]] = defaultdict(list)
        for record in records:
            by_version[record.versions.get(library, "unknown")].append(record.id)
        if len(by_version) > 1:
            parts = (f"{v} ({len(ids)} run(s), {ids[0]}{' ...' if ids[1:] else ''})" for v, ids in by_version.items())
            lines.append(f"records of several versions of {library} are mixed: {', '.join(parts)}")
    return lines


def history(path: Path) -> list[Epoch]:
    """The epochs of a search. Raises BenchbedError, naming the line, where it is damaged or missing."""
    try:
        lines = path.read_text().splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise BenchbedError(f"cannot read {path}: {getattr(error, 'strerror', None) or 'no text'}") from None
    epochs = []
    for number, line in enumerate(lines, 1):
        try:
            raw = json.loads(line)
            if "epoch" in raw:  # whatever else a search may note between its epochs
                rows = tuple(tuple(float(x) for x in row) for row in raw["probabilities"])
                epochs.append(Epoch(float(raw["seconds"]), float(raw["accuracy"]), rows))
                if list(map(len, rows)) != list(map(len, epochs[0].probabilities)):
                    raise ValueError
        except (ValueError, KeyError, TypeError):
            raise BenchbedError(f"{path} is damaged in line {number}") from None
    if not epochs:
        raise BenchbedError(f"{path} holds no epoch")
    return epochs


def clock(path: Path) -> Clock | None:
    """The clock of a search's record; None for a search that has none. Raises BenchbedError where it is damaged."""
    raw = read_json(path, ()) if path.exists() else {}
    if not raw.get("anytime"):
        return None
    try:
        found = Clock(float(raw["simulated_seconds"]), [(float(at), float(best)) for at, best, _ in raw["anytime"]])
    except (KeyError, TypeError, ValueError):
        raise BenchbedError(f"{path} is damaged (its anytime or simulated_seconds)") from None
    return found


# What a record's configuration holds and its figures do not depend on, or that stands elsewhere in a comparison.
PLACES = ("seed", "data", "splits", "preset", "task_options")


def settings(record: Record) -> dict[str, Any]:
    """A run's configuration, flat (`supernet.lr`), without its seed and without places on a machine.

    A table is named by its content and data set; a plug-in's file by eight digits of its content.
    """
    flat: dict[str, Any] = {}
    for key, value in record.config.items():
        if key in PLACES or value is None:
            continue
        if key in ("searcher", "selector"):
            flat[key] = value.get("name")
            flat |= {f"{key}.{name}": x for name, x in value["options"].items()}
            flat[f"{key}.code"] = (value.get("sha256") or "")[:8]
        elif isinstance(value, Mapping):
            names = {"name", "table"} if key in ("table", "cost") else set()  # a file may have moved
            flat |= {f"{key}.{name}": x for name, x in value.items() if name not in names}
        else:
            flat[key] = value
    return flat
