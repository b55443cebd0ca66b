"""The contract of a proxy, as checks that a plug-in's author can run.

    from benchbed.testing.proxy_suite import CHECKS

    @pytest.mark.parametrize("check", CHECKS)
    def test_contract(check):
        check(lambda: MyProxy(MyProxy.Options()))

Each check takes `make`, which gives the proxy, and raises AssertionError where the contract is broken. They run on a
few cells of a small NAS-Bench-201 network and random images, so options that look at many images should be small.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import nn

from ..proxy import Case, Proxy
from ..space import Architecture
from ..spaces.nb201.network import NB201Network
from ..spaces.nb201.space import NB201
from ..task import Split
from .tree import checks_in, require

MakeProxy = Callable[[], Proxy[Any]]
CHANNELS, CELLS, CLASSES, SIDE, IMAGES = 4, 1, 5, 8, 400
TEXTS = (
    "|nor_conv_3x3~0|+|nor_conv_3x3~0|nor_conv_3x3~1|+|skip_connect~0|nor_conv_3x3~1|nor_conv_3x3~2|",
    "|avg_pool_3x3~0|+|nor_conv_1x1~0|skip_connect~1|+|nor_conv_3x3~0|none~1|nor_conv_1x1~2|",
    "|skip_connect~0|+|nor_conv_1x1~0|none~1|+|none~0|none~1|nor_conv_3x3~2|",
)


def architectures() -> list[Architecture]:
    """Those that are scored: with and without pooling, skip connections and unreached operations."""
    return [NB201().parse(text) for text in TEXTS]


def case(architecture: Architecture, seed: int = 0, shift: float = 0.0) -> Case:
    """An architecture on random images of five classes. shift: what is added to every pixel."""
    generator = torch.Generator().manual_seed(7)
    images = torch.randn(IMAGES, 3, SIDE, SIDE, generator=generator) + shift
    train = Split(images, torch.arange(IMAGES) % CLASSES)
    build = partial(NB201Network, architecture.choices, CHANNELS, CELLS, CLASSES, 3)
    return Case(
        NB201(), architecture, (3, SIDE, SIDE), CLASSES, CHANNELS, CELLS, seed, train, build, torch.device("cpu")
    )


def scored(proxy: Proxy[Any], of: Case) -> tuple[float, ...]:
    """The score as numbers, one or as many as there are parts."""
    found = proxy.score(of)
    return found if isinstance(found, tuple) else (found,)


def check_a_score_is_a_number_or_one_a_part(make: MakeProxy) -> None:
    """A float, or a tuple of as many floats as there are parts; finite on these cells."""
    for architecture in architectures():
        found, parts = make().score(case(architecture)), make().parts
        if parts:
            require(isinstance(found, tuple) and len(found) == len(parts), f"{found!r} where the parts are {parts}")
        else:
            require(isinstance(found, float), f"a score is {type(found).__name__}, not float")
        numbers = scored(make(), case(architecture))
        require(all(isinstance(x, float) for x in numbers), f"the parts {numbers} are not all floats")
        require(bool(np.isfinite(numbers).all()), f"{architecture} scores {numbers}")


def check_the_same_seed_gives_the_same_score(make: MakeProxy) -> None:
    """Bit for bit, whatever torch's global generator holds, which stays as it is; also for a proxy used before."""
    proxy, architecture = make(), architectures()[0]
    torch.manual_seed(0)
    first, dice = scored(proxy, case(architecture)), torch.get_rng_state()
    torch.manual_seed(0)
    require(torch.equal(dice, torch.get_rng_state()), "scoring draws from torch's global generator")
    torch.manual_seed(1)
    scored(proxy, case(architectures()[1]))
    require(scored(proxy, case(architecture)) == first, "the same case has two scores")
    require(scored(make(), case(architecture)) == first, "two proxies with the same options give two scores")


def check_architectures_are_told_apart(make: MakeProxy) -> None:
    """Not every architecture has the same score."""
    found = {scored(make(), case(architecture)) for architecture in architectures()}
    require(len(found) > 1, f"all of {len(TEXTS)} architectures score {found}")


def check_what_it_is_given_stays_as_it_was(make: MakeProxy) -> None:
    """The training images and labels are not changed, gradients stay switched on, and so does the number type."""
    of = case(architectures()[0])
    assert isinstance(of.train, Split)
    images, labels = of.train.images.clone(), of.train.labels.clone()
    scored(make(), of)
    require(torch.equal(images, of.train.images), "the training images were changed")
    require(torch.equal(labels, of.train.labels), "the training labels were changed")
    require(not of.train.images.requires_grad, "the training images were made to require a gradient")
    require(torch.is_grad_enabled() and torch.get_default_dtype() == torch.float32, "torch's own settings were changed")


def check_one_function_has_one_score(make: MakeProxy) -> None:
    """`of_function`: an operation that reaches no output counts for nothing, but for the draw of the weights.

    On the same weights: the cell is built with the dead operation, and its weights are put into both networks.
    """
    proxy = make()
    space, text = NB201(), "|nor_conv_1x1~0|+|none~0|{}~1|+|skip_connect~0|nor_conv_3x3~1|none~2|"
    dead, without = (space.parse(text.format(op)) for op in ("nor_conv_3x3", "none"))
    require(space.network_form(dead) == space.network_form(without), "the cells are two networks")
    if not proxy.of_function:
        return
    of = case(without)

    def build() -> nn.Module:
        whole = case(dead).build()
        network = of.build()
        network.load_state_dict({key: whole.state_dict()[key] for key in network.state_dict()})
        return network

    with_it, bare = scored(proxy, case(dead)), scored(proxy, Case(**{**vars(of), "build": build}))
    alike = np.allclose(with_it, bare, rtol=1e-4, atol=1e-6)
    require(alike, f"with an operation that reaches nothing {with_it}, without {bare}: say of_function = False, or do "
            "not count it")  # fmt: skip


def check_parts_are_combined(make: MakeProxy) -> None:
    """Of a proxy with parts: a finite score a network, in the order of the networks, also where a part is no number."""
    proxy = make()
    if not proxy.parts:
        return
    measured = np.random.default_rng(0).normal(size=(6, len(proxy.parts)))
    measured[3, 0] = np.nan
    found = proxy.combine(measured)
    require(found.shape == (6,) and found.dtype == np.float64, f"scores {found.shape} {found.dtype}, not float64 (6,)")
    require(bool(np.isfinite(found).all()), f"the scores {found} are not finite")
    order = np.array([4, 2, 0, 5, 1, 3])
    require(np.allclose(proxy.combine(measured[order]), found[order]), "the scores depend on the networks' order")


CHECKS: tuple[Callable[[MakeProxy], None], ...] = checks_in(globals())
