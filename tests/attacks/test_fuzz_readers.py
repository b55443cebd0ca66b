"""Every parser of what comes from outside, on inputs that hypothesis makes: it returns, or raises BenchbedError.

An input is a good file, or drawn of the parser's own vocabulary, or any bytes; and each is read again after changes of
its bytes, by a seed that is drawn with it. `BENCHBED_FUZZ=1000000` says how many inputs there are in all in the slow
test; by default a few hundred a parser. What was found is among the explicit examples.
"""

import atexit
import bz2
import os
import random
import shutil
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from benchbed.errors import BenchbedError
from benchbed.images.batches import Layout, read_batch
from benchbed.images.folders import header
from benchbed.images.mat import read_mat
from benchbed.images.splits import SplitFile, official
from benchbed.latency.files import read_entries, read_ours, read_whole
from benchbed.pipeline.history import history
from benchbed.pipeline.record import Record
from benchbed.runtime.failures import failures
from benchbed.runtime.files import read_toml
from benchbed.runtime.folder import load_checkpoint, read_json
from benchbed.runtime.reading import parse_json, parse_toml
from benchbed.spaces.nb201.space import NB201
from benchbed.tables.csv_reader import Sheet
from benchbed.tables.from_json import read_by_cell
from benchbed.tables.from_macro import read_macro
from benchbed.tables.from_upstream import read_landscape
from benchbed.tables.importing import recognise
from benchbed.tables.table import Table
from benchbed.tables.table_builder import Draft
from benchbed.tables.unpickle import read_pbz2
from benchbed.tasks.npz import npz_task

HERE = Path(__file__).resolve().parent
IN_ALL = int(os.environ.get("BENCHBED_FUZZ", "0"))
FEW = 400  # inputs a parser in the default lane
AGAIN = 20  # inputs of each one that is drawn: itself, and changes of it
PLACE = Path(tempfile.mkdtemp(prefix="benchbed-fuzz-", dir="/dev/shm" if Path("/dev/shm").is_dir() else None))
atexit.register(shutil.rmtree, PLACE, ignore_errors=True)

sys.path.insert(0, str(HERE))
try:
    import forge_binary as binary
    import forge_inputs as forged
finally:
    sys.path.remove(str(HERE))


class Parser(NamedTuple):
    """read: of a file with the input; inputs: what is drawn for it; file: the name that it must have."""

    read: Callable[[Path], object]
    inputs: st.SearchStrategy[bytes]
    file: str = "x"


def table(path: Path) -> None:
    opened = Table.open(path)
    for figure in opened.figures:
        opened.query(forged.CELL, *figure)
        opened.answer(forged.CELL, *figure)
    opened.is_whole()


def imported(path: Path) -> None:
    from benchbed.tables.from_csv import read_csv

    kind = recognise(path)
    if kind == "csv":
        read_csv(path, Draft("nb201"), partial=True)
    elif kind == "landscape":
        read_landscape(path, Draft("nb201"))
    elif kind == "by-cell":
        read_by_cell(path, Draft("nb201"))
    elif kind == "macro":
        read_macro(path, {})


