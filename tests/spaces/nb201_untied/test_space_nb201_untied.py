"""NAS-Bench-201 with a decision of its own for every cell, against the tied space that it contains."""

import itertools

import numpy as np
import pytest
import torch

from benchbed.errors import BenchbedError
from benchbed.space import Architecture
from benchbed.spaces.nb201.space import CONV1, CONV3, NB201, NONE, POOL, SKIP, flops, parameters
from benchbed.spaces.nb201_untied.network import NB201UntiedNetwork
from benchbed.spaces.nb201_untied.space import NB201Untied

F, X, DEAD = (NONE, NONE, NONE, CONV3, NONE, NONE), (NONE, NONE, NONE, SKIP, NONE, NONE), (NONE,) * 6
G = (CONV1, SKIP, POOL, CONV3, NONE, SKIP)


def test_positions_are_cells_times_edges():
    space = NB201Untied()
    assert len(space.positions) == 6 * 15
    assert space.size() == 5**90
    assert [p.name for p in space.positions[:7]] == [
        "1:0->1",
        "1:0->2",
        "1:1->2",
        "1:0->3",
        "1:1->3",
        "1:2->3",
        "2:0->1",
    ]
    assert NB201Untied(cells=2).positions[-1].name == "6:2->3"
    assert space.sizes(8, 3) == {"channels": 8, "cells": 5}


@pytest.mark.parametrize("cells", [1, 3])
def test_with_all_cells_equal_the_counts_are_the_benchmark_s(cells):
    space, rng = NB201Untied(cells), np.random.default_rng(0)
    for _ in range(20):
        cell = NB201().random(rng)
        stacked = space.architecture_of(cell.choices * (3 * cells))
        assert stacked.text == "/".join([cell.text] * (3 * cells))
        assert space.parameters(stacked) == parameters(cell, cells=cells)
        assert space.flops(stacked) == flops(cell, cells=cells)
    assert space.facts(stacked)["distinct_cells"] == 1


@pytest.mark.parametrize("sizes", [(3, 2, 1), (16, 10, 3)])
def test_parameters_are_torch_s_count(sizes):
    space, rng = NB201Untied(2), np.random.default_rng(1)
    for arch in (space.random(rng) for _ in range(10)):
        with torch.device("meta"):
            network = NB201UntiedNetwork(arch.choices, sizes[0], 2, *sizes[1:])
        assert space.parameters(arch, *sizes) == sum(p.numel() for p in network.parameters())


def test_flops_are_seen_while_the_network_runs():
    space, seen = NB201Untied(2), []
    # no `none`: the network does not run what cannot reach its end, and the benchmark counts it
    rng = np.random.default_rng(2)
    arch = space.architecture_of(tuple(int(k) for k in rng.integers(1, 5, 36)))
    with torch.device("meta"):
        network = NB201UntiedNetwork(arch.choices, 4, 2, 10, 3).eval()
        for module in network.modules():
            if isinstance(module, torch.nn.Conv2d):
                module.register_forward_hook(lambda m, x, y: seen.append(m.weight.numel() * y.shape[2] * y.shape[3]))
        network(torch.empty(1, 3, 16, 16))
    assert space.flops(arch, channels=4, size=16) == sum(seen) + 16 * 10 + 10


def test_the_canonical_form_tells_cells_apart_as_nb201_does():
    space = NB201Untied(1)
    forms: dict[str, set[str]] = {}
    for choices in itertools.product(range(5), repeat=6):
        own = NB201().canonical(Architecture("", choices))
        forms.setdefault(own, set()).add(space.canonical(Architecture("", choices + F + G)))
    assert len(forms) == 4930
    assert all(len(found) == 1 for found in forms.values())
    assert len(set.union(*forms.values())) == 4930


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ((F, X, G, G, F, F), (X, F, G, G, F, F), True),  # a cell that does nothing, wherever in its stage
        ((X, X, G, G, F, F), (X, F, G, G, F, F), False),
        ((F, G, F, X, G, G), (F, G, X, F, G, G), True),
        ((F, X, F, G, G, G), (F, F, X, G, G, G), False),  # across a reduction it is another function
        ((F, G, F, G, F, G), (G, F, F, G, F, G), False),
        ((F, DEAD, G, G, G, G), (G, G, G, G, G, DEAD), True),  # the image does not reach the end of either
    ],
)
def test_what_is_the_same_function(one, other, same):
    space = NB201Untied(2)
    a, b = (space.canonical(space.architecture_of(sum(cells, ()))) for cells in (one, other))
    assert (a == b) == same
    assert (a == "0") == (DEAD in one)


def test_equal_forms_are_equal_functions():
    torch.manual_seed(0)
    one = NB201UntiedNetwork(sum((G, X, F, F, F, F), ()), 2, 2).eval()
    other = NB201UntiedNetwork(sum((X, G, F, F, F, F), ()), 2, 2).eval()
    moved = {
        name.replace("blocks.0.", "blocks.1.") if name.startswith("blocks.0.edges") else name: value
        for name, value in one.state_dict().items()
    }
    other.load_state_dict(moved)
    images = torch.randn(2, 3, 8, 8)
    torch.testing.assert_close(one(images), other(images), rtol=0, atol=0)


CELL = "|none~0|+|none~0|none~1|+|nor_conv_3x3~0|none~1|none~2|"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (CELL, r"of 1 cells where 3 joined by '/' are expected \(space option cells = 1\)"),
        (f"{CELL}/{CELL}/{CELL.replace('nor', 'nur')}", "cell 3: .*nur_conv_3x3.*nor_conv_3x3"),
        (f"{CELL}/{CELL}/", "cell 3: empty"),
    ],
)
def test_what_is_no_network_is_named(text, words):
    with pytest.raises(BenchbedError, match=words):
        NB201Untied(1).parse(text)


@pytest.mark.parametrize("cells", [0, 51, 1.0, "two", True])
def test_other_numbers_of_cells_are_refused(cells):
    with pytest.raises(BenchbedError, match=r"space option cells = .*: expected a whole number from 1 to 50"):
        NB201Untied(cells)


@pytest.mark.parametrize("kind", ["params", "flops"])
def test_costs_by_operation_add_up(kind):
    space, rng = NB201Untied(2), np.random.default_rng(1)
    fixed, each = space.unit_costs(kind)
    for arch in (space.random(rng) for _ in range(20)):
        assert fixed + (each * space.gates(arch)).sum() == space.facts(arch)[kind]
