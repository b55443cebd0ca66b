"""Opening and querying: published figures, independent recounts, refusals, what a lookup loads and reads."""

import bz2
import copy
import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from benchbed.errors import BenchbedError
from benchbed.spaces.nb201.space import NB201
from benchbed.tables import Table
from benchbed.tables.store import Arrays

CONV3 = "|nor_conv_3x3~0|+|nor_conv_3x3~0|nor_conv_3x3~1|+|nor_conv_3x3~0|nor_conv_3x3~1|nor_conv_3x3~2|"
SKIP = "|skip_connect~0|+|skip_connect~0|skip_connect~1|+|skip_connect~0|skip_connect~1|skip_connect~2|"
NONE = "|none~0|+|none~0|none~1|+|none~0|none~1|none~2|"
POOL = "|avg_pool_3x3~0|+|avg_pool_3x3~0|avg_pool_3x3~1|+|avg_pool_3x3~0|avg_pool_3x3~1|avg_pool_3x3~2|"
I16 = "imagenet16-120"
SIX = [(d, s, 200) for d in ("cifar10", "cifar100", I16) for s in ("valid", "test")]

# darts-pt.md 2.1: index, string, parameters on the three data sets, FLOPs in millions on CIFAR-10 and ImageNet16-120
CELLS = [
    (0, "|avg_pool_3x3~0|+|nor_conv_1x1~0|skip_connect~1|+|nor_conv_1x1~0|skip_connect~1|skip_connect~2|",
     (129306, 135156, 136456), (15.64737, 3.91948)),
    (11, "|nor_conv_3x3~0|+|nor_conv_3x3~0|avg_pool_3x3~1|+|none~0|nor_conv_3x3~1|avg_pool_3x3~2|",
     (802426, 808276, 809576), (113.95137, 28.49548)),
    (284, "|skip_connect~0|+|skip_connect~0|skip_connect~1|+|none~0|nor_conv_1x1~1|none~2|",
     (101306, 107156, 108456), (11.71521, 2.93644)),
    (1835, SKIP, (73306,), (7.78305,)),
    (1462, CONV3, (1531546,), (220.11969,)),
    (1651, NONE, (73306,), ()),
    (7581, POOL, (73306,), ()),
    (9930, CONV3.replace("+|nor_conv_3x3~0|nor_conv_3x3~1|nor", "+|skip_connect~0|nor_conv_3x3~1|nor"),
     (1288506,), (184.73025,)),
    (1459, "|nor_conv_3x3~0|+|nor_conv_1x1~0|nor_conv_3x3~1|+|skip_connect~0|nor_conv_1x1~1|nor_conv_3x3~2|",
     (858426,), ()),
]  # fmt: skip


# -- published figures -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("index", "text", "params", "flops"), CELLS, ids=[str(c[0]) for c in CELLS])
def test_the_official_index_and_the_costs_of_known_cells(
    full: Table, index: int, text: str, params: tuple[int, ...], flops: tuple[float, ...]
) -> None:
    assert full.arch(index).text == text
    assert full.index(text) == index
    at = full.space.parse(text).choices
    assert tuple(int(full.cost("params", d)[at]) for d in ("cifar10", "cifar100", I16)[: len(params)]) == params
    assert tuple(full.cost("flops", d)[at] / 1e6 for d in ("cifar10", I16)[: len(flops)]) == flops


@pytest.mark.parametrize(
    ("figure", "value", "index"),
    [
        (("cifar10", "valid", 200), 91.6067, 6111),
        (("cifar10", "test", 200), 94.3733, 6111),
        (("cifar100", "valid", 200), 73.4933, 9930),
        (("cifar100", "test", 200), 73.5133, 9930),
        ((I16, "valid", 200), 46.7333, 10676),
        ((I16, "test", 200), 47.3111, None),
    ],
)
def test_the_best_cells_are_the_published_ones(
    full: Table, upstream: Table, figure: Any, value: float, index: int | None
) -> None:
    for table in (full, upstream):
        best = table.best(*figure)
        assert round(best.value, 4) == value
        assert table.query(best.architecture, *figure) == best.value == np.nanmax(table.values(*figure))
        if index is not None:
            assert table.index(best.architecture) == index
    assert full.best("cifar10", "test", 200).ties == 2


ANCHORS = [
    (0, 85.8633, 81.9827, 52.7000, 52.9133, 28.2111, 26.6333, 63.364),
    (11, 91.5833, 87.9400, 67.4533, 67.6067, 30.4111, 30.1667, 63.278),
    (284, 88.7900, 86.0467, 61.6800, 62.1400, 33.4000, 32.4667, 72.876),
]


