"""The figures of a report: which there are, that both formats are whole, and what stands in them."""

from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from matplotlib.figure import Figure

from benchbed.pipeline.history import Epoch
from benchbed.report.collect import Clock, Collection, collect
from benchbed.report.curves import Searched, curves, on_grid
from benchbed.report.figures import favourite, figures, pareto, trajectories
from benchbed.report.groups import Group, groups
from benchbed.report.looks import Looks
from benchbed.spaces.load import load_space


@pytest.fixture
def found(made: Path) -> Collection:
    return collect(made)


def test_records_give_every_figure_in_both_formats(found: Collection) -> None:
    (group,) = groups(found.records)
    drawn, absent = figures(group, found.histories)
    kinds = [figure.kind for figure in drawn]
    assert kinds.count("curves") == kinds.count("ranks") == kinds.count("front") == 1
    assert kinds.count("alpha") == 2  # of darts and of proxyless
    assert kinds.count("cell") == len({favourite(row)[0] for row in group.rows})
    assert absent == []
    assert len({figure.name for figure in drawn}) == len(drawn)
    for figure in drawn:
        assert ElementTree.fromstring(figure.svg).tag.endswith("svg")
        assert figure.pdf.startswith(b"%PDF-")
        assert figure.pdf.rstrip().endswith(b"%%EOF")
        assert figure.caption


def test_what_cannot_be_drawn_is_said(found: Collection) -> None:
    (group,) = groups([r for r in found.records if r.seed == 0 and r.selector == "magnitude"])
    drawn, absent = figures(group, {})
    assert {figure.kind for figure in drawn} <= {"cell", "front"}
    assert "no anytime curves" in absent[0]
    assert "no two settings share two seeds" in absent[1]
    unknown = group._replace(space="absent")
    drawn, absent = figures(unknown, found.histories)
    assert "space 'absent' is not known here" in absent[-1]
    assert not any(figure.kind in ("cell", "alpha") for figure in drawn)
    wrong = {name: [Epoch(1.0, 50.0, ((0.5, 0.5),))] * 2 for name in found.histories}
    _, absent = figures(group, wrong)
    assert any("are not of the shape of 'nb201'" in line for line in absent)


def drawn_curves(group: Group, runs: dict[str, list[list[Epoch]]]) -> Figure:
    """Curves of made-up searches, of which a group's rows tell the looks."""
    rows = iter(group.rows * len(runs))
    return curves({name: Searched(next(rows), found) for name, found in runs.items()}, Looks([group]))


def test_a_legend_of_long_names_stays_in_the_picture(found: Collection) -> None:
    (group,) = groups(found.records)
    names = [f"regularised-evolution (budget={n}000.0, population=20)" for n in range(5)]
    figure = drawn_curves(group, {name: [[Epoch(1.0, 50.0, ()), Epoch(2.0, 60.0, ())]] for name in names})
    figure.canvas.draw()
    (legend,) = figure.legends
    box, whole = legend.get_window_extent(), figure.bbox
    assert whole.x0 <= box.x0 < box.x1 <= whole.x1
    assert whole.y0 <= box.y0
    assert figure.axes[0].get_window_extent().height > 0.4 * whole.height


def test_a_curve_is_the_mean_over_seeds_as_far_as_all_have_come(found: Collection) -> None:
    (group,) = groups(found.records)
    runs = [[Epoch(e * k, 10.0 * e * k, ()) for e in (1, 2, 3)[:length]] for k, length in ((1, 3), (3, 2))]
    figure = drawn_curves(group, {"one": runs})
    (axes,) = figure.axes
    (line,) = axes.lines
    assert line.get_xdata().tolist() == [2, 4]
    assert line.get_ydata().tolist() == [20, 40]
    band = axes.collections[0].get_paths()[0].vertices[:, 1]
    assert (band.min(), band.max()) == (0, 100)  # 20 +- 12.7 * 10 is wider than accuracies are
    close = [[Epoch(1.0, accuracy, ())] for accuracy in (50.0, 51.0)]
    band = drawn_curves(group, {"one": close}).axes[0].collections[0].get_paths()[0].vertices[:, 1]
    # the 95 % t interval of two values: 50.5 +- 12.7062 * 0.5
    assert (band.min(), band.max()) == pytest.approx((50.5 - 6.3531, 50.5 + 6.3531), rel=1e-4)


