"""Searchers by selectors, and what a selector or a modifier alone changes, from accuracies written down."""

import csv
import io
import math
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest
from scipy import stats

from benchbed.pipeline.record import GIVEN
from benchbed.report import crossed
from benchbed.report.collect import Record, collect
from benchbed.report.groups import Group, groups
from benchbed.report.latex import latex
from benchbed.report.tables import frame
from benchbed.report.write import Report

GIVEN_FIGURES = {  # by searcher and selector, a figure a seed
    ("darts", "magnitude"): [60.0, 70.0, 80.0],
    ("darts", "perturb"): [61.0, 73.0, 85.0],
    ("proxyless", "magnitude"): [50.0, 50.0, 50.0],
    ("proxyless", "perturb"): [52.0, 51.0, 53.0],
    ("darts+oles", "magnitude"): [62.0, 71.0, 83.0],
    ("darts+oles", "perturb"): [61.0, 73.0, 85.0],
    ("darts", "constant"): [90.0, 90.0, 90.0],
    ("blank", "magnitude"): [40.0, 40.0, 41.0],
}


@pytest.fixture
def model(made: Path) -> Record:
    return next(r for r in collect(made).records if r.selector == "magnitude")


def group_of(model: Record, figures: Mapping[tuple[str, str], Sequence[float]], **more: object) -> Group:
    (found,) = groups(records_of(model, figures, **more))
    return found


def records_of(
    model: Record, figures: Mapping[tuple[str, str], Sequence[float]], **options: object
) -> list[Record]:
    """A record a figure, seeds from 0 on; options: of the selector."""
    found = []
    for (searcher, selector), values in figures.items():
        for seed, value in enumerate(values):
            config = {**model.config, "seed": seed, "searcher": {**model.config["searcher"], "name": searcher}}
            config["selector"] = {**model.config["selector"], "name": selector, "options": dict(options)}
            own = "".join(f"{key}{value}-" for key, value in options.items())
            changed = {"searcher": searcher, "selector": selector, "seed": seed, "test_accuracy": value}
            changed["regret"] = model.test_accuracy + (model.regret or 0.0) - value
            names = {"id": f"{searcher}-{selector}-{own}{seed}", "search": f"{searcher}-{seed}"}
            found.append(model.model_copy(update={**changed, **names, "config": config}))
    return found


def texts(table: crossed.Table) -> dict[str, list[str]]:
    return {line[0].text: [cell.text for cell in line[1:]] for line in table.lines}


def test_the_matrix_has_every_pair_with_the_best_of_each_searcher_bold(model: Record) -> None:
    matrix = crossed.tables(group_of(model, GIVEN_FIGURES))[0]
    assert matrix.head == ["searcher", "magnitude", "perturb"]
    assert texts(matrix) == {
        "darts": ["70.00 ± 10.00", "73.00 ± 12.00"],
        "darts+oles": ["72.00 ± 10.54", "73.00 ± 12.00"],
        "proxyless": ["50.00 ± 0.00", "52.00 ± 1.00"],
    }  # blank has one selector, and a constant cell is no searcher's
    assert [[cell.strong for cell in line] for line in matrix.lines] == [[False, False, True]] * 3
    assert "n = 3 seeds" in matrix.caption


