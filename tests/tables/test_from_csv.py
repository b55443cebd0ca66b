"""Importing a CSV file: every figure as pandas reads it, the counts by arithmetic, and what is refused."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from benchbed.errors import BenchbedError
from benchbed.spaces.nb201.space import all_strings
from benchbed.tables import Table
from benchbed.tables.importing import import_table
from benchbed.tables.show import to_csv

TEXTS = all_strings()
IMAGES = {"cifar10_valid": 25000, "cifar10_test": 10000, "cifar100_valid": 5000, "cifar100_test": 5000,
          "imagenet16_valid": 3000, "imagenet16_test": 3000}  # fmt: skip
I16 = "imagenet16-120"


def in_order(table: Table, array: np.ndarray) -> np.ndarray:
    """By official index."""
    assert table.order is not None
    return array.reshape(15625, *array.shape[6:])[table.order]


@pytest.mark.parametrize("epochs", [200, 12])
@pytest.mark.parametrize("name", IMAGES)
def test_all_cells_equal_the_file_as_pandas_reads_it(full: Table, frame: pd.DataFrame, name: str, epochs: int) -> None:
    dataset, split = name.replace("imagenet16", I16).split("_")
    column = frame[f"{name}_{epochs}"].to_numpy()
    assert len(column) == 15625
    assert np.array_equal(in_order(full, full.values(dataset, split, epochs)), column)
    assert np.array_equal(full.query(list(frame.arch), dataset, split, epochs), column)
    assert [full.index(arch) for arch in frame.arch[:100]] == list(range(100))


@pytest.mark.parametrize("name", IMAGES)
def test_accuracy_times_runs_times_images_is_a_whole_number(full: Table, frame: pd.DataFrame, name: str) -> None:
    """So the counts that the table holds are those of the figures beside them; the other column's are not."""
    dataset, split = name.replace("imagenet16", I16).split("_")
    accuracy, counts = full.values(dataset, split, 200), full.n_seeds(dataset, split, 200)
    assert counts is not None

    def whole(runs: np.ndarray) -> np.ndarray:
        right = in_order(full, accuracy) / 100 * runs * IMAGES[name]
        return np.abs(right - np.rint(right)) < 2e-3

    assert whole(in_order(full, counts)).all()
    other = frame.n_seeds_nats if split == "valid" else frame.n_seeds_v11
    assert not whole(other.to_numpy()).all()


def test_further_columns(full: Table, frame: pd.DataFrame) -> None:
    for name, dataset in (("cifar10", "cifar10"), ("cifar100", "cifar100"), ("imagenet16", I16)):
        seconds = in_order(full, full.train_seconds(dataset, "valid", 200))
        assert np.array_equal(seconds, frame[f"{name}_train_seconds_200"])
    assert np.array_equal(in_order(full, full.cost("latency", "cifar10")), frame.cifar10_gpu_latency_s)
    assert full.meta["units"]["latency"].startswith("seconds")


def test_costs_are_the_formulas_and_the_rows_that_differ_are_counted(full: Table, frame: pd.DataFrame) -> None:
    apart = in_order(full, full.cost("params", "cifar10")) != np.rint(frame.cifar10_params_M * 1e6)
    assert apart.sum() == 150
    notes = [note for note in full.meta["notes"] if "differ from the formula" in note]
    assert [note.split(" rows")[0] for note in notes] == [
        f"{kind} on {dataset}: 150 of 15,625"
        for kind, dataset in (("params", "cifar10"), ("params", "cifar100"), ("params", I16), ("flops", "cifar10"))
    ]


def test_seed_arrays_lie_where_the_official_index_puts_them(full: Table, shared_data: Path) -> None:
    with np.load(shared_data / "nb201" / "per_seed_200.npz") as file:
        for name, figure in (("c10_xvalid", ("cifar10", "valid", 200)), ("c10_test_v11", ("cifar10", "test", 200)),
                             ("c100_valtest", ("cifar100", "valid+test", 200)),
                             ("i16_valtest", (I16, "valid+test", 200))):  # fmt: skip
            assert np.array_equal(in_order(full, full.seeds(*figure)), file[name], equal_nan=True)
    means = in_order(full, full.values("cifar100", "valid+test", 200))
    assert np.allclose(means, np.nanmean(in_order(full, full.seeds("cifar100", "valid+test", 200)), axis=1), atol=1e-9)


# -- a small file of one's own -----------------------------------------------------------------------------------------

