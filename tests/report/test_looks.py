"""One look a method: the same in every group, never that of another, and told apart by readers of any colour sight."""

from itertools import combinations, product
from pathlib import Path

import numpy as np
import pytest
from jaxtyping import Float
from matplotlib.markers import MarkerStyle

from benchbed.pipeline.record import Record
from benchbed.report.collect import collect
from benchbed.report.groups import CONSTANT, RANDOM_CELL, Group, Row, groups
from benchbed.report.inks import INKS, METHODS, in_ink, swatch
from benchbed.report.looks import COLOURS, CONTROL, MARKERS, Look, Looks

# Machado, Oliveira and Fernandes, IEEE TVCG 15(6), 2009, table 1 at severity 1.0: of linear RGB
SIGHT = {
    "all cones": np.eye(3),
    "protanopia": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    "deuteranopia": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]],
    "tritanopia": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]],
}


def record_of(like: Record, searcher: str, selector: str, seed: int, **options: object) -> Record:
    config = like.config | {
        "searcher": {"name": searcher, "options": options, "sha256": None},
        "selector": {"name": selector, "options": {}, "sha256": None},
    }
    name = f"{searcher}-{selector}-{seed}-{options}"
    new = {"id": name, "search": name, "searcher": searcher, "selector": selector, "seed": seed, "config": config}
    return like.model_copy(update=new)


@pytest.fixture
def like(made: Path) -> Record:
    return collect(made).records[0]


def of_all(group: Group, looks: Looks) -> dict[str, Look]:
    return {row.name: looks.of_row(row) for row in group.rows}


def test_no_two_methods_of_a_large_report_look_the_same(like: Record) -> None:
    names = [f"searcher{k:02}" for k in range(50)] + ["random", "random-search"]
    selectors = ["magnitude", "perturb", "best-of", "constant"] + [f"selector{k:02}" for k in range(11)]
    (group,) = groups(record_of(like, a, b, 0) for a, b in product(names, selectors))
    rows = [row for row in group.rows if row.control not in (CONSTANT, RANDOM_CELL)]
    assert len(rows) > 700
    looks = Looks([group])
    found = [looks.of_row(row) for row in rows]
    assert len(set(found)) == len(found)
    cells = {looks.of_row(row) for row in group.rows} - set(found)
    assert {look.colour for look in cells} == {CONTROL}
    for look in {look.marker: look for look in found}.values():
        assert MarkerStyle(look.marker, fillstyle=look.fill)  # matplotlib draws it
        assert swatch(look).startswith("<svg")


def test_a_method_looks_alike_in_every_group_whatever_a_group_lacks(like: Record) -> None:
    many, few = ("a", "b", "c", "random"), ("c", "b")
    other = {"table": {**like.config["table"], "dataset": "other"}}
    records = [record_of(like, a, b, s) for a, b, s in product(many, ("magnitude", "constant"), range(2))]
    moved = [record_of(like, a, b, s) for a, b, s in product(few, ("constant", "perturb", "magnitude"), range(2))]
    moved = [r.model_copy(update={"id": r.id + "x", "config": r.config | other}) for r in moved]
    both = groups([*records, *moved])
    assert len(both) == 2
    looks = Looks(both)
    first, second = (of_all(group, looks) for group in sorted(both, key=lambda group: -len(group.rows)))
    shared = first.keys() & second.keys()
    assert {"c x magnitude", "b x magnitude", "any x constant"} <= shared
    assert {name: first[name] for name in shared} == {name: second[name] for name in shared}
    every = first | second
    assert every["c x magnitude"].colour == every["c x perturb"].colour != every["b x perturb"].colour
    assert every["c x perturb"].marker == every["b x perturb"].marker != every["b x magnitude"].marker
    assert every["any x constant"].colour == CONTROL


def test_settings_that_differ_in_a_group_are_two_methods_and_elsewhere_one(like: Record) -> None:
    own = [record_of(like, "a", b, s, lr=lr) for b, s, lr in product(("magnitude", "perturb"), range(2), (0.1, 0.2))]
    (group,) = groups(own)
    looks = of_all(group, Looks([group]))
    assert len({look.colour for look in looks.values()}) == 2
    assert looks["a x magnitude (lr=0.1)"].colour == looks["a x perturb (lr=0.1)"].colour

    def searched(row: Row) -> Look:
        return Looks([group]).of_searcher(row)

    assert {searched(row).colour for row in group.rows} == {look.colour for look in looks.values()}
    (one,) = groups(r for r in own if r.config["searcher"]["options"]["lr"] == 0.2)
    two = one._replace(rows=tuple(row._replace(note="") for row in one.rows))
    assert {look.colour for look in of_all(two, Looks([two])).values()} == {COLOURS[0]}


def lab(colours: list[str], sight: Float[np.ndarray, "3 3"]) -> Float[np.ndarray, "n 3"]:
    """CIE L*a*b* of colours as someone sees them."""
    raw = np.array([[int(c[i : i + 2], 16) for i in (1, 3, 5)] for c in colours]) / 255
    linear = np.where(raw <= 0.04045, raw / 12.92, ((raw + 0.055) / 1.055) ** 2.4)
    seen = np.clip(linear @ sight.T, 0, 1)
    to_xyz = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])
    ratio = seen @ to_xyz.T / to_xyz.sum(1)
    f = np.where(ratio > 0.008856, np.cbrt(ratio), 7.787 * ratio + 16 / 116)
    return np.stack([116 * f[:, 1] - 16, 500 * (f[:, 0] - f[:, 1]), 200 * (f[:, 1] - f[:, 2])], axis=1)


@pytest.mark.parametrize("sight", SIGHT)
@pytest.mark.parametrize("scheme", [1, 2], ids=["light", "dark"])
def test_any_two_colours_are_told_apart(scheme: int, sight: str) -> None:
    colours = [INKS[colour.lower()][scheme] for colour in (*COLOURS, CONTROL)]
    places = lab(colours, np.array(SIGHT[sight], dtype=np.float64))
    assert min(np.linalg.norm(a - b) for a, b in combinations(places, 2)) > 18
    assert list(METHODS) == list(COLOURS)


def test_a_swatch_is_drawn_as_the_figures_are() -> None:
    text = str(swatch(Look(COLOURS[1], (0, (5, 1.5)), "s", "none")))
    assert f"stroke:var(--c-{COLOURS[1][1:].lower()})" in text
    assert "stroke-dasharray:7 2.1" in text
    assert "fill:var(--c-ffffff)" in text
    assert "M-4.50 4.50L4.50 4.50L4.50 -4.50L-4.50 -4.50Z" in text.replace(",", " ")  # a square
    assert len({str(swatch(Look(COLOURS[0], (0, ()), marker))) for marker in MARKERS}) == len(MARKERS)


def test_what_is_no_ink_stays() -> None:
    assert in_ink('style="fill: #123456; stroke: #FFFFFF"') == 'style="fill: #123456; stroke: var(--c-ffffff)"'
