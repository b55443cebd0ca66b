"""The drop-in against both packages, on the same records: equal values, of equal types, and refusals where they raise.

Where the two differ on purpose, see test_deviations.
"""

import copy
from functools import partial
from itertools import product
from typing import Any

import pytest

from .conftest import outcome, same

REAL = (0, 11, 284)
CELLS = (*REAL, 3, 7, 500, 1462, 9930, 15624)
DATASETS = ("cifar10-valid", "cifar10", "cifar100", "ImageNet16-120")
WHOLE = "|nor_conv_3x3~0|+|nor_conv_3x3~0|nor_conv_3x3~1|+|nor_conv_3x3~0|nor_conv_3x3~1|nor_conv_3x3~2|"
PACKAGES = ("nas201", "nats")

# Checking annotations draws from Python's `random`, by which both packages choose a seed.
pytestmark = pytest.mark.usefixtures("unchecked")


@pytest.fixture(params=PACKAGES)
def pair(request: pytest.FixtureRequest) -> Any:
    return request.getfixturevalue(request.param)


def agree(pair: Any, method: str, *arguments: Any, **named: Any) -> str:
    """Compares one call; says whether both gave a value or both refused."""
    (kind, theirs), (own, ours) = (outcome(lambda a=a: getattr(a, method)(*arguments, **named)) for a in pair)
    said = f"{method}{arguments}{named}: theirs {kind} {theirs!r:.300}, ours {own} {ours!r:.300}"
    assert kind == own, said
    if kind == "value":
        assert same(theirs, ours), said
    elif isinstance(theirs, ValueError | KeyError | AssertionError):
        assert isinstance(ours, type(theirs)), said
        assert "\n" not in str(ours)
    return kind


def epochs_of(index: int, hp: int) -> list[int | None]:
    return [None, *range(hp)] if index in (11, 500) else [None, 0, 1, 5, 11, 198 % hp, hp - 1, hp]


@pytest.mark.parametrize("dataset", DATASETS)
@pytest.mark.parametrize("hp", ["12", "200"])
def test_get_more_info_of_every_epoch_and_seed(pair: Any, dataset: str, hp: str) -> None:
    seen = {"value": 0, "raised": 0}
    for index in CELLS:
        for iepoch in epochs_of(index, int(hp)):
            for seed in (False, True, 111, 777, 888, 999):
                seen[agree(pair, "get_more_info", index, dataset, iepoch=iepoch, hp=hp, is_random=seed)] += 1
    assert min(seen.values()) > 50, seen


def test_get_more_info_by_string_and_whole_number(pair: Any, strings: list[str]) -> None:
    for index in REAL:
        agree(pair, "get_more_info", strings[index], "cifar100", None, 200, False)
    assert agree(pair, "get_more_info", 15625, "cifar10", hp="200", is_random=False) == "raised"
    assert agree(pair, "get_more_info", -1, "cifar10", hp="200", is_random=False) == "raised"
    assert agree(pair, "get_more_info", 1, "cifar10", hp="200", is_random=False) == "raised"  # not in the file
    assert agree(pair, "get_more_info", "|none~0|", "cifar10", hp="200", is_random=False) == "raised"
    assert agree(pair, "get_more_info", 0, "cifar", hp="200", is_random=False) == "raised"
    assert agree(pair, "get_more_info", 0, "cifar10", hp="90", is_random=False) == "raised"
    assert agree(pair, "get_more_info", 0, "cifar10", iepoch=-1, hp="200", is_random=False) == "raised"
    assert agree(pair, "get_more_info", 0, "cifar10", hp="200", is_random=None) == "raised"
    assert agree(pair, "get_more_info", 0, "cifar10", hp="200", is_random=1.5) == "raised"


def test_fast_mode_gives_the_same(nats_fast: Any) -> None:
    for index in REAL:
        for dataset in DATASETS:
            for hp in ("12", "200"):
                for iepoch in (None, 3, int(hp) - 1):
                    for seed in (False, True, 777, 888):
                        agree(nats_fast, "get_more_info", index, dataset, iepoch=iepoch, hp=hp, is_random=seed)
                agree(nats_fast, "get_cost_info", index, dataset, hp)
                agree(nats_fast, "get_latency", index, dataset, hp)
                agree(nats_fast, "simulate_train_eval", index, dataset, None, hp, account_time=False)
                agree(nats_fast, "query_info_str_by_arch", index, hp)
            agree(nats_fast, "get_net_config", index, dataset)
        agree(nats_fast, "get_unique_str", index)