Write = Callable[..., Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """`write(edit, header, rows)`: a CSV file of one figure and one more column, after `edit` changed its lines."""

    def run(
        edit: Callable[[list[str]], Any] = lambda lines: None,
        header: str = "arch,cifar10_test_200,n",
        rows: int = len(TEXTS),
    ) -> Path:
        lines = [header, *(f"{text},{50 + i / 1000},{i}" for i, text in enumerate(TEXTS[:rows]))]
        edit(lines)
        file = tmp_path / "own.csv"
        file.write_text("\n".join(lines) + "\n")
        return file

    return run


def test_a_file_of_ones_own_is_imported_and_what_it_lacks_is_refused(write: Write) -> None:
    table = import_table([write()], "own")
    assert table.query(TEXTS[123], "cifar10", "test", 200) == 50.123
    assert table.meta["notes"] == []
    assert table.further_names == ("n",)
    assert table.further("n").reshape(-1)[123] == 123
    with pytest.raises(BenchbedError, match="unknown further figure of table own 'm'"):
        table.further("m")
    assert table.n_seeds("cifar10", "test", 200) is None
    assert table.order is None
    with pytest.raises(BenchbedError, match="table own has no official index"):
        table.arch(0)


def test_arch_str_is_a_name_of_the_column_of_cells(write: Write, tmp_path: Path) -> None:
    plain = write()
    other = tmp_path / "other.csv"
    other.write_text(plain.read_text().replace("arch", "arch_str", 1))
    assert import_table([other], "other").fingerprint == import_table([plain], "plain").fingerprint


def test_n_seeds_goes_with_the_figures_of_200_epochs(write: Write) -> None:
    rows = [f"{t},50,60,{i % 4 + 1}" for i, t in enumerate(TEXTS)]
    file = write(lambda lines: lines.__setitem__(slice(1, None), rows),
                 "arch,cifar10_test_200,cifar10_test_12,n_seeds")  # fmt: skip
    table = import_table([file], "own")
    counts = table.n_seeds("cifar10", "test", 200)
    assert counts is not None
    assert counts.reshape(-1)[:5].tolist() == [1, 2, 3, 4, 1]
    assert table.n_seeds("cifar10", "test", 12) is None


@pytest.mark.parametrize("count", ["0", "300", "-1", "2.5", "9" * 20, "\uff13"])
def test_a_number_of_seeds_that_cannot_be_is_refused_by_line(write: Write, count: str, home: Path) -> None:
    rows = [f"{t},50,{count if i == 6 else 3}" for i, t in enumerate(TEXTS)]
    file = write(lambda lines: lines.__setitem__(slice(1, None), rows), "arch,cifar10_test_200,n_seeds")
    with pytest.raises(BenchbedError, match=r"own.csv line 8: n_seeds holds"):
        import_table([file], "own")
    assert not home.exists()


def test_seconds_below_zero_are_refused(write: Write) -> None:
    rows = [f"{t},50,{-5 if i == 6 else 3}" for i, t in enumerate(TEXTS)]
    header = "arch,cifar10_valid_200,cifar10_train_seconds_200"
    file = write(lambda lines: lines.__setitem__(slice(1, None), rows), header)
    with pytest.raises(BenchbedError, match=r"own.csv line 8: cifar10_train_seconds_200 holds -5, expected a number"):
        import_table([file], "own")


def test_a_partial_file_needs_a_word_and_keeps_its_gaps(write: Write) -> None:
    def edit(lines: list[str]) -> None:
        del lines[3:]
        lines[2] = f"{TEXTS[1]},,7"

    file = write(edit)
    with pytest.raises(BenchbedError, match=r"has 2 of the 15,625 cells, \|none~0\|.* --partial imports what there is"):
        import_table([file], "own")
    table = import_table([file], "own", partial=True)
    assert np.isfinite(table.values("cifar10", "test", 200)).sum() == 1
    with pytest.raises(BenchbedError, match="holds 1 of the 15,625 cells"):
        table.query(TEXTS[1], "cifar10", "test", 200)


def replace(line: int, text: str) -> Callable[[list[str]], None]:
    return lambda lines: lines.__setitem__(line, text)


@pytest.mark.parametrize(
    ("edit", "said"),
    [
        (replace(5, f"{TEXTS[4]},n/a,4"), r"line 6: cifar10_test_200 holds 'n/a', which is not a number"),
        (replace(5, f"{TEXTS[4]},nan,4"), r"line 6: cifar10_test_200 holds 'nan', which is not a number"),
        (replace(5, f"{TEXTS[4]},5_0,4"), r"line 6: cifar10_test_200 holds '5_0', which is not a number"),
        (replace(5, f"{TEXTS[4]},1e999,4"), r"line 6: cifar10_test_200 holds '1e999', which is not a number"),
        (replace(5, f"{TEXTS[4]},100.5,4"), r"cifar10_test_200 holds 100.5, which is not a percentage"),
        (replace(5, f"{TEXTS[4]},-1,4"), r"cifar10_test_200 holds -1, which is not a percentage"),
        (replace(5, f"{TEXTS[3]},50,4"), r"line 6: \|none~0\|.*\| is on line 5 already, with other figures"),
        (replace(5, f"{TEXTS[4].replace('none', 'nnoe')},50,4"), r"line 6: unknown nb201 operation .* mean 'none'"),
        (replace(5, "0,50,4"), r"line 6: nb201 architecture '0' has 1 node"),
        (replace(5, f"{TEXTS[4]},50"), r"line 6: 2 fields where the header has 3"),
        (replace(0, "arch,cifar10_tset_200,n"), r"hold no accuracy column: expected names such as cifar10_test_200"),
        (replace(0, "arch,arch,n"), r"has two columns named 'arch'"),
        (replace(0, "arch,imagenet16_test_200,imagenet16-120_test_200"), r"two columns of the same figure"),
        (replace(0, "cell,cifar10_test_200,n"), r"is not a source of a table"),
        (lambda lines: lines.__delitem__(slice(1, None)), r"has no rows below its header"),
        (replace(5, f'"{TEXTS[4]},50,4'), r"is not a CSV file"),
    ],
)  # fmt: skip
def test_a_bad_file_is_refused_in_one_line_and_nothing_is_left(
    write: Write, home: Path, edit: Callable[[list[str]], None], said: str
) -> None:
    import_table([write(rows=30)], "control", partial=True)
    (home / "control.npz").unlink()
    with pytest.raises(BenchbedError, match=said) as refused:
        import_table([write(edit, rows=30)], "own", partial=True)
    assert "\n" not in str(refused.value)
    assert list(home.iterdir()) == []


def test_a_file_of_which_one_cell_is_lost_is_refused(write: Write, home: Path) -> None:
    with pytest.raises(
        BenchbedError, match=r"has 15,624 of the 15,625 cells, \|none~0\|.* is not among them: --partial"
    ):
        import_table([write(lambda lines: lines.pop(5))], "own")
    with pytest.raises(BenchbedError, match=r"own.csv line 6: cifar10_test_200 is empty"):
        import_table([write(replace(5, f"{TEXTS[4]},,4"))], "own")
    assert not home.exists()


def test_fractions_are_not_taken_for_percent(write: Write) -> None:
    file = write(lambda lines: lines.__setitem__(slice(1, None), [f"{text},0.5,1" for text in TEXTS]))
    with pytest.raises(BenchbedError, match=r"goes up to 0.5: accuracies are read in percent"):
        import_table([file], "own")


def test_a_wrong_index_is_refused_and_a_right_one_kept(write: Write) -> None:
    header = "arch,cifar10_test_200,index"
    assert import_table([write(header=header)], "right").index(TEXTS[7]) == 7
    for index in ("0", "1.5", "-1"):
        with pytest.raises(BenchbedError, match="index"):
            import_table([write(replace(5, f"{TEXTS[4]},50,{index}"), header)], "own")


# -- and back ----------------------------------------------------------------------------------------------------------


def test_an_export_holds_every_figure_exactly_and_comes_back_the_same(
    full: Table, frame: pd.DataFrame, tmp_path: Path
) -> None:
    file = tmp_path / "out.csv"
    assert to_csv(full, file) == 15625
    read = pd.read_csv(file, dtype=str)
    names = [f"{f.dataset}_{f.split}_{f.epochs}" for f in full.figures]
    assert list(read)[: 2 + len(names)] == ["arch", "index", *names]
    assert read["index"].tolist() == [str(i) for i in range(15625)]
    assert read.arch.tolist() == frame.arch.tolist()
    for figure in full.figures:
        assert [float(field) for field in read[str(figure)]] == full.query(list(read.arch), *figure).tolist()
    again = import_table([file], "again")
    assert again.fingerprint == full.fingerprint  # every array, counts, seconds, seeds and costs included
    assert again.meta["seeds"] == full.meta["seeds"]


def test_an_export_of_a_partial_table_has_its_cells_alone(sample: Table, tmp_path: Path) -> None:
    file = tmp_path / "out.csv"
    assert to_csv(sample, file) == 3
    again = import_table([file], "again", partial=True)
    for figure in sample.figures:
        assert np.array_equal(again.values(*figure), sample.values(*figure), equal_nan=True)