@pytest.mark.parametrize("row", ANCHORS, ids=lambda row: str(row[0]))
def test_the_value_anchors_of_three_cells_in_every_import(
    full: Table, upstream: Table, sample: Table, row: Any
) -> None:
    index, c10_test, c10_valid, c100_valid, c100_test, i16_valid, i16_test, c10_valid_12 = row
    wanted = (c10_valid, c10_test, c100_valid, c100_test, i16_valid, i16_test)
    for table in (full, upstream, sample):
        assert tuple(round(table.query(table.arch(index), *f), 4) for f in SIX) == wanted
    for table in (full, sample):
        assert round(table.query(table.arch(index), "cifar10", "valid", 12), 4) == c10_valid_12


def test_twelve_epochs_rank_validation_accuracy_with_a_correlation_of_082(full: Table) -> None:
    early, late = (full.values("cifar10", "valid", e).reshape(-1) for e in (12, 200))
    assert round(float(stats.spearmanr(early, late).statistic), 2) == 0.82


def test_runs_a_cell_are_those_of_version_11(full: Table) -> None:
    counts = full.n_seeds("cifar10", "valid", 200)
    assert counts is not None
    assert np.bincount(counts.reshape(-1)).tolist() == [0, 2225, 5439, 7961]
    seeds = full.seeds("cifar10", "test", 200)
    assert seeds.shape == (5, 5, 5, 5, 5, 5, 3)
    assert np.bincount(np.isfinite(seeds).sum(-1).reshape(-1)).tolist() == [0, 2225, 5439, 7961]


def test_the_cell_of_3x3_convolutions_ranks_2833rd_on_imagenet16(full: Table) -> None:
    cell = full.space.parse(CONV3)
    assert full.ranks(I16, "test", 200)[cell.choices] == 2833


# -- ranks, queries ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("figure", SIX)
def test_ranks_are_those_of_scipy_ties_sharing_the_better(full: Table, figure: Any) -> None:
    expected = stats.rankdata(-full.values(*figure).reshape(-1), method="min")
    assert np.array_equal(full.ranks(*figure).reshape(-1), expected)


def test_ranks_leave_missing_cells_out(sample: Table) -> None:
    ranks = sample.ranks("cifar10", "test", 200)
    assert [ranks[sample.arch(n).choices] for n in (11, 284, 0)] == [1, 2, 3]
    assert np.isnan(ranks).sum() == 15622


@pytest.mark.parametrize("kind", [np.int64, np.int8, np.uint8])
def test_a_vectorised_query_equals_one_query_a_cell(full: Table, kind: type) -> None:
    rng = np.random.default_rng(0)
    choices = rng.integers(0, 5, size=(7, 11, 6)).astype(kind)
    found = full.query(choices, "cifar100", "test", 200)
    assert found.shape == (7, 11)
    assert found.dtype == np.float64
    space = NB201()
    cells = [space.architecture_of(tuple(int(k) for k in row)) for row in choices.reshape(-1, 6)]
    one_by_one = [full.query(cell, "cifar100", "test", 200) for cell in cells]
    assert found.reshape(-1).tolist() == one_by_one
    assert all(type(value) is float for value in one_by_one)
    assert full.query(cells, "cifar100", "test", 200).tolist() == one_by_one
    assert full.query([c.text for c in cells], "cifar100", "test", 200).tolist() == one_by_one
    assert full.query(cells[0].choices, "cifar100", "test", 200) == one_by_one[0]


def test_all_strings_at_once_are_found_without_parsing_one_by_one(full: Table, frame: pd.DataFrame) -> None:
    assert np.array_equal(full.query(list(frame.arch), "cifar10", "test", 200), frame.cifar10_test_200)
    assert full.query([], "cifar10", "test", 200).shape == (0,)


def test_seeds_spread_and_their_number(full: Table, sample: Table) -> None:
    seeds = {"777": 88.73, "888": 88.55, "999": 89.09}  # read off the official record of cell 284
    answer = sample.answer(sample.arch(284), "cifar10", "test", 200)
    assert answer.seeds == seeds
    assert answer.n_seeds == 3
    assert answer.mean == pytest.approx(sum(seeds.values()) / 3, abs=1e-12)
    assert answer.spread == pytest.approx(np.std(list(seeds.values()), ddof=1))
    assert answer.note == ""
    assert sample.seed_names("cifar10", "valid", 12) == ("111", "777")
    unnamed = full.answer(full.arch(284), "cifar10", "test", 200)
    assert list(unnamed.seeds.values()) == list(seeds.values())
    assert unnamed.mean == 88.79


