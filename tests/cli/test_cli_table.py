"""The commands about tables: what they print, what they refuse in one line, what they leave behind."""

import json
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchbed.spaces.darts.space import Darts
from benchbed.spaces.nb201.space import NB201, all_strings, flops, parameters
from benchbed.tables import Table

Command = Callable[..., Any]
TEXTS = all_strings()
WORDS = ("--dataset", "cifar10", "--split", "test", "--epochs", "200")
CELL_11 = "|nor_conv_3x3~0|+|nor_conv_3x3~0|avg_pool_3x3~1|+|none~0|nor_conv_3x3~1|avg_pool_3x3~2|"


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("BENCHBED_HOME", str(tmp_path / "home"))
    monkeypatch.setattr("benchbed.tables.store.EMBEDDED", tmp_path / "none")  # a table that comes with benchbed
    return tmp_path / "home" / "tables"


@pytest.fixture
def own(tmp_path: Path) -> Path:
    """A CSV file of five cells."""
    file = tmp_path / "own.csv"
    rows = [f"{text},{60 + i},{70 + i}" for i, text in enumerate(TEXTS[:5])]
    file.write_text("\n".join(["arch,cifar10_valid_200,cifar10_test_200", *rows]) + "\n")
    return file


@pytest.fixture
def refused(command: Command, tmp_path: Path, unchecked: None) -> Callable[..., str]:
    """`refused(*arguments)`: the one line that a command ends with, status 2, with nothing changed on disk."""

    def run(*arguments: object) -> str:
        before = {p: p.read_bytes() if p.is_file() else None for p in tmp_path.rglob("*")}
        outcome = command(*arguments)
        assert outcome.status == 2
        assert outcome.err.startswith("benchbed: ")
        assert outcome.err.count("\n") == 1, outcome.err
        assert outcome.out == ""
        assert {p: p.read_bytes() if p.is_file() else None for p in tmp_path.rglob("*")} == before
        line: str = outcome.err
        return line

    return run


def test_import_list_info_query_export(command: Command, own: Path, home: Path, tmp_path: Path) -> None:
    assert "no table is imported: 'table fetch nb201'" in command("table", "list").out
    done = command("table", "import", own, "--name", "mine", "--partial")
    assert (done.status, done.err) == (0, "")
    assert "cifar10_test_200                    5  74.0000  not recorded" in done.out
    following = done.out.strip().splitlines()[-1].partition("benchbed ")[2]
    assert "64.0000 %" in command(*shlex.split(following)).out

    listed = command("table", "list").out
    assert listed.split()[:3] == ["mine", "2", "figures"]
    facts = json.loads(command("table", "info", "mine", "--json").out)
    assert facts["fingerprint"] == Table.open("mine").fingerprint
    assert facts["figures"]["cifar10_test_200"] == {
        "cells": 5, "cells_by_runs": None, "seeds": [], "train_seconds": False,
        "best": {"accuracy": 74.0, "architecture": TEXTS[4], "ties": 1},
    }  # fmt: skip
    assert facts["sources"][0]["name"] == "own.csv"
    assert command("table", "info", home / "mine.npz").out == command("table", "info", "mine").out

    asked = command("query", "mine", "--arch", TEXTS[2], *WORDS)
    assert asked.out == "72.0000 %  cifar10 test accuracy after 200 epochs, mean (number of seeds not recorded)\n"
    assert command("table", "export", "mine", tmp_path / "out.csv").out.startswith("5 cells written to")
    counts = [f"{parameters(cell)},{flops(cell)}" for cell in map(NB201().parse, TEXTS[:5])]
    rows = [f"{text},{60 + i}.0,{70 + i}.0,{counts[i]}" for i, text in enumerate(TEXTS[:5])]
    header = "arch,cifar10_valid_200,cifar10_test_200,cifar10_params,cifar10_flops"
    assert (tmp_path / "out.csv").read_text().splitlines() == [header, *rows]


