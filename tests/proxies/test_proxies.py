"""Every registered proxy keeps the contract, and the suite notices when one does not."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from benchbed import registry
from benchbed.errors import BenchbedError
from benchbed.proxy import BatchOptions, Case, Proxy
from benchbed.testing.proxy_suite import CHECKS, architectures, case

SMALL = {"batch": 16}
OPTIONS = {"zico": {"batch": 16, "batches": 2}, "swap": {"batch": 8, "draws": 2},
           "te-nas": {"batch": 8, "draws": 1, "crops": 50}}  # fmt: skip
NAMES = [plugin.name for plugin in registry.plugins("proxy")]


def made(name: str) -> Proxy[Any]:
    kind = registry.load("proxy", name)
    given = OPTIONS.get(name, SMALL if "batch" in kind.Options.model_fields else {})
    return kind(kind.Options(**given))


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
@pytest.mark.parametrize("name", NAMES)
def test_the_proxy_keeps_the_contract(name: str, check: Callable[..., None]) -> None:
    check(lambda: made(name))


def test_all_that_are_named_are_there() -> None:
    assert set(NAMES) >= {
        "az-nas", "epe-nas", "fisher", "flops", "grad-norm", "grasp", "jacov", "l2-norm", "meco", "nwot", "params",
        "plain", "snip", "swap", "synflow", "te-nas", "zen", "zico",
    }  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_a_network_through_which_nothing_flows_has_a_score_or_none(name: str) -> None:
    """NaN and infinities are given back as they are: nothing crashes, and no other number stands in for them."""
    of = case(of_zero())
    found = made(name).score(of)
    assert all(isinstance(x, float) for x in (found if isinstance(found, tuple) else (found,)))


def of_zero() -> Any:
    return case(architectures()[0]).space.parse("|none~0|+|none~0|none~1|+|none~0|none~1|none~2|")


# -- the suite finds what is broken ------------------------------------------------------------------------------------


class Sound(Proxy[BatchOptions]):
    """Keeps the contract; each class below breaks it in one way."""

    def score(self, case: Case) -> float:
        return float(case.network()(case.batch(8).images).detach().square().mean())


class NoNumber(Sound):
    def score(self, case: Case) -> float:
        return super().score(case) * math.nan


class Restless(Sound):
    def score(self, case: Case) -> float:
        return super().score(case) + float(torch.rand(()))


class Constant(Sound):
    def score(self, case: Case) -> float:
        return 1.0


class Careless(Sound):
    def score(self, case: Case) -> float:
        case.train.images.mul_(2)
        return super().score(case)


class Counting(Sound):
    def score(self, case: Case) -> float:
        return float(sum(p.numel() for p in case.network().parameters()))


class Lopsided(Sound):
    parts = ("one", "two")

    def score(self, case: Case) -> tuple[float, ...]:
        return super().score(case), float(len(case.architecture.text))

    def combine(self, measured: Any) -> Any:
        return np.arange(float(len(measured)))


def failing(kind: type[Proxy[Any]]) -> list[str]:
    found = []
    for check in CHECKS:
        try:
            check(lambda: kind(kind.Options()))
        except AssertionError:
            found.append(check.__name__)
    return found


def test_the_sound_one_passes() -> None:
    assert failing(Sound) == []


@pytest.mark.parametrize(
    ("kind", "check"),
    [
        (NoNumber, "check_a_score_is_a_number_or_one_a_part"),
        (Restless, "check_the_same_seed_gives_the_same_score"),
        (Constant, "check_architectures_are_told_apart"),
        (Careless, "check_what_it_is_given_stays_as_it_was"),
        (Counting, "check_one_function_has_one_score"),
        (Lopsided, "check_parts_are_combined"),
    ],
)
def test_a_broken_one_is_found(kind: type[Proxy[Any]], check: str) -> None:
    assert check in failing(kind)


# -- what a case gives -------------------------------------------------------------------------------------------------


def test_the_network_starts_as_a_training_of_the_seed_does() -> None:
    from benchbed.streams import Streams, derive, seeded

    of = case(architectures()[0], seed=3)
    with seeded(Streams(derive(3, "scoring")).generator("initialisation")):
        expected = of.build().state_dict()
    assert all(torch.equal(value, expected[key]) for key, value in of.network().state_dict().items())
    other = of.network(1).state_dict()
    assert not torch.equal(other["stem.0.weight"], expected["stem.0.weight"])
    assert of.network().training


def test_batches_are_a_partition_of_the_training_images_and_follow_the_seed() -> None:
    of = case(architectures()[0])
    seen = torch.cat([of.batch(100, k).images for k in range(4)]).flatten(1)
    assert sorted(seen[:, 0].tolist()) == sorted(of.train.images.flatten(1)[:, 0].tolist())
    assert torch.equal(of.batch(100).images, case(architectures()[1]).batch(100).images)
    assert not torch.equal(of.batch(100).images, case(architectures()[0], seed=1).batch(100).images)
    with pytest.raises(BenchbedError, match="batch 5 of 100 images: there are 400 training images"):
        of.batch(100, 4)


def test_noise_is_the_same_for_every_architecture_and_another_by_name_and_seed() -> None:
    one, other = (case(architecture) for architecture in architectures()[:2])
    assert torch.equal(one.noise("a", 4), other.noise("a", 4))
    assert not torch.equal(one.noise("a", 4), one.noise("b", 4))
    assert not torch.equal(one.noise("a", 4), case(architectures()[0], seed=1).noise("a", 4))
