"""What misleads in the originals: their defaults warn once here, and -1 is not taken for an architecture."""

import random
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchbed.dropin import DropinError, DropinWarning, NASBench201API, NATStopology, create
from benchbed.errors import BenchbedError
from benchbed.tables import Table

CONV3 = "|nor_conv_3x3~0|+|nor_conv_3x3~0|nor_conv_3x3~1|+|nor_conv_3x3~0|nor_conv_3x3~1|nor_conv_3x3~2|"


def test_defaults_answer_as_theirs_and_warn_once_naming_the_argument(nats: Any, unchecked: None) -> None:
    random.seed(1)
    theirs = nats.theirs.get_more_info(284, "cifar10-valid")
    random.seed(1)
    with pytest.warns(DropinWarning) as caught:
        ours = nats.ours.get_more_info(284, "cifar10-valid")
    assert ours == theirs
    hp, seed = (str(w.message) for w in caught)
    assert "Give hp='200'" in hp
    assert "12 epochs" in hp
    assert "Give is_random=False" in seed
    nats.ours.get_more_info(284, "cifar10-valid")  # no second time: warnings are errors here


@pytest.mark.parametrize(
    "call",
    [
        lambda api: api.simulate_train_eval(284, "cifar10"),
        lambda api: api.get_cost_info(284, "cifar10"),
        lambda api: api.get_latency(284, "cifar10"),
        lambda api: api.query_by_index(284, "cifar10"),
        lambda api: api.query_meta_info_by_index(284),
        lambda api: api.query_info_str_by_arch(284),
        lambda api: api.get_net_param(284, "cifar10", 111),
        lambda api: api.find_best("cifar10-valid", "x-valid"),
    ],
)
def test_every_method_with_that_default_warns(nats: Any, call: Any) -> None:
    with pytest.warns(DropinWarning, match=r"hp is not given.*hp='200'"):
        call(nats.ours)


def test_arguments_that_are_given_do_not_warn(nats: Any, nas201: Any) -> None:
    for api in (nats.ours, nas201.ours):
        for seed in (True, False, 111):
            api.get_more_info(284, "cifar10", hp="12", is_random=seed)
        api.get_more_info(284, "cifar10", None, 12, True)
        api.simulate_train_eval(284, "cifar10", hp="200")
        api.find_best("cifar10", "test", hp="200")


# -- unknown architectures ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "use",
    [
        lambda api: api.meta_archs[-1],
        lambda api: api[-1],
        lambda api: api[np.int64(-1)],
        lambda api: api.arch(-1),
        lambda api: api.get_unique_str("|x~0|"),
        lambda api: api.get_unique_str(-1),
        lambda api: api.query_by_index(-1, "cifar10", "200"),
        lambda api: api.query_meta_info_by_index(-1, "200"),
        lambda api: api.get_cost_info("|x~0|", "cifar10", "200"),
        lambda api: api.get_net_config(-1, "cifar10"),
        lambda api: api.get_net_param(-1, "cifar10", None, "200"),
        lambda api: api.query_info_str_by_arch("|x~0|", "200"),
        lambda api: api.clear_params(-1),
        lambda api: api.arch2infos_dict[-1],
        lambda api: api.simulate_train_eval("|x~0|", "cifar10", hp="200"),
    ],
)
@pytest.mark.parametrize("package", ["nas201", "nats"])
def test_nothing_takes_the_index_of_an_unknown_string(package: str, use: Any, request: pytest.FixtureRequest) -> None:
    theirs, ours = request.getfixturevalue(package)
    assert theirs.query_index_by_arch("|x~0|") == ours.query_index_by_arch("|x~0|") == -1
    with pytest.raises(DropinError) as refused:
        use(ours)
    assert "\n" not in str(refused.value)


def test_theirs_goes_on_with_the_last_architecture(nats: Any, nas201: Any) -> None:
    for theirs, ours in (nats, nas201):
        assert theirs.meta_archs[-1] == theirs[-1] == theirs.meta_archs[15624]
        assert ours.meta_archs[15624] == ours[15624] == theirs[15624]
        assert ours.meta_archs[:3] == theirs.meta_archs[:3]
    assert nats.theirs.get_unique_str("|x~0|") == nats.theirs.get_unique_str(15624)


