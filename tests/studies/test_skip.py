"""The skip analysis on a supernet: swapped edges, errors on edges, the gap over training, and the command."""

import json
import math

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from benchbed.layers.plan import plan
from benchbed.spaces.nb201.space import CONV1, CONV3, EDGES, SKIP
from benchbed.spaces.nb201.supernet import CellSupernet, NB201Supernet
from benchbed.streams import seeded
from benchbed.studies.analysis.skip_supernet import accuracy, alpha_gaps, edge_errors, name, swap, swap_test, untied
from benchbed.studies.skip import Found, gap, markdown, rank_correlation, summary


@pytest.fixture
def network():
    with seeded(torch.Generator().manual_seed(0)):
        return NB201Supernet(2, 2, 4, 1)


@pytest.fixture
def images():
    g = torch.Generator().manual_seed(1)
    return [(torch.randn(12, 1, 8, 8, generator=g), torch.randint(4, (12,), generator=g)) for _ in range(2)]


def probabilities(seed=2):
    return torch.randn(6, 5, generator=torch.Generator().manual_seed(seed)).softmax(1)


def logits(network, gates, images):
    with torch.no_grad():
        return network(images[0][0], gates, plan(gates))


# -- swaps -----------------------------------------------------------------------------------------------------------


def test_a_copy_with_gates_of_its_own_for_every_cell_computes_the_same(network, images):
    p = probabilities()
    assert torch.equal(logits(untied(network), p.repeat(6, 1), images), logits(network, p, images))


def test_swapping_twice_is_nothing_and_edges_that_are_alike_can_be_swapped(network, images):
    """Oracle 22."""
    p, pairs = probabilities(), [(0, 5), (1, 2), (3, 4), (0, 1), (2, 5), (1, 4)]
    copy = untied(network)
    once = swap(copy, p.repeat(6, 1), pairs)
    assert not torch.allclose(logits(copy, once, images), logits(network, p, images), atol=1e-3)
    twice = swap(copy, once, pairs)
    assert torch.equal(twice, p.repeat(6, 1))
    assert torch.equal(logits(copy, twice, images), logits(network, p, images))

    with torch.no_grad():
        for cell in (b for b in network.blocks if isinstance(b, CellSupernet)):
            for kernels in (cell.conv1, cell.conv3):
                kernels[4].copy_(kernels[1])
    p[4] = p[1]
    alike = untied(network)
    gates = swap(alike, p.repeat(6, 1), [(1, 4)] * 6)
    assert torch.equal(logits(alike, gates, images), logits(network, p, images))


def test_a_swap_is_the_supernet_with_that_edge_in_the_others_place(network, images):
    """All cells alike: the same as renaming the edges' weights and rows by hand."""
    p, copy = probabilities(), untied(network)
    gates = swap(copy, p.repeat(6, 1), [(0, 3)] * 6)
    state = {key: value.clone() for key, value in network.state_dict().items()}
    other = {"0": "3", "3": "0"}

    def renamed(key):
        block, kernels, edge = key.rpartition(".")[0], ".conv1." in key or ".conv3." in key, key.rpartition(".")[2]
        return f"{block}.{other.get(edge, edge)}" if kernels else key

    network.load_state_dict({key: state[renamed(key)] for key in state})
    assert torch.equal(logits(copy, gates, images), logits(network, p[[3, 1, 2, 0, 4, 5]], images))


def test_the_swap_test_leaves_the_supernet_and_draws_from_its_generator(network, images):
    p, before = probabilities(), {k: v.clone() for k, v in network.state_dict().items()}
    one, two, other = (
        swap_test(network, p, images, 5, torch.Generator().manual_seed(seed)) for seed in (3, 3, 4)
    )  # fmt: skip
    assert one == two
    assert (one.before, len(one.after)) == (other.before, 5)
    assert one.before == pytest.approx(accuracy(network, p, images))
    assert all(torch.equal(v, before[k]) for k, v in network.state_dict().items())


# -- errors ----------------------------------------------------------------------------------------------------------


def test_the_errors_are_those_of_the_definition(network, images):
    """Written out on the first cell, node by node; the others follow from it."""
    p, images = probabilities(), images[:1]
    network.blocks = network.blocks[:1]
    found = edge_errors(network, p, images)
    cell, x = network.blocks[0], network.stem_norm(F.conv2d(images[0][0], network.stem, padding=1))

    def bn(v):
        return (v - v.mean((0, 2, 3), keepdim=True)) / (v.var((0, 2, 3), correction=0, keepdim=True) + 1e-5).sqrt()

    def operations(edge, v):
        pooled = F.avg_pool2d(v, 3, 1, 1, count_include_pad=False)
        one, three = (bn(F.conv2d(F.relu(v), k[edge], padding=s)) for k, s in ((cell.conv1, 0), (cell.conv3, 1)))
        return [torch.zeros_like(v), v, one, three, pooled]

    def unit(v):
        v = v.double() - v.double().mean((0, 2, 3), keepdim=True)
        return v / v.square().mean((0, 2, 3), keepdim=True).sqrt()

    with torch.no_grad():
        nodes = [x, None, None, None]
        for node in (1, 2, 3):
            nodes[node] = sum(
                p[e, k] * o
                for e, (source, target) in enumerate(EDGES)
                if target == node
                for k, o in enumerate(operations(e, nodes[source]))
            )
        m = unit(sum(nodes[1:]) / 3)
        for (edge, column), errors in found.items():
            value = nodes[EDGES[edge][0]]
            a, b = unit(operations(edge, value)[column]) - m, unit(value) - m
            assert list(errors) == pytest.approx([v.mean().item() for v in (a * a, b * b, a * b)], abs=1e-5)
    assert found.keys() == {(e, k) for e in range(6) for k in (CONV1, CONV3)}