def test_what_a_selector_changes_is_the_paired_mean_with_students_interval_and_its_permutation_test(model: Record):
    every = crossed.effects(crossed.grid_of(group_of(model, GIVEN_FIGURES)))
    found = {(e.kind, e.searcher, e.selector): e for e in every}
    darts = found["selector", "darts", "perturb"]
    assert (darts.base, darts.difference.n, darts.difference.mean) == ("magnitude", 3, 3.0)  # of 1, 3 and 5
    low, high = stats.t.interval(0.95, 2, 3.0, stats.sem([1, 3, 5]))
    assert (darts.difference.low, darts.difference.high) == pytest.approx((low, high))
    raw = stats.permutation_test(
        ([61.0, 73.0, 85.0], [60.0, 70.0, 80.0]), lambda a, b: (a - b).mean(), permutation_type="samples"
    ).pvalue
    assert raw == 0.25
    # Holm over darts and proxyless, whose signs agree on all seeds, and oles, whose do not
    assert darts.p == found["selector", "proxyless", "perturb"].p == 0.75
    assert found["selector", "darts+oles", "perturb"].difference.mean == pytest.approx(1.0)  # of -1, 2 and 2
    overall = found["selector, mean of searchers", "mean of 3 searchers", "perturb"]
    assert overall.difference.mean == pytest.approx((3 + 1 + 2) / 3)
    assert overall.difference.n == 3
    assert overall.p == 0.25  # corrected with nothing else


def test_what_a_modifier_changes_is_beside_the_same_searcher_without_it(model: Record) -> None:
    group = group_of(model, GIVEN_FIGURES)
    found = {(e.searcher, e.selector): e for e in crossed.effects(crossed.grid_of(group)) if e.kind == "modifier"}
    assert {key: (e.base, e.difference.mean) for key, e in found.items()} == {
        ("darts+oles", "magnitude"): ("darts", 2.0),
        ("darts+oles", "perturb"): ("darts", 0.0),
    }
    modifiers = crossed.tables(group)[-1]
    assert texts(modifiers)["darts+oles"][1] == "+0.00 (all equal)"
    assert "give no p below 0.5, whatever differs" in modifiers.caption


def test_a_shown_effect_is_bold_and_the_csv_has_its_numbers(model: Record) -> None:
    base = [60.0 + k for k in range(12)]
    more = [x + 2 + (k % 3) / 10 for k, x in enumerate(base)]
    figures = {("darts", "magnitude"): base, ("darts", "perturb"): more, ("gdas", "magnitude"): base,
               ("gdas", "perturb"): base}  # fmt: skip
    group = group_of(model, figures)
    selectors = crossed.tables(group)[1]
    assert [line[1].strong for line in selectors.lines] == [True, False, True]
    assert "p < 0.001" in selectors.lines[0][1].text  # 2 / 4096, twice after Holm
    assert selectors.lines[1][1].text == "+0.00 (all equal)"
    rows = list(csv.DictReader(io.StringIO(crossed.csv(group))))
    assert [(r["kind"], r["searcher"], r["selector"], r["base"], r["pairs"]) for r in rows] == [
        ("selector", "darts", "perturb", "magnitude", "12"),
        ("selector", "gdas", "perturb", "magnitude", "12"),
        ("selector, mean of searchers", "mean of 2 searchers", "perturb", "magnitude", "12"),
    ]
    assert float(rows[0]["difference"]) == pytest.approx(2.1)
    assert float(rows[0]["p"]) == pytest.approx(2 * 2 / 2**12)


def test_seeds_that_one_side_lacks_are_in_no_difference(model: Record) -> None:
    figures = {**GIVEN_FIGURES, ("darts", "perturb"): [61.0, 73.0], ("proxyless", "perturb"): [51.0]}
    found = {(e.kind, e.searcher): e for e in crossed.effects(crossed.grid_of(group_of(model, figures)))}
    assert found["selector", "darts"].difference.mean == 2.0
    alone = found["selector", "proxyless"]
    assert (alone.difference.n, alone.difference.mean) == (1, 1.0)
    assert math.isnan(alone.p)
    assert found["selector, mean of searchers", "mean of 3 searchers"].difference.n == 1  # the only seed of all three