@pytest.mark.parametrize("hp", ["12", "200"])
def test_costs_texts_weights_and_configurations(pair: Any, hp: str) -> None:
    seen = []
    for index in CELLS:
        for dataset in (*DATASETS, "svhn"):
            for seed in (None, 777, 111):
                seen.append(agree(pair, "get_net_param", index, dataset, seed, hp))
            for method in ("get_cost_info", "get_latency"):
                seen.append(agree(pair, method, index, dataset, hp))
            seen.append(agree(pair, "get_net_config", index, dataset))
        for method in ("query_info_str_by_arch", "query_by_arch"):
            seen.append(agree(pair, method, index, hp))
    assert {"value", "raised"} == set(seen)


def test_simulated_training_adds_up_the_same_time(pair: Any, strings: list[str]) -> None:
    pair.theirs.reset_time(), pair.ours.reset_time()
    for index in CELLS:
        for dataset in (*DATASETS[1:], "cifar10-valid"):
            for hp in ("12", "200"):
                agree(pair, "simulate_train_eval", index, dataset, hp=hp)
                agree(pair, "simulate_train_eval", strings[index], dataset, hp=hp, account_time=False)
                assert same(pair.theirs.used_time, pair.ours.used_time)
    assert pair.ours.used_time > 1000
    pair.theirs.reset_time(), pair.ours.reset_time()
    assert pair.theirs.used_time == pair.ours.used_time == 0


def test_simulated_training_of_fewer_epochs(nats: Any) -> None:
    for index in REAL:
        for dataset in DATASETS[1:]:
            for iepoch in (0, 11, 100, 199, 200):
                agree(nats, "simulate_train_eval", index, dataset, iepoch, "200", False)


def test_records_and_trainings(pair: Any) -> None:
    calls = 0
    for index in CELLS:
        for hp, last in (("12", 11), ("200", 199)):
            theirs, ours = (a.query_by_index(index, hp=hp) for a in pair)
            assert same(theirs.state_dict(), ours.state_dict(), ordered=False)
            assert list(theirs.all_results) == list(ours.all_results)
            assert repr(theirs) == repr(ours)
            both = (theirs, ours)
            for name in ("get_dataset_names", "get_total_epoch", "arch_idx_str"):
                agree(both, name)
            for dataset in DATASETS:
                for name in ("get_dataset_seeds", "get_latency", "get_total_epoch", "get_compute_costs"):
                    agree(both, name, dataset)
                for setname in ("train", "x-valid", "valid", "ori-test", "x-test", "nothing"):
                    for iepoch in (None, 0, 5, last, last + 1):
                        for seed in (False, True, 888):
                            agree(both, "get_metrics", dataset, setname, iepoch, seed)
            for trials in zip(*(r.all_results.items() for r in both), strict=True):
                assert trials[0][0] == trials[1][0]
                calls += compare_trainings(trials[0][1], trials[1][1], last)
    assert calls > 1000


def compare_trainings(theirs: Any, ours: Any, last: int) -> int:
    both = (theirs, copy.deepcopy(ours))
    assert repr(theirs) == repr(ours)
    calls = 0
    for name in ("get_times", "get_latency", "get_total_epoch", "get_eval_set", "get_net_param", "get_train"):
        agree(both, name)
    agree(both, "get_config", None)
    agree(both, "get_config", str.upper)
    for iepoch in (0, 5, last, last + 1, -1):
        agree(both, "get_train", iepoch)
        for name in ("x-valid", "valid", "ori-test", "x-test", "nothing"):
            agree(both, "get_eval", name, iepoch)
            calls += 1
    for field, value in theirs.__dict__.items():
        assert same(value, getattr(ours, field), ordered=False), field
    return calls