def test_an_input_that_is_the_cells_feature_map_has_no_error(network, images):
    """All edges skip: every node is a multiple of the input, and the closed form gives the skip connection all."""
    gates = torch.zeros(6, 5)
    gates[:, SKIP] = 1
    for errors in edge_errors(network, gates, images).values():
        assert errors.skip < 1e-10 < errors.conv


def test_edges_without_an_input_are_left_out(network, images):
    gates = torch.zeros(6, 5)
    gates[[1, 3], CONV3] = 1.0  # 0->2 and 0->3: node 1 is dead, so 1->2 and 1->3 have no input
    assert {edge for edge, _ in edge_errors(network, gates, images)} == {0, 1, 3, 5}


def test_alphas_gaps_are_differences_of_logits():
    alpha = torch.randn(6, 5, generator=torch.Generator().manual_seed(0))
    for (edge, column), found in alpha_gaps(alpha.softmax(1)).items():
        assert found == pytest.approx(float(alpha[edge, SKIP] - alpha[edge, column]), abs=1e-5)
    assert name((3, CONV3)) == "0->3 nor_conv_3x3"


def test_the_gap():
    p = np.tile([0.1, 0.5, 0.1, 0.1, 0.2], (6, 1))
    assert gap(p) == pytest.approx(0.4)
    p[0] = [0.1, 0.1, 0.5, 0.1, 0.2]
    assert gap(p) == pytest.approx((5 * 0.4 - 0.2) / 6)


def test_rank_correlations():
    assert rank_correlation([(1, 10), (2, 20), (3, 15), (4, 40)]) == pytest.approx(0.8)
    assert math.isnan(rank_correlation([(1, 2), (2, 1)]))
    assert math.isnan(rank_correlation([(1, 2), (1, 3), (1, 4)]))


# -- the study -------------------------------------------------------------------------------------------------------


def test_the_page_compares_signs_also_where_the_form_is_infinite():
    edges = [("0->1 c", 2.0, 0.5, 0.1, 1.0), ("0->2 c", 0.5, 2.0, 0.7, 1.0), ("1->2 c", 1.0, 0.4, 0.4, 0.3)]
    found = Found(7, [(1, 0.1, 20.0), (2, 0.2, 30.0), (3, 0.3, 40.0)], 40.0, [30.0, 20.0], edges)
    (row,) = summary([found])
    assert (row["gap"], row["rho_over_training"], row["before"], row["after"]) == (0.3, pytest.approx(1), 40.0, 25.0)
    assert (row["same_sign"], row["infinite"]) == (pytest.approx(2 / 3), 2)
    page = "\n".join(markdown([found]))
    assert "traded at random cost 15.00 points" in page
    assert "not measured here: VGG 92.69 -> 9.83" in page
    assert "our construction and not the paper's" in page


def test_the_command(command, tiny_flags, tmp_path):
    words = ["study", "skip", "--seeds", "0:2", "--swaps", "3", "--out", tmp_path / "out", "--quiet"]
    done = command(*words, *tiny_flags)
    assert done.status == 0, done.err
    lines = [json.loads(line) for line in (tmp_path / "out" / "skip.jsonl").read_text().splitlines()]
    assert [line["seed"] for line in lines] == [0, 1]
    for line in lines:
        assert [epoch for epoch, _, _ in line["epochs"]] == [1, 2]
        assert len(line["after"]) == 3
        assert len(line["edges"]) == 12
    searches = sorted((tmp_path / "out" / "searches").glob("*/record.json"))
    mixture = sorted(json.loads(p.read_text())["supernet_mixture_accuracy"] for p in searches)
    assert sorted(line["before"] for line in lines) == pytest.approx(mixture, abs=1e-4)
    assert (tmp_path / "out" / "skip.md").read_text() in done.out
    assert (tmp_path / "out" / "skip.svg").read_text().startswith("<?xml")
    before = [p.stat().st_mtime_ns for p in searches]
    assert command(*words, *tiny_flags).out == done.out, "made once"
    assert [p.stat().st_mtime_ns for p in searches] == before


@pytest.mark.parametrize(("searcher", "text"), [("sgas", "has decided edges"), ("blank", "has learned no alpha")])
def test_a_searcher_without_gaps_is_refused(command, tiny_flags, tmp_path, searcher, text):
    small = ("--set", "supernet.cells=1", "--swaps", "1", "--seeds", "0:1", "--quiet")
    done = command("study", "skip", "--searcher", searcher, *tiny_flags, *small, "--out", tmp_path / "out")
    assert done.status == 2
    assert done.err.startswith(f"benchbed: study skip on searcher '{searcher}': it {text}")
    assert not (tmp_path / "out" / "skip.md").exists()


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["--space", "mbconv"], "study skip on space 'mbconv': its measures are of the supernet of 'nb201'"),
        (["--swaps", "0"], "swaps = 0: input should be greater than or equal to 1"),
        (["--searcher", "dart"], "unknown searcher 'dart': did you mean 'darts'"),
        (["--seeds", "3"], "seeds = '3'"),
    ],
)
def test_what_is_refused(refused, words, text):
    assert text in refused("study", "skip", *words)
