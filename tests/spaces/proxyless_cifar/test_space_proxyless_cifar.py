"""ProxylessNAS' CIFAR-10 space: what is published of it, its counts, its strings."""

from collections import Counter
from itertools import pairwise

import numpy as np
import pytest

from benchbed.errors import BenchbedError
from benchbed.spaces.proxyless_cifar.space import (
    OPERATIONS,
    ProxylessCifar,
    branch_edges,
    operation_cost,
    shapes,
    widths,
)

SMALL = ProxylessCifar(preset="small")  # three trees of four edges
DEEP = ProxylessCifar(preset="small", depth=3)  # three trees of twelve


def test_the_space_is_the_published_one():
    space = ProxylessCifar()
    assert len(space.positions) == 12 * 18 * 3 == 648
    assert space.size() == 7**648
    assert all(position.operations == OPERATIONS for position in space.positions)
    assert branch_edges(3) == ["1", "1.1", "1.2", "2", "2.1", "2.2"]
    assert space.positions[0].name == "1:1.1"
    assert space.positions[647].name == "54:2.2.2"


def test_the_widths_are_the_published_ones():
    found = widths()
    assert found[:7] == (18, 18, 20, 22, 24, 24, 26)
    assert found[-2:] == (98, 100)
    assert list(found) == sorted(found)
    assert len(found) == 54
    blocks = shapes()
    assert blocks[-1].out_channels == 400
    assert [i for i, block in enumerate(blocks) if block.stride == 2] == [18, 36]
    assert blocks[0].in_channels == 16
    for before, after in pairwise(blocks):
        assert after.in_channels == before.out_channels == 4 * before.channels


def test_the_released_network_has_the_published_counts():
    space = ProxylessCifar()
    arch = space.parse("proxyless-g")
    assert round(space.parameters(arch) / 1e6, 2) == 5.73
    assert round(space.flops(arch) / 1e6, 1) == 1213.2


def test_the_released_network_has_the_described_operations():
    """How often each is on the 216 edges of the first level below the split, and on the 432 of the last."""
    space = ProxylessCifar()
    arch = space.parse("proxyless-g")
    counts = {"inner": Counter(), "leaf": Counter()}
    for name, operation in space.describe_choices(arch):
        counts["leaf" if name.count(".") == 2 else "inner"][operation] += 1
    assert [counts["inner"][operation] for operation in OPERATIONS] == [30, 20, 26, 45, 36, 19, 40]
    assert [counts["leaf"][operation] for operation in OPERATIONS] == [66, 63, 59, 71, 54, 70, 49]


def test_a_released_network_s_name_is_its_string():
    space = ProxylessCifar()
    arch = space.parse("proxyless-g")
    assert space.parse(arch.text) == arch
    assert space.resolve("proxyless-g") == (space, arch)
    # what is no size does not matter, nor do the sizes where they are given
    assert ProxylessCifar(drop_path=0.2, blocks=18).parse("proxyless-g") == arch
    assert space.for_images((1, 28, 28), 10).parse("proxyless-g") == arch


@pytest.mark.parametrize(
    ("options", "name", "words"),
    [
        ({"blocks": 2}, "proxyless-g", "has blocks=18 where this space has blocks=2: it needs space_options.preset="),
        ({"preset": "small", "blocks": 18}, "proxyless-g", "has start=16, widening=84, bottleneck=4, depth=3 where"),
        ({}, "proxyless-gg", "unknown released network 'proxyless-gg': did you mean 'proxyless-g'"),
    ],
)
def test_a_name_that_does_not_fit_is_refused(options, name, words):
    with pytest.raises(BenchbedError, match=words):
        ProxylessCifar(**options).parse(name)


def test_the_range_of_the_counts_is_reached():
    space = ProxylessCifar()
    for norm, count in ((True, space.parameters), (False, space.flops)):
        fixed, _ = space.unit_costs("params" if norm else "flops")
        dearest = sum(
            12 * operation_cost(3, block.channels, norm) * (1 if norm else area)
            for block, (_, area) in zip(space.shapes, space.areas(), strict=True)
        )
        assert count(space.parse("-".join(["iiiiii+iiiiii"] * 54))) == fixed
        assert count(space.parse("-".join(["777777+777777"] * 54))) == fixed + dearest


def test_a_string_names_each_edge():
    arch = DEEP.parse("i357da+m00000-iiiiii+iiiiii-iiiiii+iiiiii".replace("0", "i"))
    assert DEEP.describe_choices(arch)[:8] == [
        ("1:1.1", "identity"),
        ("1:1.1.1", "sep3"),
        ("1:1.1.2", "sep5"),
        ("1:1.2", "sep7"),
        ("1:1.2.1", "dil3"),
        ("1:1.2.2", "avg3"),
        ("1:2.1", "max3"),
        ("1:2.1.1", "identity"),
    ]
    assert ProxylessCifar().parse(ProxylessCifar().random(np.random.default_rng(0)).text).text.count("-") == 53


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("ii+ii-ii+ii", "number of blocks is 2 where 3 joined by '-' are expected"),
        ("ii+ii-ii-ii+ii", "block 2, 'ii': two branches joined by '.' are expected"),
        ("ii+ii-ii+ix-ii+ii", "block 2, branch 2: 'x' in 'ix' is not one of i .identity., 3 .sep3."),
        ("ii+ii-ii+ii-i+ii", "block 3, branch 1: 'i' has 1 letters where 2 are expected"),
    ],
)
def test_what_is_no_network_is_named(text, words):
    with pytest.raises(BenchbedError, match=words):
        SMALL.parse(text)


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("357di5+mmmmmm", "di5357+mmmmmm", True),  # a node's two paths are added
        ("357di5+mmmmmm", "mmmmmm+357di5", True),  # so are the branches
        ("i35i7a+mmmmmm", "i37i5a+mmmmmm", True),  # below identities all four leaves are one sum
        ("335i7a+mmmmmm", "337i5a+mmmmmm", False),
        ("357di5+mmmmmm", "3577i5+mmmmmm", False),
        ("iiiiii+mmmmmm", "iiiii3+mmmmmm", False),
    ],
)
def test_the_canonical_form_knows_sums_and_identities(one, other, same):
    rest = "-iiiiii+iiiiii-357dam+iiiiii"
    assert (DEEP.canonical(DEEP.parse(one + rest)) == DEEP.canonical(DEEP.parse(other + rest))) == same


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"preset": "tiny"}, "proxyless-cifar preset.*small"),
        ({"blocks": 0}, "space option blocks = 0: expected a whole number from 1 to 100"),
        ({"depth": 1}, "space option depth = 1: expected a whole number from 2"),
        ({"start": 1.5}, "space option start = 1.5"),
        ({"drop_path": 1}, "space option drop_path = 1: expected a number from 0 to below 1"),
    ],
)
def test_options_out_of_range_are_named(options, words):
    with pytest.raises(BenchbedError, match=words):
        ProxylessCifar(**options)