def test_a_refusal_is_whatever_the_originals_raise(nats: Any) -> None:
    for kind in (BenchbedError, ValueError, KeyError, AssertionError):
        with pytest.raises(kind, match=r"^table mono has nothing of hp='90': it has 12, 200 epochs"):
            nats.ours.get_more_info(0, "cifar10", hp="90", is_random=False)


def test_numpys_whole_numbers_are_indices(nats: Any) -> None:
    expected = nats.ours.get_more_info(284, "cifar10", hp="200", is_random=False)
    assert nats.ours.get_more_info(np.int64(284), "cifar10", hp="200", is_random=False) == expected
    assert nats.ours.query_index_by_arch(np.int32(284)) == 284
    assert nats.theirs.query_index_by_arch(np.int32(284)) == -1


# -- other differences -------------------------------------------------------------------------------------------------


def test_in_fast_mode_all_cells_are_there_from_the_beginning(nats_fast: Any) -> None:
    assert nats_fast.ours.evaluated_indexes == {0, 11, 284}
    assert repr(nats_fast.ours) == "NATStopology(3/15625 architectures, fast_mode=True, file=nats.npz)"
    assert nats_fast.ours.find_best("cifar10", "test", hp="200") == (11, nats_fast.theirs.get_more_info(
        11, "cifar10", hp="200", is_random=False)["test-accuracy"])  # fmt: skip


def test_best_and_counts_leave_out_what_theirs_fails_at(nas201: Any, nats: Any) -> None:
    """Cell 1462 has one data set after 12 epochs, as all have in version 1.0 of the file; most cells are missing."""
    with pytest.raises(KeyError):
        nats.theirs.find_best("cifar10", "test", hp="12")
    index, accuracy = nats.ours.find_best("cifar10", "test", hp="12")
    scores = {i: nats.ours.get_more_info(i, "cifar10", hp="12", is_random=False)["test-accuracy"]
              for i in nats.ours.evaluated_indexes - {1462}}  # fmt: skip
    assert (index, accuracy) == max(scores.items(), key=lambda item: item[1])
    with pytest.raises(KeyError):
        nas201.theirs.statistics("cifar10", "200")
    assert nas201.ours.statistics("cifar10", "200") == {1: 2, 2: 2, 3: 5}
    assert nas201.ours.statistics("cifar10", "12") == {1: 8, 0: 1}


def test_what_changes_a_file_is_refused(nats: Any, nas201: Any) -> None:
    for api in (nats.ours, nas201.ours):
        with pytest.raises(DropinError, match=r"reload: table .* is read as it is"):
            api.reload(None, 3)
    api = NATStopology(nats.ours.table, verbose=False)
    api.reset_fast_mode(True)
    api.reset_archive_dir("x")
    assert (api.fast_mode, api.archive_dir) == (True, "x")
    api.clear_params(284, "200")
    api.clear_params(284)
    assert nats.ours.query_meta_info_by_index(284, "200").clear_net_done is True


def test_verbose_says_what_is_called(nats: Any, capsys: pytest.CaptureFixture[str]) -> None:
    api = create(nats.ours.table, "tss")
    assert api.verbose
    api.get_more_info(284, "cifar10", hp="200", is_random=False)
    api.find_best("cifar10", "test", hp="200")
    out = capsys.readouterr().out
    assert "Call get_more_info with index=284, dataset=cifar10, iepoch=None, hp=200, is_random=False" in out
    assert "the best architecture : [" in out


def test_all_architectures_are_shown(nats_fast: Any, capsys: pytest.CaptureFixture[str]) -> None:
    nats_fast.ours.show()
    out = capsys.readouterr().out
    for index in (0, 11, 284):
        nats_fast.theirs.show(index)
        assert capsys.readouterr().out in out
    assert out.count("-th architecture!") == 3


