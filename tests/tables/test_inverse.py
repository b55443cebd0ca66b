"""Figures in, cells out: published rows whose cells are known, every way of writing them, and what no cell has."""

import json
from collections.abc import Callable
from itertools import permutations
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchbed.errors import BenchbedError
from benchbed.spaces.nb201.space import NB201
from benchbed.tables import Table, whois
from benchbed.tables.figures import Figure

Command = Callable[..., Any]

# methods.md, section 1: looked up by hand in the benchmark's own table
PUBLISHED = {
    9930: "91.55 94.36 73.49 73.51 46.37 46.34",
    1835: "39.77 54.30 15.03 15.61 16.43 16.32",
    1462: "90.20 93.76 70.71 71.11 40.78 41.44",
    6111: "91.61 94.37 72.75 73.22 45.56 46.71",
}
SIX = [Figure(d, s, 200) for d in ("cifar10", "cifar100", "imagenet16-120") for s in ("valid", "test")]


@pytest.mark.parametrize("number", PUBLISHED)
def test_published_rows_are_their_cells(full: Table, number: int) -> None:
    figures = PUBLISHED[number].split()
    found = whois(full, figures)
    assert [cell.number for cell in found.cells] == [number]
    assert [figure for figure, _ in found.cells[0].figures] == SIX
    assert whois(full, figures[::-1]).cells[0].number == number
    assert whois(full, [float(f) for f in figures]).cells[0].number == number


def test_a_row_that_no_cell_has_names_the_nearest_and_what_is_off(full: Table) -> None:
    found = whois(full, ["90.20", "93.76", "70.21", "70.67", "40.78", "41.44"])
    assert found.cells == ()
    assert found.nearest[0].number == 1462
    assert found.nearest[0].equal == (True, True, False, False, True, True)


def test_random_cells_are_found_by_any_four_of_their_six_figures(full: Table) -> None:
    """As often as the table allows: brute force says which other cells have the same four."""
    rng = np.random.default_rng(0)
    values = np.stack([full.values(*figure).reshape(-1) for figure in SIX])
    alone = 0
    for place in rng.choice(values.shape[1], 60, replace=False).tolist():
        chosen = rng.permutation(6)[:4]
        asked = [f"{values[c, place]:.2f}" for c in chosen]
        cells = whois(full, asked).cells
        assert full.places.architecture(place) in [cell.architecture for cell in cells], asked
        near = np.abs(values[None] - np.array([float(a) for a in asked])[:, None, None]) <= 0.0051
        could = {int(p) for p in np.flatnonzero(near.any(1).all(0))}
        assert {full.place(cell.architecture) for cell in cells} >= {place}
        alone += len(cells) == 1
        assert len(cells) <= len(could) + 1
    assert alone >= 55


def test_each_figure_has_a_column_of_its_own(make_table: Callable[..., Table]) -> None:
    """Brute force over every way of holding three figures against two columns' values, on cells that share values."""
    rng = np.random.default_rng(1)
    table = make_table("mine", valid=rng.integers(20, 24, (5,) * 6) * 1.0, test=rng.integers(20, 24, (5,) * 6) * 1.0)
    valid, test = (table.values("cifar10", split, 200).reshape(-1) for split in ("valid", "test"))
    for asked in (("21", "21"), ("21", "23"), ("20", "20.0")):
        wanted = {
            place for place in range(valid.size)
            if any(abs(valid[place] - a) < 0.6 and abs(test[place] - b) < (0.06 if "." in asked[order[1]] else 0.6)
                   for order in permutations(range(2)) for a, b in [[float(asked[i]) for i in order]])
        }  # fmt: skip
        assert {table.place(cell.architecture) for cell in whois(table, asked).cells} == wanted


def test_the_decimals_say_how_near(make_table: Callable[..., Table]) -> None:
    flat = np.full(5**6, 50.0)
    flat[:3] = 91.0, 91.004, 91.04
    table = make_table("mine", valid=flat.reshape((5,) * 6), test=np.full((5,) * 6, 40.0))
    counts = {asked: len(whois(table, [asked]).cells) for asked in ("91", "91.0", "91.00", "91.000")}
    assert counts == {"91": 3, "91.0": 3, "91.00": 2, "91.000": 1}
    assert len(whois(table, ["91.000"], tolerance=0.05).cells) == 3


def test_gaps_of_a_partial_table_are_nobodys(make_table: Callable[..., Table]) -> None:
    flat = np.full(5**6, np.nan)
    flat[7] = 91.0
    table = make_table("mine", valid=flat.reshape((5,) * 6), test=flat.reshape((5,) * 6))
    (cell,) = whois(table, ["91", "91"]).cells
    assert cell.architecture == NB201().architecture_of((0, 0, 0, 0, 1, 2))
    assert whois(table, ["92.5"]).nearest[0].architecture == cell.architecture


@pytest.mark.parametrize(
    ("figures", "options", "words"),
    [
        (["abc"], {}, "whois 'abc': expected an accuracy in percent, such as 94.36"),
        (["nan"], {}, "whois nan: an accuracy in percent is expected, from 0 to 100"),
        (["1e400"], {}, "whois 1e400: an accuracy"),
        (["101"], {}, "whois 101: an accuracy in percent is expected, from 0 to 100"),
        (["-1"], {}, "whois -1: an accuracy"),
        ([], {}, "whois with 0 figures: table mine has 2 of a cell, so 1 to 2 can be asked for"),
        (["1", "2", "3"], {}, "whois with 3 figures"),
        (["91"], {"epochs": 12}, "--epochs 12: table mine has 200"),
        (["91"], {"tolerance": -1.0}, "--tolerance -1: expected points of accuracy, at least 0"),
    ],
)
def test_what_is_no_question_is_refused(
    make_table: Callable[..., Table], figures: list[str], options: dict[str, Any], words: str
) -> None:
    with pytest.raises(BenchbedError, match=words):
        whois(make_table("mine"), figures, **options)


def test_the_command(make_table: Callable[..., Table], command: Command, tmp_path: Path) -> None:
    flat = np.full(5**6, 50.0)
    flat[0] = 91.256
    make_table("mine", valid=flat.reshape((5,) * 6), test=flat.reshape((5,) * 6))
    done = command("table", "whois", "91.26", "91.3", "--table", "mine")
    assert done.status == 0, done.err
    assert "1 cell of table mine has 91.26 91.3" in done.out
    assert "91.3  = 91.2560  cifar10 test" in done.out
    assert "says nothing about how they came to be so" in done.out
    many = command("table", "whois", "50.0", "--table", "mine", "--most", "2").out
    assert "15,624 cells of table mine have 50.0" in many
    assert "and 15,622 more" in many
    found = json.loads(command("table", "whois", "91.3", "60", "--table", "mine", "--json").out)
    assert (found["cells"], found["nearest"][0]["equal"]) == (0, [True, False])
    refused = command("table", "whois", "ninety", "--table", "mine")
    assert (refused.status, refused.err.count("\n")) == (2, 1)
