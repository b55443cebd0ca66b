"""The records of a folder of runs: what is whole is read, what is not is named in one line and left aside."""

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from ..errors import BenchbedError
from ..pipeline.history import Epoch, history
from ..pipeline.record import GIVEN, Record, amount
from ..runtime.failures import failures
from ..runtime.files import read_toml
from ..runtime.folder import REMADE, read_json
from ..runtime.reading import near

NAMED = 10  # runs of a line about several
DEFAULT_OUT = "runs"  # where a file that names no `out` has its runs


class Clock(NamedTuple):
    """A search on a table's simulated clock. spent: seconds; incumbents: (since when, validation accuracy) of each."""

    spent: float
    incumbents: list[tuple[float, float]]


class Collection(NamedTuple):
    """What a folder holds. histories, clocks: by search; problems: a line each about what is left out, or odd.

    damaged: the folders whose record is left out.
    """

    place: Path
    records: list[Record]
    histories: dict[str, list[Epoch]]
    clocks: dict[str, Clock]
    problems: list[str]
    damaged: tuple[str, ...] = ()


def place_of(given: Path) -> Path:
    """The folder of runs that is meant: itself, or the one that a study's or run's TOML file writes to.

    Raises BenchbedError where there is neither.
    """
    if given.is_dir():
        return given
    if given.suffix.lower() == ".toml":
        raw = read_toml(given)
        out = raw.get("out", str(Path(DEFAULT_OUT) / given.stem) if "grid" in raw else DEFAULT_OUT)
        if not isinstance(out, str) or not Path(out).is_dir():
            raise BenchbedError(
                f"{given} writes to out = {out!r}, which is not a folder: run it first, or give the folder"
            )
        return Path(out)
    raise BenchbedError(
        f"{given} is not a folder of runs, nor a TOML file of a study: give a folder such as runs/{near(given)}"
    )


def collect(place: Path) -> Collection:
    """Every finished run of PLACE/*/record.json, by name, and the histories of their searches.

    Raises BenchbedError where there is no finished run.
    """
    problems: list[str] = []
    found: list[Record] = []
    damaged: list[str] = []
    for path in sorted(place.glob("*/record.json")):
        try:
            found.append(Record.read(path))
        except BenchbedError as error:
            problems.append(str(error))
            damaged.append(path.parent.name)
    begun = [p.parent.name for p in sorted(place.glob("*/config.json")) if not (p.parent / "record.json").exists()]
    if begun:
        names = ", ".join(begun[:NAMED]) + (", ..." if begun[NAMED:] else "")
        problems.append(f"{len(begun)} run(s) without a record.json, begun and not finished: {names}")
    problems += _failed(place, {*(record.id for record in found), *damaged})
    records = _counted_once(found, problems)
    if not records:
        why = f" ({problems[0]})" if problems else ""
        if (place / "record.json").is_file():
            raise BenchbedError(f"{place} is one run: give the folder that it is in, {place.resolve().parent}")
        raise BenchbedError(f"{place} holds no finished run, which is a folder with a record.json{why}")
    problems += _mixed(records)
    histories, clocks = {}, {}
    for search in dict.fromkeys(r.search for r in records if r.objective != GIVEN):
        folder = place / "searches" / search
        try:
            kept = clock(folder / "record.json")
            histories[search] = history(folder / "history.jsonl")
            if kept is not None:
                clocks[search] = kept
        except BenchbedError as error:
            problems.append(f"{error}: its curve and trajectory are left out")
    spent = {search: kept.spent for search, kept in clocks.items()}  # else as the run's own record says
    records = [r.model_copy(update={"simulated_seconds": spent.get(r.search, r.simulated_seconds)}) for r in records]
    return Collection(place, records, histories, clocks, problems, tuple(damaged))


def _failed(place: Path, finished: set[str]) -> list[str]:
    """A line for each run that a sweep gave up and that no later one finished: a method that diverges is not absent.

    finished: the runs that have a record; a damaged one has had its line.
    """
    found, lost = failures(place)
    last = {failure.run: failure.reason for failure in found}
    lines = [f"{run} failed: {reason}" for run, reason in last.items() if run not in finished]
    return [*lines, *([lost] if lost else [])]


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
        for record in (r for r in records if r.objective != GIVEN):
            by_version[record.versions.get(library, "unknown")].append(record.id)
        if len(by_version) > 1:
            parts = (f"{v} ({len(ids)} run(s), {ids[0]}{' ...' if ids[1:] else ''})" for v, ids in by_version.items())
            lines.append(f"records of several versions of {library} are mixed: {', '.join(parts)}")
    return lines


def clock(path: Path) -> Clock | None:
    """The clock of a search's record; None for a search that has none. Raises BenchbedError where it is damaged."""
    raw = read_json(path, (), REMADE) if path.exists() else {}
    if not raw.get("anytime"):
        return None
    try:
        steps = [(amount(at), amount(best, 100)) for at, best, _ in raw["anytime"]]
        found = Clock(amount(raw["simulated_seconds"]), steps)
        if [at for at, _ in steps] != sorted(at for at, _ in steps):
            raise ValueError
    except (KeyError, TypeError, ValueError):
        raise BenchbedError(f"{path} is damaged (its anytime or simulated_seconds)") from None
    return found


# What a record's configuration holds and its figures do not depend on, or that stands elsewhere in a comparison.
PLACES = ("seed", "data", "splits", "protocol", "origins", "task_options")


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