def test_a_table_of_the_other_space_is_refused(nats: Any, size_table: Table) -> None:
    with pytest.raises(DropinError, match=r"table mono is of space nb201, not of nats-sss"):
        create(nats.ours.table, "sss")
    with pytest.raises(DropinError, match=r"table sizes is of space nats-sss, not of nb201"):
        create(size_table, "topology")
    with pytest.raises(DropinError, match="unknown search space 'x': expected 'tss' or 'topology', 'sss' or 'size'"):
        create(nats.ours.table, "x")
    with pytest.raises(DropinError, match="enforce_all is for fast_mode=True alone"):
        nats.ours.find_best("cifar10", "test", hp="200", enforce_all=True)


# -- which table -------------------------------------------------------------------------------------------------------


def test_a_table_is_named_by_name_or_path(nats_table: Table, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = nats_table._arrays.path
    expected = NATStopology(nats_table, verbose=False).get_more_info(0, "cifar10", hp="200", is_random=False)
    for given in (path, str(path)):
        assert (
            create(given, "topology", verbose=False).get_more_info(0, "cifar10", hp="200", is_random=False) == expected
        )
    monkeypatch.setenv("BENCHBED_HOME", str(tmp_path))
    for api in (NASBench201API, NATStopology):
        with pytest.raises(BenchbedError, match="unknown table 'nb201': none is imported"):
            api()
    (tmp_path / "tables").mkdir()
    (tmp_path / "tables" / "nb201.npz").write_bytes(path.read_bytes())
    assert NASBench201API(verbose=False).query_by_index(0, "cifar10", "200")[777].get_eval("ori-test")["accuracy"] > 80
    assert NATStopology("nb201", verbose=False).table.fingerprint == nats_table.fingerprint


def test_what_is_no_table_is_refused(tmp_path: Path, upstream_like: Table, nats_table: Table) -> None:
    with pytest.raises(DropinError, match=r"table bare has no official index, .*: 'table import' of"):
        NATStopology(upstream_like)
    with pytest.raises(DropinError, match="takes no dict"):
        NATStopology({"meta_archs": []})
    (tmp_path / "bad.npz").write_bytes(b"PK\x03\x04 and no more")
    with pytest.raises(BenchbedError, match=r"bad.npz is cut off or damaged"):
        NASBench201API(tmp_path / "bad.npz")
    data = nats_table._arrays.path.read_bytes()
    (tmp_path / "half.npz").write_bytes(data[: len(data) // 2])
    with pytest.raises(BenchbedError, match=r"half.npz is cut off or damaged"):
        NASBench201API(tmp_path / "half.npz")


@pytest.fixture
def upstream_like(imported: Any, tmp_path: Path) -> Table:
    """A table without the official index: its CSV has no column for it."""
    from benchbed.tables.table_builder import all_strings

    rows = "\n".join(f"{text},{i / 200}" for i, text in enumerate(all_strings()))
    (tmp_path / "bare.csv").write_text(f"arch,cifar10_test_200\n{rows}\n")
    return imported("bare", tmp_path / "bare.csv")


def test_at_most_a_number_of_cells_stays_in_memory(nats: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from benchbed.dropin import api as module

    monkeypatch.setattr(module, "HELD", 2)
    api = NATStopology(nats.ours.table, verbose=False)
    first = [api.get_more_info(i, "cifar10", hp="200", is_random=False) for i in sorted(api.evaluated_indexes)]
    assert len(api._held) == len(api._answers) == 2
    assert [api.get_more_info(i, "cifar10", hp="200", is_random=False) for i in sorted(api.evaluated_indexes)] == first
    first[0]["test-accuracy"] = 0.0  # an answer is the caller's own
    assert api.get_more_info(0, "cifar10", hp="200", is_random=False)["test-accuracy"] == pytest.approx(
        85.8633, abs=1e-4
    )
    for iepoch in range(5):
        api.get_more_info(0, "cifar10", iepoch, "200", False)
        assert len(api._answers[0]) <= 2


def test_no_warning_of_theirs_is_hidden() -> None:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        import nats_bench  # noqa: F401
    assert caught == []
