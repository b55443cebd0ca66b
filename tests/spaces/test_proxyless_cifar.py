"""ProxylessNAS' CIFAR-10 space: what is published of it, its counts, its strings."""

from itertools import pairwise

import numpy as np
import pytest

from benchbed.errors import BenchbedError
from benchbed.spaces.proxyless_cifar import (
    OPERATIONS,
    RELEASED,
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


def _moments(space: ProxylessCifar, norm: bool) -> tuple[float, float, int, int]:
    """Mean, standard deviation, least and greatest of parameters (`norm`) or FLOPs, where each edge draws its operation
    independently by the released network's frequencies at its level."""
    mean = least = most = space.unit_costs("params" if norm else "flops")[0]
    variance = 0.0
    for block, (_, after) in zip(space.shapes, space.areas(), strict=True):
        for edge in space.edges * 2:
            counts = np.array(RELEASED["leaf" if "." in edge else "inner"])
            costs = np.array([operation_cost(k, block.channels, norm) for k in range(7)]) * (1 if norm else after)
            p = counts / counts.sum()
            mean, variance = mean + p @ costs, variance + p @ costs**2 - (p @ costs) ** 2
            least, most = least + costs.min(), most + costs.max()
    return float(mean), float(variance**0.5), int(least), int(most)


@pytest.mark.parametrize(("norm", "published"), [(True, 5.73e6), (False, 1213.2e6)])
def test_the_released_network_s_figures_agree_in_expectation(norm, published):
    """No exact check: its 648 operations are not in the references, only how often each occurs (which is all used)."""
    assert (sum(RELEASED["inner"]), sum(RELEASED["leaf"])) == (4 * 54, 8 * 54)
    mean, deviation, least, most = _moments(ProxylessCifar(), norm)
    assert least < published < most
    assert deviation < 0.02 * mean  # so that agreement means something
    assert abs(published - mean) < 2 * deviation


def test_the_range_of_the_counts_is_reached():
    space = ProxylessCifar()
    for norm, count in ((True, space.parameters), (False, space.flops)):
        _, _, least, most = _moments(space, norm)
        assert count(space.parse("-".join(["iiiiii+iiiiii"] * 54))) == least
        assert count(space.parse("-".join(["777777+777777"] * 54))) == most


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