def test_query_shows_mean_number_of_seeds_and_spread(command: Command, shared_data: Path) -> None:
    assert command("table", "import", shared_data / "nats-tss-sample", "--name", "sample").status == 0
    shown = command("query", "sample", "--arch", CELL_11, *WORDS).out
    assert shown == (
        "91.5833 %  cifar10 test accuracy after 200 epochs, mean (3 seeds)\n"
        "seeds 777: 91.7900, 888: 91.7600, 999: 91.2000; standard deviation 0.3323\n"
    )
    found = json.loads(command("query", "sample", "--arch", CELL_11, *WORDS, "--json").out)
    assert found["mean"] == pytest.approx(91.583333333)
    assert found["n_seeds"] == 3
    assert found["spread"] == pytest.approx(0.332315, abs=1e-6)  # sample standard deviation, by hand
    assert found["seeds"] == {"777": 91.79, "888": 91.76, "999": 91.2}
    assert (found["dataset"], found["split"], found["epochs"]) == ("cifar10", "test", 200)
    once = command("query", "sample", "--arch", CELL_11, *WORDS[:-1], "12").out
    assert "mean (1 seed)" in once
    assert "deviation" not in once


def test_describe_shows_a_cell_in_a_table_and_its_neighbours(
    command: Command, refused: Callable[..., str], shared_data: Path
) -> None:
    command("table", "import", shared_data / "nb201" / "table.csv", "--name", "full")
    table = Table.open("full")
    cell = table.space.parse(CELL_11)
    told = json.loads(command("describe", "--arch", CELL_11, "--table", "full", "--json").out)
    assert told["params"] == 802426
    values = table.values("cifar10", "test", 200)
    rank = 1 + int((values > values[cell.choices]).sum())
    assert told["table"]["figures"]["cifar10_test_200"] == {"accuracy": 91.583333, "rank": rank}
    assert len(told["table"]["neighbours"]) == 24
    for other in told["table"]["neighbours"]:
        choices = table.space.parse(other["architecture"]).choices
        assert sum(a != b for a, b in zip(choices, cell.choices, strict=True)) == 1
        assert other["accuracy"]["imagenet16-120_test_200"] == values_of(table, choices)
    lines = command("describe", "--arch", CELL_11, "--table", "full").out.splitlines()
    assert any(line.split() == ["cifar10_test_200", "91.5833", "rank", f"{rank:,}", "of", "15,625"] for line in lines)
    first = told["table"]["neighbours"][0]
    (row,) = [line.split() for line in lines if line.startswith(f"{first['position']}    {first['operation']} ")]
    assert row[2] == f"{first['accuracy']['cifar10_valid_200']:.4f}"
    assert "unknown table 'fulll': did you mean 'full'" in refused("describe", "--arch", CELL_11, "--table", "fulll")


def values_of(table: Table, choices: tuple[int, ...]) -> float:
    return float(table.values("imagenet16-120", "test", 200)[choices])


def test_describe_shows_gaps_of_a_partial_table(command: Command, own: Path) -> None:
    command("table", "import", own, "--name", "mine", "--partial")
    told = json.loads(command("describe", "--arch", TEXTS[7], "--table", "mine", "--json").out)
    assert told["table"]["figures"]["cifar10_test_200"] == {"accuracy": None, "rank": None}
    lines = command("describe", "--arch", TEXTS[0], "--table", "mine").out.splitlines()
    assert any(line.split() == ["2->3", "skip_connect", "61.0000", "71.0000"] for line in lines)
    assert any(line.split() == ["0->1", "skip_connect", "-", "-"] for line in lines)