def test_a_mean_of_other_runs_than_the_seeds_is_said(full: Table, frame: pd.DataFrame) -> None:
    own = full.seeds("cifar10", "valid", 200).reshape(-1, 3)[full.order]
    apart = np.abs(np.nanmean(own, axis=1) - frame.cifar10_valid_200)
    worst = full.answer(full.arch(int(apart.argmax())), "cifar10", "valid", 200)
    assert "the seeds are of other trainings" in worst.note
    assert any("cifar10_valid_200" in note and "3.84 points" in note for note in full.meta["notes"])


def test_a_figure_without_recorded_runs_says_so(upstream: Table) -> None:
    answer = upstream.answer(CONV3, "cifar10", "test", 200)
    assert (answer.n_seeds, answer.spread, answer.seeds) == (None, None, {})
    with pytest.raises(BenchbedError, match="has no per-seed values of cifar10 test accuracy"):
        upstream.seeds("cifar10", "test", 200)


# -- refusals ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("cifar-10", "test", 200), "unknown data set of table full 'cifar-10': did you mean 'cifar10'? known: "
                                    "cifar10, cifar100, imagenet16-120"),
        (("ImageNet16-120", "test", 200), "did you mean 'imagenet16-120'"),
        (("cifar10-valid", "x-valid", 200), "ask for data set cifar10 with split valid"),
        (("imagenet16", "test", 200), "ask for data set imagenet16-120"),
        (("cifar10", "ori-test", 200), "ask for split test on cifar10, split valid+test on the others; table full on "
                                       "cifar10 has test, valid"),
        (("cifar100", "valtest", 200), "ask for split valid+test"),
        (("cifar100", "x-test", 200), "ask for split test"),
        (("cifar10", "valid+test", 200), "unknown split of table full on cifar10 'valid+test'"),
        (("cifar10", "tset", 200), "did you mean 'test'? known: test, valid"),
        (("cifar10", "test", 199), "no cifar10 test accuracy after 199 epochs: nearest 200; it has 12, 200 epochs"),
        (("cifar10", "test", 0), "nearest 12"),
    ],
)  # fmt: skip
def test_a_figure_that_there_is_not_is_refused_with_the_nearest(full: Table, words: Any, said: str) -> None:
    for ask in (full.values, full.seeds, full.n_seeds, full.best, full.ranks, full.train_seconds):
        with pytest.raises(BenchbedError) as refused:
            ask(*words)
        assert said in str(refused.value)
        assert "\n" not in str(refused.value)
    with pytest.raises(BenchbedError):
        full.query(CONV3, *words)


def test_a_missing_column_is_named_with_how_to_get_it(full: Table, upstream: Table) -> None:
    with pytest.raises(BenchbedError, match=r"after 12 epochs: nearest 200.*'table import' of .* cifar10_test_12 "):
        upstream.query(CONV3, "cifar10", "test", 12)
    with pytest.raises(BenchbedError, match=r"no training seconds of cifar10_valid_200: .*cifar10_train_seconds_200"):
        upstream.train_seconds("cifar10", "valid", 200)
    with pytest.raises(BenchbedError, match="no training seconds of cifar10_test_200"):
        full.train_seconds("cifar10", "test", 200)  # the export has those of the shorter run alone
    with pytest.raises(BenchbedError, match=r"no latency on cifar100 \(it has it on: cifar10;"):
        full.cost("latency", "cifar100")
    with pytest.raises(BenchbedError, match="unknown cost 'flop': did you mean 'flops'"):
        full.cost("flop", "cifar10")


def test_a_missing_cell_is_refused_by_name(sample: Table) -> None:
    said = r"table sample has no cifar10 test accuracy after 200 epochs of \|none~0\|.*holds 3 of the 15,625 cells"
    with pytest.raises(BenchbedError, match=said):
        sample.query(NONE, "cifar10", "test", 200)
    with pytest.raises(BenchbedError, match=said):
        sample.query([sample.arch(0), NONE, CONV3], "cifar10", "test", 200)
    with pytest.raises(BenchbedError, match=said):
        sample.query((0, 0, 0, 0, 0, 0), "cifar10", "test", 200)


