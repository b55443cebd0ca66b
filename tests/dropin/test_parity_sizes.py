"""NATS-Bench's size space: the drop-in against the package, on networks written here and on the official sample."""

from itertools import product
from typing import Any

import pytest

from .conftest import outcome, same

DATASETS = ("cifar10-valid", "cifar10", "cifar100", "ImageNet16-120")
HPS = ("01", "12", "90")

# Checking annotations draws from Python's `random`, by which both packages choose a seed.
pytestmark = pytest.mark.usefixtures("unchecked")


@pytest.fixture(params=["nats_size", "nats_size_sample"])
def pair(request: pytest.FixtureRequest) -> Any:
    return request.getfixturevalue(request.param)


@pytest.fixture
def indexes(pair: Any) -> list[int]:
    return sorted(pair.ours.evaluated_indexes)


def agree(pair: Any, method: str, *arguments: Any, **named: Any) -> str:
    """Compares one call; says whether both gave a value or both refused."""
    (kind, theirs), (own, ours) = (outcome(lambda a=a: getattr(a, method)(*arguments, **named)) for a in pair)
    said = f"{method}{arguments}{named}: theirs {kind} {theirs!r:.300}, ours {own} {ours!r:.300}"
    assert kind == own, said
    assert kind == "raised" or same(theirs, ours), said
    assert kind == "value" or "\n" not in str(ours), said
    return kind


def test_every_figure_of_every_epoch_and_seed(pair: Any, indexes: list[int]) -> None:
    seen = {"value": 0, "raised": 0}
    for index, dataset, hp in product(indexes, DATASETS, HPS):
        for iepoch in (None, 0, 5, 11, int(hp) - 1, int(hp)):
            for seed in (False, True, 777, 888, 111):
                seen[agree(pair, "get_more_info", index, dataset, iepoch=iepoch, hp=hp, is_random=seed)] += 1
    assert min(seen.values()) > 50, seen


def test_costs_texts_weights_and_configurations(pair: Any, indexes: list[int]) -> None:
    for index, hp in product(indexes, (*HPS, 12, 90)):
        for dataset in DATASETS:
            for method in ("get_cost_info", "get_latency"):
                assert agree(pair, method, index, dataset, hp) == "value"
            assert agree(pair, "get_net_config", index, dataset) == "value"
            agree(pair, "get_net_param", index, dataset, None, hp)
        if isinstance(hp, str):
            assert agree(pair, "query_info_str_by_arch", pair.ours[index], hp) == "value"


def test_simulated_training_adds_up_the_same_time(pair: Any, indexes: list[int]) -> None:
    for api in pair:
        api.reset_time()
    for index, dataset, hp in product(indexes, DATASETS[1:], HPS):
        assert agree(pair, "simulate_train_eval", pair.ours[index], dataset, hp=hp) == "value"
        agree(pair, "simulate_train_eval", index, dataset, 0, hp, account_time=False)
        assert same(pair.theirs.used_time, pair.ours.used_time)
    assert pair.ours.used_time > 100


def test_records_and_what_is_said_of_them(pair: Any, indexes: list[int], capsys: pytest.CaptureFixture[str]) -> None:
    for index in indexes:
        for hp in HPS:
            theirs, ours = (api.query_by_index(index, hp=hp) for api in pair)
            assert list(theirs.all_results) == list(ours.all_results)
            for key, trial in ours.all_results.items():
                state = theirs.all_results[key].state_dict()
                assert {name: getattr(trial, name) for name in state} == state
                assert same(theirs.all_results[key].get_config(str.upper), trial.get_config(str.upper))
        printed = []
        for api in pair:
            api.show(index)
            printed.append(capsys.readouterr().out)
        assert printed[0] == printed[1] != ""


def test_the_best_and_the_numbers_of_seeds(nats_size: Any) -> None:
    for dataset, hp in product(DATASETS, HPS):
        for limits in ((None, None), (100.0, None), (None, 0.2)):
            assert agree(nats_size, "find_best", dataset, "valid", *limits, hp) in ("value", "raised")
        assert agree(nats_size, "statistics", dataset, hp) == "value"


def test_strings_indices_and_names(pair: Any) -> None:
    theirs, ours = pair
    assert len(theirs) == len(ours) == 32768
    assert list(theirs) == list(ours)
    for text in ("64:64:64:64:64", "8:8:8:8:8", "8:8:8:8", "8:8:8:8:9", "|none~0|", ""):
        agree(pair, "query_index_by_arch", text)
    for index in (0, 32767, 32768):
        agree(pair, "arch", index)
    assert sorted(theirs.avaliable_hps or HPS) == ours.avaliable_hps == list(HPS)
    for name in ("search_space_name", "fast_mode", "full_train_epochs", "is_size", "is_topology",
                 "full_epochs_in_paper"):  # fmt: skip
        assert getattr(theirs, name) == getattr(ours, name), name
    public = {name for name in dir(theirs) if not name.startswith("_")}
    assert public - set(dir(ours)) == set()
    assert {"get_unique_str", "str2lists", "str2matrix"} & set(dir(ours)) == set()


def test_an_unknown_network_is_refused_in_words_of_the_space(nats_size: Any) -> None:
    with pytest.raises(ValueError, match="'8:8:8:8:9' is not in NATS-Bench's size space"):
        nats_size.ours.get_more_info("8:8:8:8:9", "cifar10", hp="90", is_random=False)
    with pytest.raises(ValueError, match=r"has nothing of hp='200': it has 01, 12, 90 epochs .* brings 01, 12 and 90"):
        nats_size.ours.get_more_info(0, "cifar10", hp="200", is_random=False)