def test_records_by_data_set(pair: Any) -> None:
    for index in (0, 1462):
        for dataset in (*DATASETS, "svhn"):
            calls = [partial(api.query_by_index, index, dataset, "200") for api in pair]
            (kind, theirs), (own, ours) = map(outcome, calls)
            assert kind == own
            if kind == "value":
                assert list(theirs) == list(ours)
                assert all(same(theirs[s].state_dict(), ours[s].state_dict(), ordered=False) for s in theirs)
            else:
                assert isinstance(ours, type(theirs))
    for arguments in ((0, None, "90"), (1, None, "200"), (-1, None, "200"), (15625, None, "200")):
        assert agree(pair, "query_by_index", *arguments) == "raised"
        assert agree(pair, "query_meta_info_by_index", arguments[0], arguments[2]) == "raised"


@pytest.mark.parametrize("hp", ["12", "200"])
@pytest.mark.parametrize("limits", [(None, None), (50.0, None), (None, 0.5), (80.0, 0.7), (0.1, None)])
@pytest.mark.parametrize("package", PACKAGES)
def test_find_best(package: str, hp: str, limits: Any, request: pytest.FixtureRequest) -> None:
    """On cells that have every data set and all seconds, which theirs needs."""
    pair = request.getfixturevalue(f"regular_{package}")
    seen = set()
    for dataset, setname in product(DATASETS, ("valid", "test", "train", "ori-test", "x-valid", "x-test")):
        seen.add(agree(pair, "find_best", dataset, setname, *limits, hp))
    assert "value" in seen


def test_find_best_refuses_what_there_is_not(pair: Any) -> None:
    for arguments in (("svhn", "valid", None, None, "200"), ("cifar10", "x-test", None, None, "200"),
                      ("cifar10", "valid", None, None, "90")):  # fmt: skip
        assert agree(pair, "find_best", *arguments) == "raised"


def test_strings_and_indices(pair: Any, strings: list[str]) -> None:
    theirs, ours = pair
    assert len(theirs) == len(ours) == 15625
    assert list(theirs) == list(ours) == ours.meta_archs == strings
    assert theirs.archstr2index == ours.archstr2index
    for index in (0, 11, 15624, 15625, -1):
        agree(pair, "arch", index)
        agree(pair, "query_index_by_arch", index)
    for text in (WHOLE, "", "|none~0|", WHOLE + " ", None, 1.5, b"x"):
        agree(pair, "query_index_by_arch", text)
    assert ours.query_index_by_arch(WHOLE) == 1462
    assert same(ours[11], theirs[11])
    assert outcome(lambda: ours[15625])[0] == outcome(lambda: theirs[15625])[0] == "raised"

    class Structure:
        def tostr(self) -> str:
            return WHOLE

    agree(pair, "query_index_by_arch", Structure())
    for text in (WHOLE, strings[284], "|x~0|", "|none~0|none~", "none", ""):
        agree(pair, "str2lists", text)
        agree(pair, "str2matrix", text)
    agree(pair, "str2matrix", "|a~0|+|b~0|a~1|", ["a", "b"])
    agree(pair, "random")
    assert sorted(theirs.avaliable_hps) == ours.avaliable_hps
    assert theirs.evaluated_indexes == ours.evaluated_indexes
    assert sorted(theirs.arch2infos_dict) == list(ours.arch2infos_dict)
    assert len(ours.arch2infos_dict) == len(CELLS)


def test_unique_strings_of_all_cells(nats: Any) -> None:
    for index in range(0, 15625, 25):
        agree(nats, "get_unique_str", index)
    agree(nats, "get_unique_str", WHOLE)


def test_what_is_said_of_the_interface(nats: Any) -> None:
    for name in ("search_space_name", "fast_mode", "archive_dir", "full_train_epochs", "is_size", "is_topology",
                 "full_epochs_in_paper", "used_time"):  # fmt: skip
        assert getattr(nats.theirs, name) == getattr(nats.ours, name), name


@pytest.mark.parametrize("index", [0, 284, 3, 1, 15625])
def test_show_prints_the_same(pair: Any, index: int, capsys: pytest.CaptureFixture[str]) -> None:
    printed = []
    for api in pair:
        api.show(index)
        printed.append(capsys.readouterr().out)
    assert printed[0] == printed[1]
    assert printed[0] != ""


def test_statistics(nats: Any) -> None:
    for dataset in (*DATASETS, "svhn"):
        for hp in ("12", 200, "90"):
            agree(nats, "statistics", dataset, hp)