LAYOUT = Layout(labels="labels", first=0, last=9, side=4)
PARSERS = {
    "json": Parser(lambda p: parsed(parse_json, p), forged.json_inputs({"a": 1, "b": [1.5, None, "x"]})),
    "toml": Parser(lambda p: parsed(parse_toml, p), forged.TOML),
    "configuration": Parser(read_toml, forged.TOML),
    "object": Parser(lambda p: read_json(p, ("id",)), forged.json_inputs({"id": 1, "x": {"y": []}})),
    "record": Parser(Record.read, forged.json_inputs(forged.RECORD), "run/record.json"),
    "history": Parser(history, forged.lines(forged.json_inputs(forged.EPOCH)), "history.jsonl"),
    "failures": Parser(
        lambda p: failures(p.parent),
        forged.lines(forged.json_inputs({"run": "a", "reason": "b", "attempts": 1})),
        "failures.jsonl",
    ),
    "csv": Parser(Sheet, forged.CSV),
    "imported": Parser(
        imported,
        forged.CSV
        | forged.json_inputs({forged.CELL: 90.5})
        | forged.json_inputs({"02012100": {"test_acc": [1, 2, 3]}}),
    ),
    "latency": Parser(lambda p: read_entries(p, "nb201"), forged.LATENCY),
    "measured": Parser(read_ours, forged.LATENCY),
    "networks": Parser(lambda p: read_whole(p, None, NB201()), forged.CSV),
    "splits": Parser(
        lambda p: official(SplitFile(p.name, ("train", "valid"), "train"), p.parent, 4, 4),
        forged.json_inputs({"train": ["int", ["0", "1"]], "valid": ["int", ["2", "3"]]}),
    ),
    "table": Parser(
        table,
        st.one_of(
            forged.archives(forged.TABLE, sorted(forged.TABLE)),
            forged.METADATA,
            forged.of([binary.archive(forged.TABLE.items())]),
        ),
        "x.npz",
    ),
    "npz-task": Parser(
        npz_task,
        forged.archives(forged.IMAGES, sorted(forged.IMAGES)) | forged.of([binary.archive(forged.IMAGES.items())]),
        "x.npz",
    ),
    "batch": Parser(lambda p: read_batch(p, LAYOUT, None), forged.PICKLES),
    "pbz2": Parser(read_pbz2, forged.PICKLES.map(bz2.compress) | forged.of([bz2.compress(forged.BATCH)])),
    "checkpoint": Parser(
        load_checkpoint,
        st.one_of(
            forged.of([forged.checkpoint()]),
            forged.PROGRAMS.map(lambda p: binary.archive([("a/data.pkl", p), ("a/version", b"3\n")])),
        ),
    ),
    "mat": Parser(lambda p: read_mat(p, LAYOUT, None), forged.of([forged.MAT])),
    "image": Parser(
        header,
        forged.of(
            [binary.png(8, 8, binary.zlib.compress(b"\0" * 72)), b"P5\n2 2\n255\nabcd", b"GIF89a\2\0\2\0\0\0\0;"]
        ),
    ),
}


def parsed(parse: Callable[[str], object], path: Path) -> None:
    """A parser of text alone, whose reason is a ValueError's."""
    try:
        parse(path.read_bytes().decode())
    except ValueError as error:
        raise BenchbedError(str(error)) from None


def keeps_its_word(parser: Parser, data: bytes) -> None:
    """Reads the input, and raises what is no BenchbedError, or one that is not a line."""
    path = PLACE / parser.file
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(data)
    try:
        parser.read(path)
    except BenchbedError as error:
        if not 0 < len(str(error)) < 4000 + 2 * len(str(path)):
            raise AssertionError(f"a refusal of {len(str(error)):,} letters") from error


# Found by these tests; each once ended in something else than BenchbedError.
FOUND: list[tuple[str, bytes]] = [
    ("imported", f'a"rch,phone\n{forged.CELL},3.5\n'.encode()),  # recognised by a column that CSV does not have
    ("imported", b'Architecture"String,CIFAR10TestAccuracy200Epochs,CIFAR100TestAccuracy200Epochs,'
                 b"ImageNetTestAccuracy200Epochs\na,1,1,1\n"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "data"), FOUND)
def test_what_was_found_is_refused(name: str, data: bytes, unchecked: None) -> None:
    keeps_its_word(PARSERS[name], data)


@pytest.mark.parametrize("name", PARSERS)
def test_a_parser_returns_or_refuses(name: str, unchecked: None) -> None:
    fuzz(name, FEW)


@pytest.mark.slow
@pytest.mark.parametrize("name", PARSERS)
def test_a_million_inputs(name: str, unchecked: None) -> None:
    """So many in all as BENCHBED_FUZZ says, else 20,000."""
    count = (IN_ALL or 20_000) // len(PARSERS)
    assert fuzz(name, count) >= count * 0.9


def fuzz(name: str, count: int) -> int:
    """Reads about so many inputs; how many it were."""
    done, parser = 0, PARSERS[name]

    @settings(
        max_examples=max(count // AGAIN, 10),
        deadline=None,
        database=None,
        phases=(Phase.generate, Phase.shrink),
        suppress_health_check=list(HealthCheck),
    )
    @given(parser.inputs, st.integers(0, 2**32))
    def each(data: bytes, seed: int) -> None:
        nonlocal done
        rng = random.Random(seed)
        for number in range(AGAIN):
            done += 1
            keeps_its_word(parser, forged.changed(data, rng) if number else data)

    each()
    return done