def test_settings_of_a_selector_make_columns_and_those_of_a_searcher_lines(model: Record) -> None:
    pair = {("darts", "magnitude"): [60.0, 70.0], ("gdas", "magnitude"): [60.0, 70.0]}
    by = {key: records_of(model, {("darts", "perturb"): [61.0, 71.0], ("gdas", "perturb"): [61.0, 71.0]}, draws=key)
          for key in (4, 8)}  # fmt: skip
    (group,) = groups([*records_of(model, pair), *by[4], *by[8]])
    grid = crossed.grid_of(group)
    assert grid.selectors == ["magnitude", "perturb (draws=4)", "perturb (draws=8)"]
    assert grid.searchers == ["darts", "gdas"]
    longer = [r.model_copy(update={"config": {**r.config, "epochs": 9}, "id": f"{r.id}-9"})
              for r in records_of(model, pair)]  # fmt: skip
    (group,) = groups([*records_of(model, pair), *longer])
    assert crossed.grid_of(group).searchers == [f"{one} (epochs={n})" for one in ("darts", "gdas") for n in (3, 9)]


@pytest.mark.parametrize("left", [
    {("darts", "magnitude"): [60.0, 70.0], ("darts", "perturb"): [61.0, 71.0]},  # one searcher
    {("darts", "magnitude"): [60.0, 70.0], ("gdas", "magnitude"): [61.0, 71.0]},  # one selector
    {("darts", "magnitude"): [60.0, 70.0], ("gdas", "perturb"): [61.0, 71.0]},  # nothing is crossed
    {("darts", GIVEN): [60.0, 70.0], ("gdas", "random"): [61.0, 71.0]},
])  # fmt: skip
def test_where_nothing_is_crossed_nothing_is_added(model: Record, left: dict[tuple[str, str], list[float]]) -> None:
    assert crossed.tables(group_of(model, left)) == []


def test_a_report_has_them_in_every_format(model: Record, tmp_path: Path) -> None:
    place = tmp_path / "runs"
    for record in records_of(model, GIVEN_FIGURES):
        (place / record.id).mkdir(parents=True)
        record.write(place / record.id / "record.json")
    Report(place, tmp_path / "report").write()
    (slug,) = (file.stem for file in (tmp_path / "report/tables").glob("*.md"))
    for name in ("grid", "selectors", "modifiers"):
        assert f"\\input{{tables/{slug}-{name}.tex}}" in (tmp_path / "report/report.tex").read_text()
    assert r"\textbf{73.00 $\pm$ 12.00}" in (tmp_path / f"report/tables/{slug}-grid.tex").read_text()
    assert "| darts | 70.00 ± 10.00 | **73.00 ± 12.00** |" in (tmp_path / "report/report.md").read_text()
    assert '<span class="best">73.00 ± 12.00</span>' in (tmp_path / "report/report.html").read_text()
    assert (tmp_path / f"report/tables/{slug}-effects.csv").read_text().startswith("kind,searcher,selector,base")


def test_columns_that_a_page_has_no_room_for_go_on_in_another_table(model: Record) -> None:
    figures = {(searcher, f"selector-{k}"): [60.0 + k, 70.0] for searcher in ("darts", "gdas") for k in range(9)}
    group = group_of(model, figures)
    effects = crossed.tables(group)[1]
    text = crossed.latex(group, effects)
    assert text.count(r"\begin{table}") == text.count(r"\toprule") == 3
    assert all(text.count(f"selector-{k}") >= 1 for k in range(1, 9))
    assert text.count("The same, part 2 of 3.") == 1
    assert text.count(r"\label{tab:") == len(set(re.findall(r"\\label\{[^}]*\}", text)))


def test_rows_that_a_page_has_no_room_for_go_on_below(model: Record) -> None:
    figures = {(f"searcher-{k}", selector): [60.0 + k, 70.0] for k in range(60) for selector in ("a", "b")}
    group = group_of(model, figures)
    text = crossed.latex(group, crossed.tables(group)[0])
    assert text.count("The same, part 2 of 2.") == 1
    assert all(f"searcher-{k} &" in text for k in range(60))
    whole = latex(frame([group]), "words", "tab:x")
    assert whole.count(r"\begin{table}") == 3  # 120 rows
    assert r"\label{tab:x-3}" in whole