def test_scripts_may_change_records_and_are_answered_accordingly(pair: Any) -> None:
    """Both packages answer from what `arch2infos_dict` holds; our own reading of the table stays as it was."""
    theirs, ours = copy.deepcopy(pair.theirs), type(pair.ours)(pair.ours.table, verbose=False)
    both = (theirs, ours)
    agree(both, "get_cost_info", 11, "cifar100", "200")
    for api in both:
        record = api.arch2infos_dict[11]["200"]
        record.reset_latency("cifar100", None, 0.5)
        record.reset_pseudo_train_times("cifar100", 888, 2.0)
        record.reset_pseudo_eval_times("cifar100", None, "x-valid", 0.25)
        record.all_results["cifar100", 777].train_losses[199] = 7.0
        record.clear_params()
    assert ours.get_latency(11, "cifar100", "200") == 0.5
    for seed in (False, 777, 888, 999):
        agree(both, "get_more_info", 11, "cifar100", hp="200", is_random=seed)
        agree(both, "get_more_info", 11, "cifar100", 150, hp="200", is_random=seed)
    agree(both, "get_cost_info", 11, "cifar100", "200")
    agree(both, "simulate_train_eval", 11, "cifar100", hp="200")
    agree(both, "find_best", "cifar100", "valid", None, None, "200")
    assert agree(pair, "get_cost_info", 11, "cifar100", "200") == "value"
    copied = ours.query_by_index(11, "cifar100", "200")
    copied[777].latency.append(100.0)
    copied[777].train_acc1es[199] = -1.0
    agree(both, "get_cost_info", 11, "cifar100", "200")
    agree(both, "get_more_info", 11, "cifar100", hp="200", is_random=777)


def test_records_can_be_built_by_hand(pair: Any) -> None:
    """ArchResults and ResultsCount as the scripts that made the benchmark use them."""
    built = []
    for api in pair:
        record = api.query_by_index(0, hp="12")
        trial = type(record.query("cifar10", 111))
        made = trial("cifar10", None, {0: 1.0, 1: 2.0}, {0: 3.0, 1: 4.0}, 0.1, 5.0, {"arch_str": "x"}, "0001", 2, None)
        made.update_train_info({0: 1.0, 1: 2.5}, None, {0: 3.0, 1: 4.0}, {0: 1.5, 1: 1.75})
        made.update_eval({"v@0": 1.0, "v@1": 2.0}, {"v@0": 0.5, "v@1": 0.25}, {"v@0": 7.0, "v@1": 8.0})
        made.update_OLD_eval("old", {0: 1.0}, {0: 2.0})
        made.update_latency([0.25, 0.5])
        own = type(record)(4, "x")
        own.update("cifar10", 1, made)
        again = type(record).create_from_state_dict(own.state_dict())
        built.append([made.state_dict(), made.get_times(), made.get_eval("v", 1), made.get_train(), repr(made),
                      made.get_latency(), again.get_metrics("cifar10", "v"), again.get_compute_costs("cifar10"),
                      again.dataset_seed, repr(again)])  # fmt: skip
        with pytest.raises((ValueError, AssertionError)):
            made.update_OLD_eval("old", {}, {})
        with pytest.raises((ValueError, AssertionError)):
            own.update("cifar10", 1, made)
    for a, b in zip(*built, strict=True):
        assert a == b


def test_structures(strings: list[str]) -> None:
    from nats_bench.genotype_utils import TopologyStructure, topology_str2structure

    from benchbed.dropin import structure

    for text in (*strings[:40], WHOLE, "|a~0|+|b~1|"):
        theirs, ours = topology_str2structure(text), structure.topology_str2structure(text)
        both = (theirs, ours)
        for zero in (None, False, True):
            agree(both, "to_unique_str", zero)
        for name in ("tostr", "check_valid", "__len__", "__repr__"):
            agree(both, name)
        agree(both, "tolist", None)
        agree(both, "tolist", "none")
        agree(both, "check_valid_op", ["none", "a"])
        agree(both, "__getitem__", 1)
        for node in (0, 1, 2, 9):
            agree(both, "node", node)
        full = (TopologyStructure, structure.TopologyStructure)
        assert full[0].str2fullstructure(text).tostr() == full[1].str2fullstructure(text).tostr()
        assert (theirs.nodes, theirs.node_num, theirs.node_N) == (ours.nodes, ours.node_num, ours.node_N)
