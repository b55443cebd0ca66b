"""`score`: results of methods that benchbed does not run, from a CSV file, as records beside those of its own runs.

A row is one search's result: its architecture in a column `arch` (or as `tables.notations` says), `method`, `seed`, and
where it is known `seconds`, what the search took. The accuracies are a table's. A record of such a row has the selector
`given`: nothing of its search or selection is benchbed's, can be repeated here, or is claimed.
"""

import math
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ..errors import BenchbedError
from ..runtime.files import make_folder, one_line
from ..runtime.folder import write_json
from ..runtime.reading import sha256_of
from ..space import Architecture
from ..tables.csv_reader import Sheet
from ..tables.notations import KEYS, native
from ..tables.table import Table
from ..tables.trusted import trusted
from .config import identity
from .record import GIVEN, UNKNOWN_SECONDS, Record
from .score import TABLE_KEYS, scored_in
from .tables import TableConfig, table_config

COLUMNS = ("method", "seed", "seconds")
LONGEST = 80  # letters of a method's name
MOST_SEED = 2**31


class Result(NamedTuple):
    """One row: seconds is None where the file does not say."""

    method: str
    seed: int
    architecture: Architecture
    seconds: float | None


class Scored(NamedTuple):
    """records in the order of the file; ignored: columns that were not read."""

    records: list[Record]
    ignored: tuple[str, ...]


def read_results(file: Path, table: Table) -> tuple[list[Result], tuple[str, ...]]:
    """The rows of a CSV file, and the columns that are none of its words.

    Raises BenchbedError, one line that names line and column, for an architecture of another space, a method without a
    name, a seed that is not a whole number, seconds below 0, and a method's seed that is there twice.
    """
    sheet = Sheet(file)
    key = next((name for name in KEYS if name in sheet.header), None)
    lacking = ["arch"] * (key is None) + [name for name in COLUMNS[:2] if name not in sheet.header]
    if key is None or lacking:
        raise BenchbedError(f"{file} has no column {lacking[0]}: expected arch, method, seed, and perhaps seconds")
    seeds = sheet.whole("seed")
    seconds = sheet.numbers("seconds", gaps=True) if "seconds" in sheet.header else np.full(len(sheet), math.nan)
    rows: dict[tuple[str, int], int] = {}
    results = []
    for i, (text, method) in enumerate(zip(sheet.text(key), sheet.text("method"), strict=True)):
        method = method.strip()
        if not method.isprintable() or not 0 < len(method) <= LONGEST:
            raise BenchbedError(f"{sheet.where(i)}: method {method[:40]!r}: expected a name of 1 to {LONGEST} letters")
        if seeds[i] > MOST_SEED:
            raise BenchbedError(f"{sheet.where(i)}: seed {seeds[i]}: expected a whole number up to {MOST_SEED:,}")
        if seconds[i] < 0:
            raise BenchbedError(f"{sheet.where(i)}: seconds holds {seconds[i]:g}, expected a number from 0 up")
        if (earlier := rows.setdefault((method, int(seeds[i])), i)) != i:
            raise BenchbedError(f"{sheet.where(i)}: seed {seeds[i]} of {method} is on line {sheet.lines[earlier]} "
                                "already")  # fmt: skip
        try:
            architecture = table.space.parse(native(text.strip(), table.space))
        except BenchbedError as error:
            raise BenchbedError(f"{sheet.where(i)}: {error}") from None
        results.append(Result(method, int(seeds[i]), architecture, None if math.isnan(seconds[i]) else seconds[i]))
    return results, tuple(name for name in sheet.header if name not in (*KEYS, *COLUMNS))


def score_file(file: Path, table: str, dataset: str | None, out: Path) -> Scored:
    """Scores a file's results by a table and writes a record each below `out`; one that is there is written anew.

    Raises BenchbedError for a bad file or table, and for an architecture that the table lacks, before anything is
    written.
    """
    opened = trusted(table)
    raw = {"table": table, **({} if dataset is None else {"dataset": dataset})}
    config = table_config(raw, "supernet", opened.meta["space"])
    assert config is not None
    results, ignored = read_results(file, opened)
    source = {"file": str(file.absolute()), "sha256": sha256_of(file)}
    records = []
    for result in results:
        try:
            records.append(_record(result, config, opened, source))
        except BenchbedError as error:
            raise BenchbedError(f"{file}: {result.method}, seed {result.seed}: {error}") from None
    for record in records:
        with one_line(out / record.id, "make"):
            make_folder(out / record.id)
        write_json(out / record.id / "config.json", record.config)
        record.write(out / record.id / "record.json")
    return Scored(records, ignored)


def _record(result: Result, config: TableConfig, table: Table, source: dict[str, str]) -> Record:
    scored = scored_in(table, config.dataset, result.architecture)
    plugin: dict[str, Any] = {"options": {}, "sha256": None}
    space = table.meta["space"]
    whole: dict[str, Any] = {
        "space": space, "space_options": {}, "objective": GIVEN, "task": config.dataset, "protocol": GIVEN, "epochs": 0,
        "seed": result.seed, "searcher": {"name": result.method, **plugin}, "selector": {"name": GIVEN, **plugin},
        "supernet": None, "scoring": None, "table": config.model_dump(),
    }  # fmt: skip
    words = "".join(letter if letter.isalnum() else "-" for letter in result.method.lower())
    name = identity(f"{words[:40]}-{GIVEN}-{space}-{config.dataset}-s{result.seed}", result.method, config.key())
    unknown = {} if result.seconds is not None else {UNKNOWN_SECONDS: True}
    return Record.of(
        id=name, search=name, searcher=result.method, selector=GIVEN, space=space, objective=GIVEN, task=config.dataset,
        seed=result.seed, config=whole, architecture=result.architecture.text,
        facts=table.space.facts(result.architecture), scores=None, notes={"given": source, **unknown},
        valid_accuracy=scored["valid_accuracy"], test_accuracy=scored["test_accuracy"], scored_by="table",
        **{key: scored.get(key) for key in TABLE_KEYS},
        seconds={"search": result.seconds or 0.0, "selection": 0.0, "scoring": scored["seconds"]},
        segments=scored["segments"],
    )  # fmt: skip