@pytest.mark.parametrize(("name", "panels"), [("nb201", 6), ("darts", 28)])
def test_a_trajectory_has_a_panel_a_position_and_a_line_an_operation(name: str, panels: int) -> None:
    space = load_space(name)
    p = tuple(tuple(row) for row in (space.mask / space.mask.sum(1, keepdims=True)).tolist())
    figure = trajectories([[Epoch(e, 50.0, p) for e in (1, 2, 3)]], space)
    shown = [axes for axes in figure.axes if axes.get_visible()]
    assert len(shown) == panels
    assert [len(axes.lines) for axes in shown] == [len(q.operations) for q in space.positions]


def test_the_front_holds_what_no_run_beats(found: Collection) -> None:
    (group,) = groups(found.records)
    records = group.records
    costs = {r.id: float(k) for k, r in enumerate(records)}
    steps = next(line for line in pareto(group, "ms", costs).axes[0].lines)
    best = [(costs[r.id], r.test_accuracy) for r in records]
    wanted = [(x, y) for x, y in best if not any(u <= x and v >= y and (u, v) != (x, y) for u, v in best)]
    assert list(zip(*np.array([steps.get_xdata(), steps.get_ydata()]).tolist(), strict=True)) == wanted


def test_a_paid_cost_has_a_front_of_its_own(found: Collection) -> None:
    cost = {"device": "pixel", "unit": "ms", "chosen": 3.0}
    records = [r.model_copy(update={"cost": {**cost, "chosen": 3.0 + r.seed}}) for r in found.records]
    (group,) = groups([r for r in records if r.searcher == "darts" and r.selector == "magnitude"])
    drawn, _ = figures(group, {})
    names = [figure.name.removeprefix(f"{group.slug}-") for figure in drawn if figure.kind == "front"]
    assert names[0] == "front-pixel"
    assert group.rows[0].unit == "pixel, ms"


def test_the_favourite_is_what_most_seeds_chose(found: Collection) -> None:
    (group,) = groups(found.records)
    row = next(row for row in group.rows if not row.control)
    a, b, c = row.records
    two = row._replace(records=(a, b.model_copy(update={"architecture": a.architecture}), c))
    assert favourite(two) == (a.architecture, 2)
    split = [
        r.model_copy(update={"architecture": f"x{k}", "valid_accuracy": 50.0 + k}) for k, r in enumerate((c, a, b))
    ]
    assert favourite(row._replace(records=tuple(split))) == ("x2", 1)


def test_the_incumbents_of_a_table_search_are_steps_on_its_clock() -> None:
    steps = on_grid(Clock(600.0, [(95.0, 50.0), (300.0, 60.0), (599.0, 70.0)]))
    assert [e.seconds for e in steps[:2]] == [10, 20]
    accuracy = {e.seconds: e.accuracy for e in steps}
    assert np.isnan(accuracy[90.0])  # nothing was evaluated yet
    assert [accuracy[at] for at in (100.0, 290.0, 300.0, 590.0, 600.0)] == [50, 50, 60, 60, 70]


def test_both_kinds_of_search_share_the_axis_of_seconds(found: Collection) -> None:
    (group,) = groups(found.records)
    clocks = {r.search: Clock(600.0, [(100.0, 50.0 + r.seed)]) for r in found.records if r.searcher == "darts"}
    (drawn,) = [figure for figure in figures(group, found.histories, clocks)[0] if figure.kind == "curves"]
    assert "Of darts, which search on a table alone" in drawn.caption
    (plain,) = [figure for figure in figures(group, found.histories)[0] if figure.kind == "curves"]
    assert "alone" not in plain.caption
    assert drawn.svg != plain.svg
