"""Importing the upstream CSV families and per-seed arrays, which know cells by official index alone."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from benchbed.errors import BenchbedError
from benchbed.tables import Table
from benchbed.tables.importing import import_table

Edited = Callable[..., list[Path]]


@pytest.fixture
def edited(shared_data: Path, tmp_path: Path) -> Edited:
    """`edited(name, old, new)`: the four files, in one of them the first `old` replaced."""

    def run(name: str, old: str, new: str) -> list[Path]:
        files = []
        for file in sorted((shared_data / "nb201" / "upstream").glob("*.csv")):
            files.append(tmp_path / file.name)
            text = file.read_text()
            assert file.name != name or old in text
            files[-1].write_text(text.replace(old, new, 1) if file.name == name else text)
        return files

    return run


@pytest.mark.parametrize("split", ["valid", "test"])
@pytest.mark.parametrize("dataset", ["cifar10", "cifar100", "imagenet16-120"])
def test_upstream_holds_the_figures_of_the_merged_export(
    upstream: Table, full: Table, dataset: str, split: str
) -> None:
    ours, merged = (table.values(dataset, split, 200) for table in (upstream, full))
    assert np.abs(ours - merged).max() < 6e-7  # the merged export rounds to six digits
    assert np.array_equal(upstream.order, full.order)


def test_every_value_is_the_one_in_the_files(upstream: Table, shared_data: Path) -> None:
    folder = shared_data / "nb201" / "upstream"
    tests = pd.read_csv(folder / "nats_bench.csv")
    for column, dataset in (("CIFAR10TestAccuracy200Epochs", "cifar10"),
                            ("ImageNetTestAccuracy200Epochs", "imagenet16-120")):  # fmt: skip
        assert np.array_equal(upstream.query(list(tests.ArchitectureString), dataset, "test", 200), tests[column])
    valid = pd.read_csv(folder / "Cifar100-NB201.csv")
    cells = list(tests.ArchitectureString[valid["index"]])
    assert np.array_equal(upstream.query(cells, "cifar100", "valid", 200), 100 * valid.accuracy)


def test_the_number_of_parameters_upstream_is_the_formulas(upstream: Table, shared_data: Path) -> None:
    valid = pd.read_csv(shared_data / "nb201" / "upstream" / "Cifar10-NB201.csv")
    assert np.array_equal(upstream.cost("params", "cifar10").reshape(-1)[upstream.order], valid.num_param)
    assert upstream.meta["notes"] == []


def test_the_data_set_is_read_off_the_content_not_the_name(shared_data: Path, tmp_path: Path) -> None:
    shutil.copy(shared_data / "nb201" / "upstream" / "ImageNet-NB201.csv", tmp_path / "cifar10.csv")
    table = import_table([tmp_path / "cifar10.csv", shared_data / "nb201" / "upstream" / "nats_bench.csv"], "t")
    assert table.splits("imagenet16-120") == ("valid", "test")
    assert table.splits("cifar10") == ("test",)


@pytest.mark.parametrize("name", ["upstream/Cifar10-NB201.csv", "per_seed_200.npz"])
def test_what_names_cells_by_index_needs_a_source_of_the_index(shared_data: Path, home: Path, name: str) -> None:
    with pytest.raises(BenchbedError, match=r"names cells by official index alone: give .* nats_bench.csv"):
        import_table([shared_data / "nb201" / name], "t")
    assert not home.exists()


@pytest.mark.parametrize(
    ("name", "old", "new", "said"),
    [
        ("nats_bench.csv", "85.86333333333334", "", "nats_bench.csv line 2: CIFAR10TestAccuracy200Epochs is empty"),
        ("nats_bench.csv", "85.86333333333334", "185", "holds 185, which is not a percentage"),
        ("nats_bench.csv", "avg_pool_3x3~0|+", "avg_pool_5x5~0|+", "nats_bench.csv line 2: unknown nb201 operation"),
        ("nats_bench.csv", "|avg_pool_3x3~0|+", "|nor_conv_3x3~0|+", "does not hold each of the 15,625 cells once"),
        ("Cifar10-NB201.csv", "0,0,129306", "0,1,129306", "does not hold each of 0 to 15624 once"),
        ("Cifar10-NB201.csv", "0.8198266665690103", "81.98", "accuracy goes up to 81.98: it is read as a fraction"),
        ("Cifar10-NB201.csv", "0.8198266665690103", "x", "line 2: accuracy holds 'x', which is not a number"),
        ("Cifar100-NB201.csv", "num_param", "params", "is not a source of a table"),
    ],
)
def test_a_damaged_file_is_refused(edited: Edited, home: Path, name: str, old: str, new: str, said: str) -> None:
    with pytest.raises(BenchbedError, match=said):
        import_table(edited(name, old, new), "t")
    assert not home.exists()


def test_two_sources_of_one_figure_are_refused(shared_data: Path, tmp_path: Path) -> None:
    folder = shared_data / "nb201"
    with pytest.raises(BenchbedError, match=r"both table.csv and nats_bench.csv hold accuracy/cifar10_test_200"):
        import_table([folder / "table.csv", folder / "upstream" / "nats_bench.csv"], "t")
    (tmp_path / "table.csv").write_text("arch\n")
    with pytest.raises(BenchbedError, match=r"two sources are named 'table.csv'"):
        import_table([folder / "table.csv", tmp_path / "table.csv"], "t")


@pytest.mark.parametrize(
    ("arrays", "said"),
    [
        ({"c10_valid": np.zeros((15625, 3))}, "unknown array in .* 'c10_valid': did you mean 'c10_xvalid'"),
        ({"c10_xvalid": np.zeros((15624, 3))}, r"c10_xvalid is float64 \(15624, 3\), expected floats \(15625, seeds\)"),
        ({"c10_xvalid": np.zeros((15625, 3), int)}, "c10_xvalid is int64"),
        ({"c10_xvalid": np.full((15625, 3), 101.0)}, "holds 101, which is not a percentage"),
        ({"c10_xvalid": np.full((15625, 3), np.inf)}, "holds inf, which is not a percentage"),
    ],
)
def test_foreign_seed_arrays_are_refused(shared_data: Path, tmp_path: Path, arrays: dict[str, Any], said: str) -> None:
    np.savez(tmp_path / "seeds.npz", **arrays)
    with pytest.raises(BenchbedError, match=said):
        import_table([tmp_path / "seeds.npz", shared_data / "nb201" / "upstream" / "nats_bench.csv"], "t")


def test_seed_arrays_that_are_a_pickle_are_not_run(shared_data: Path, tmp_path: Path) -> None:
    marker = tmp_path / "ran"

    class Evil:
        def __reduce__(self) -> Any:
            return Path.touch, (marker,)

    np.savez(tmp_path / "seeds.npz", c10_xvalid=np.array([Evil()], dtype=object))
    with pytest.raises(BenchbedError, match=r"damaged .*it holds pickled objects, not numbers"):
        import_table([tmp_path / "seeds.npz", shared_data / "nb201" / "upstream" / "nats_bench.csv"], "t")
    assert not marker.exists()