@pytest.mark.parametrize(
    ("cells", "said"),
    [
        ("|nor_conv_5x5~0|+|none~0|none~1|+|none~0|none~1|none~2|", "nor_conv_5x5"),
        ([CONV3, ""], "empty nb201 architecture"),
        (np.array([0, 1, 2, 3, 4, 5]), "operation number 5 at 2->3: expected 0 to 4"),
        (np.array([[0, 1, 2, 3, 4, 0], [0, -1, 2, 3, 4, 0]]), "operation number -1 at 0->2"),
        (np.array([0, 1, 2]), r"operation numbers of shape \(3,\): expected \(..., 6\)"),
        (np.zeros((2, 6)), "expected architectures or whole operation numbers"),
        ((0.5,) * 6, "expected architectures or whole operation numbers"),
    ],
)
def test_a_foreign_architecture_is_refused(full: Table, cells: Any, said: str) -> None:
    with pytest.raises(BenchbedError, match=said):
        full.query(cells, "cifar10", "test", 200)


@pytest.mark.parametrize("index", [-1, 15625])
def test_an_index_out_of_range_is_refused_negative_ones_too(full: Table, index: int) -> None:
    with pytest.raises(BenchbedError, match=f"index {index} of table full: expected 0 to 15624"):
        full.arch(index)


# -- the file ----------------------------------------------------------------------------------------------------------


def test_what_there_is(full: Table, upstream: Table) -> None:
    assert full.datasets == upstream.datasets == ("cifar10", "cifar100", I16)
    assert full.splits("cifar10") == ("valid", "test")
    assert full.splits("cifar100") == ("valid", "test", "valid+test")
    assert full.epochs("cifar10", "valid") == (12, 200)
    assert upstream.epochs("cifar10", "valid") == (200,)
    with pytest.raises(BenchbedError, match="unknown split"):
        full.epochs("cifar10", "train")
    with pytest.raises(BenchbedError, match="unknown data set"):
        full.splits("svhn")


def test_a_query_reads_its_own_column_and_no_other(full: Table, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[str] = []
    get = Arrays.__getitem__
    monkeypatch.setattr(Arrays, "__getitem__", lambda self, name: read.append(name) or get(self, name))
    arrays = full._arrays
    assert isinstance(arrays, Arrays)
    again = Table.open(arrays.path)
    assert read == []
    again.query(CONV3, "cifar10", "test", 200)
    again.query(SKIP, "cifar10", "test", 200)
    assert read == ["accuracy/cifar10_test_200"]


def test_what_a_table_hands_out_cannot_be_changed(full: Table) -> None:
    for array in (full.values("cifar10", "test", 200), full.seeds("cifar10", "test", 200), full.cost("params", I16)):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 0


def test_the_file_holds_no_pickle_and_is_exact(full: Table) -> None:
    arrays = full._arrays
    assert isinstance(arrays, Arrays)
    with np.load(arrays.path, allow_pickle=False) as file:
        assert all(file[name].dtype.kind in "fiu" for name in file.files)
    assert full.values("cifar10", "test", 200).dtype == np.float64


def test_opening_and_querying_loads_numpy_and_nothing_heavy(full: Table, child_env: dict[str, str]) -> None:
    arrays = full._arrays
    assert isinstance(arrays, Arrays)
    code = (
        "import sys; from pathlib import Path; from benchbed.tables import Table\n"
        f"print(Table.open(Path({str(arrays.path)!r})).query({CONV3!r}, 'cifar10', 'test', 200))\n"
        "heavy = {'torch', 'pandas', 'scipy', 'nas_201_api', 'typer'}\n"
        "print(*sorted({m.split('.')[0] for m in sys.modules} & heavy))"
    )
    done = subprocess.run([sys.executable, "-c", code], env=child_env, capture_output=True, text=True, timeout=60)
    assert done.stdout.split() == ["93.76"], done.stderr


def test_a_fingerprint_is_of_the_content_alone(
    sample: Table, nats_cells: dict[int, Any], imported: Any, shared_data: Path, tmp_path: Path
) -> None:
    source = shared_data / "nats-tss-sample"
    assert imported("another-name", source).fingerprint == sample.fingerprint
    folder = tmp_path / "changed"
    folder.mkdir()
    for file in source.iterdir():
        (folder / file.name).write_bytes(file.read_bytes())
    cell = copy.deepcopy(nats_cells[11])
    cell["200"]["all_results"]["cifar10", 777]["eval_acc1es"]["ori-test@199"] += 1e-9
    (folder / "000011.pickle.pbz2").write_bytes(bz2.compress(pickle.dumps(cell)))
    assert imported("changed", folder).fingerprint != sample.fingerprint
