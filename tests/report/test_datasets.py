"""The rows of the papers on NAS-Bench-201: every data set of the table, from records that say so, and only then."""

from collections.abc import Callable
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

import numpy as np
import pytest

from benchbed import api
from benchbed.pipeline.record import Record
from benchbed.report import datasets
from benchbed.report.groups import groups
from benchbed.report.write import Report
from benchbed.tables import Table, store
from benchbed.tables.score import on_every_dataset


@pytest.fixture
def two(make_table: Callable[..., Table]) -> Table:
    """A table with figures of two data sets: `mine`, and on CIFAR-100 thirty points less."""
    first = make_table("mine")
    arrays = {name: np.array(first._array(name)) for name in first.arrays}
    figures = [list(f) for f in first.figures]
    for split in ("valid", "test"):
        arrays[f"accuracy/cifar100_{split}_200"] = (arrays[f"accuracy/cifar10_{split}_200"] - 30).clip(min=0)
        figures.append(["cifar100", split, 200])
    meta = {**first.meta, "figures": figures, "fingerprint": store.fingerprint("nb201", arrays)}
    store.write(store.path_of("two"), meta, arrays)
    return Table.open("two")


def runs(table: str, out: Path) -> list[Record]:
    made = api.run(
        "random", ["random", "constant"], objective="table", table=table, dataset="cifar10", epochs=1, seeds=range(2),
        out=out, quiet=True,
    )  # fmt: skip
    return list(made)


def test_a_run_has_the_cells_figures_on_every_data_set(two: Table, tmp_path: Path) -> None:
    for record in runs("two", tmp_path):
        cell = two.space.parse(record.architecture)
        wanted = {d: {s: two.query(cell, d, s, 200) for s in ("valid", "test")} for d in ("cifar10", "cifar100")}
        assert record.datasets == wanted
        assert record.datasets["cifar10"]["test"] == record.test_accuracy
        assert Record.read(tmp_path / record.id) == record


def test_a_table_of_one_data_set_says_nothing_more_than_before(make_table: Callable[..., Table], tmp_path: Path):
    make_table("mine")
    for record in runs("mine", tmp_path):
        assert record.datasets is None
        assert "datasets" not in record.dump()
    (group,) = groups(runs("mine", tmp_path))
    assert (datasets.rows(group), datasets.markdown(group), datasets.latex(group)) == ([], [], "")


def test_what_a_partial_table_lacks_is_left_out(two: Table) -> None:
    cell = two.space.parse("|none~0|+|none~0|none~1|+|none~0|none~1|none~2|")
    two.values("cifar100", "test", 200)
    two._columns["cifar100", "test", 200] = np.full((5,) * 6, np.nan)
    assert on_every_dataset(two, cell) is None


def test_reports_print_mean_and_deviation_by_method(two: Table, tmp_path: Path) -> None:
    made = runs("two", tmp_path / "runs")
    (group,) = groups(made)
    head, *lines = datasets.rows(group)
    assert head == ["method", "n", "cifar10 valid", "cifar10 test", "cifar100 valid", "cifar100 test"]
    drawn = [r.datasets["cifar100"]["test"] for r in made if r.selector == "random" and r.datasets]
    (line,) = [line for line in lines if line[0] == "random x random"]
    assert line[-1] == f"{fmean(drawn):.2f} ± {stdev(drawn):.2f}"
    Report(tmp_path / "runs", tmp_path / "report").write()
    tables = tmp_path / "report" / "tables"
    (tex,) = tables.glob("*-datasets.tex")
    text = tex.read_text()
    assert r"\multicolumn{2}{c}{cifar10} & \multicolumn{2}{c}{cifar100} \\" in text
    assert f"{fmean(drawn):.2f} $\\pm$ {stdev(drawn):.2f} \\\\" in text
    assert f"\\input{{tables/{tex.name}}}" in (tmp_path / "report" / "report.tex").read_text()
    assert line[-1] in (tmp_path / "report" / "report.md").read_text()
    assert "The same cells on every data set of the table" in (tmp_path / "report" / "report.html").read_text()


def test_records_that_do_not_say_leave_the_table_out(two: Table, tmp_path: Path) -> None:
    one, *others = runs("two", tmp_path)
    older = Record.model_validate({**one.dump(), "datasets": None})
    (group,) = groups([older, *others])
    assert datasets.across(group) == []


@pytest.mark.parametrize("odd", [{"cifar10": {"valid": 101.0, "test": 1.0}}, {"cifar10": {"tst": 1.0}}])
def test_a_record_that_holds_what_is_no_accuracy_is_damaged(two: Table, tmp_path: Path, odd: dict[str, Any]) -> None:
    record = runs("two", tmp_path)[0]
    with pytest.raises(ValueError, match="datasets"):
        Record.model_validate({**record.dump(), "datasets": odd})