def test_describe_shows_neighbours_that_keep_another_input(command: Command, tmp_path: Path) -> None:
    space = Darts()
    cell = space.random(np.random.default_rng(2))
    near = list(space.neighbours(cell))
    held = {cell.text: 90.0} | {other.text: 91 + i / 10 for i, other in enumerate(near[::40])}
    file = tmp_path / "some.csv"
    file.write_text("arch,cifar10_test_600\n" + "".join(f'"{text}",{value}\n' for text, value in held.items()))
    command("table", "import", file, "--name", "some", "--space", "darts", "--partial")
    words = ("describe", "--space", "darts", "--arch", cell.text, "--table", "some")
    told = json.loads(command(*words, "--json").out)["table"]["neighbours"]
    assert [other["architecture"] for other in told] == [other.text for other in near]
    for one, other in zip(told, near, strict=True):
        gone = [p.name for p, a, b in zip(space.positions, cell.choices, other.choices, strict=True) if b < 0 <= a]
        assert [one["in_place_of"]] == gone if gone else "in_place_of" not in one
        assert one["accuracy"] == {"cifar10_test_600": held.get(other.text)}
    lines = command(*words).out.splitlines()
    assert lines[-1] == f"{len(near) - len(held) + 1} of {len(near)} neighbours have no figure in the table"
    last = told[(len(near) - 1) // 40 * 40]
    assert lines[-2].split() == [
        last["position"], last["operation"], f"{held[last['architecture']]:.4f}", "in", "place", "of",
        last["in_place_of"],
    ]  # fmt: skip


def test_a_damaged_table_does_not_hide_the_others(command: Command, own: Path, home: Path) -> None:
    command("table", "import", own, "--name", "good", "--partial")
    (home / "bad.npz").write_bytes(b"PK")
    listed = command("table", "list")
    assert listed.status == 0
    assert "is cut off or damaged" in listed.out.splitlines()[0]
    assert listed.out.splitlines()[1].startswith("good ")


def test_bad_input(refused: Callable[..., str], command: Command, own: Path, tmp_path: Path) -> None:
    command("table", "import", own, "--name", "mine", "--partial")
    ask = ("query", "mine", "--arch", TEXTS[0])
    for arguments, said in (
        (("query", "mien", "--arch", TEXTS[0], *WORDS), "unknown table 'mien': did you mean 'mine'? known: mine"),
        ((*ask, "--dataset", "cifar-10", *WORDS[2:]), "did you mean 'cifar10'? known: cifar10"),
        ((*ask, *WORDS[:3], "tests", *WORDS[4:]), "did you mean 'test'? known: test, valid"),
        ((*ask, *WORDS[:5], "12"), "no cifar10 test accuracy after 12 epochs: nearest 200; it has 200"),
        ((*ask, *WORDS[:5], "twelve"), "'--epochs'"),
        ((*ask, *WORDS[:4]), "Missing option '--epochs'"),
        (("query", "mine", *WORDS), "Missing option '--arch'"),
        (("query", "mine", "--arch", "|none~0|", *WORDS), "expected |op~0|+|op~0|op~1|+|op~0|op~1|op~2|"),
        (("query", "mine", "--arch", TEXTS[9], *WORDS), f"of {TEXTS[9]}: its source holds 5 of the 15,625 cells"),
        (("table", "import", own, "--name", "two"), "has 5 of the 15,625 cells"),
        (("table", "import", own, "--name", "mine", "--partial"), "a table named 'mine' is there already"),
        (("table", "import", own), "Missing option '--name'"),
        (("table", "import", tmp_path / "no.csv", "--name", "x"), "no.csv: No such file or directory"),
        (("table", "fetch", "nb202"), "unknown table to fetch 'nb202': did you mean 'nb201'?"),
        (("table", "fetch"), "Missing argument 'name'"),
        (("table", "info", "x"), "unknown table 'x': known: mine"),
        (("table", "export", "mine", own), "own.csv is there already: give another name, or --force"),
        (("table", "export", "mine", tmp_path / "no" / "out.csv"), "cannot write"),
        (("table", "exprot", "mine"), "No such command 'exprot'"),
    ):
        assert said in refused(*arguments), arguments


def test_a_damaged_source_leaves_no_home(refused: Callable[..., str], own: Path, home: Path) -> None:
    own.write_text(own.read_text().replace("72", "seventy"))
    assert "own.csv line 4: cifar10_test_200 holds 'seventy', which is not a number" in refused(
        "table", "import", own, "--name", "mine", "--partial"
    )
    assert not home.exists()
