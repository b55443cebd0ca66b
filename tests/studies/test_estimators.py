"""Estimators of dL/dalpha: planted biases, theorems about the searchers on a multilinear loss, and the command."""

import json
from collections.abc import Callable
from itertools import product
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
import torch

from benchbed import registry
from benchbed.errors import BenchbedError
from benchbed.objectives.table import TableObjective
from benchbed.searcher import AlphaSearcher, masked_softmax
from benchbed.studies import estimators as room
from benchbed.studies.estimators import Estimator, Point, aim_of, compare, draws_of, parse_estimator, points


@pytest.fixture
def objective(make_table: Any) -> TableObjective:
    return TableObjective.of(make_table("mine"), "cifar10")


@pytest.fixture
def point(objective: TableObjective) -> Point:
    (found,) = points(objective, [3], [6])
    return found


def test_the_exact_gradient_is_the_sum_over_all_cells(objective: TableObjective, point: Point) -> None:
    """dL/dp by enumeration over 15,625 cells, then through the softmax: p_i (G_i - sum_j p_j G_j)."""
    p = masked_softmax(point.alpha.double(), torch.from_numpy(objective.space.mask)).numpy()
    accuracy = objective.accuracy(torch.eye(5).double()[np.array(list(product(range(5), repeat=6)))]).numpy()
    cells = np.array(list(product(range(5), repeat=6)))
    of_each = p[np.arange(6), cells]
    by_p = np.zeros((6, 5))
    for i in range(6):
        others = np.delete(of_each, i, 1).prod(1) * accuracy
        by_p[i] = [-others[cells[:, i] == k].sum() / 100 for k in range(5)]
    expected = p * (by_p - (p * by_p).sum(1, keepdims=True))
    assert point.gradient.numpy() == pytest.approx(expected, abs=1e-7)


def test_darts_has_neither_bias_nor_noise_here(objective: TableObjective, point: Point) -> None:
    darts = parse_estimator("darts")
    found = compare(darts, draws_of(darts, objective, point, 3), point)
    assert (found.cosine, found.scale, found.single) == pytest.approx((1, 1, 1), abs=1e-5)
    assert (found.bias, found.noise) == pytest.approx((0, 0), abs=1e-3)


@pytest.mark.parametrize("plugin", registry.plugins("searcher"), ids=lambda plugin: plugin.name)
def test_every_searcher_is_an_estimator_or_told_why_not(
    plugin: registry.Plugin, objective: TableObjective, point: Point
) -> None:
    loaded = registry.load("searcher", plugin.name)
    refused = {"darts-minus": "needs weights: a table has none", "fair-darts": "rows do not sum to 1"}
    if plugin.name in refused:
        with pytest.raises(BenchbedError, match=refused[plugin.name]):
            draws_of(parse_estimator(plugin.name), objective, point, 2)
        return
    if issubclass(loaded, AlphaSearcher) or hasattr(loaded, "of"):
        assert bool(draws_of(parse_estimator(plugin.name), objective, point, 2).isfinite().all())
        return
    with pytest.raises(BenchbedError, match=f"searcher '{plugin.name}' learns no alpha by a gradient"):
        parse_estimator(plugin.name)


def test_modifiers_of_weight_steps_leave_the_gradient_as_it_is(objective: TableObjective, point: Point) -> None:
    names = ("darts", "sdarts-rs", "darts+sgas")
    darts, *others = (draws_of(parse_estimator(name), objective, point, 1) for name in names)
    assert all(torch.equal(darts, other) for other in others)


UNBIASED = ["proxyless:mode=full", "proxyless:mode=echo", "reinforce", "snas:reinmax=true", "drnas"]


@pytest.mark.parametrize("name", UNBIASED)
def test_who_is_unbiased_on_a_multilinear_loss(objective: TableObjective, point: Point, name: str) -> None:
    """Equation 4, the score function, Heun's rule, pathwise draws: the mean of many draws is the gradient."""
    one = parse_estimator(name)
    exact = aim_of(one, objective, point).gradient.flatten()
    draws = draws_of(one, objective, point, 400)[10:].flatten(1)  # REINFORCE's baseline has settled
    z = (draws.mean(0) - exact) / (draws.std(0) / len(draws) ** 0.5)
    assert z.abs().max() < 4
    assert float((z**2).mean()) < 2
    assert (draws.std(0) > 0).all()


def test_the_gradient_aimed_at_is_that_of_the_searcher_s_own_probabilities(
    objective: TableObjective, point: Point
) -> None:
    """DrNAS' c / sum c by finite differences; everyone else's is the softmax of the point, whatever is around it."""
    for name in ("darts", "snas", "gdas+beta-darts"):
        assert aim_of(parse_estimator(name), objective, point) is point

    def loss(alpha: torch.Tensor) -> float:
        c = torch.nn.functional.elu(alpha.double()) + 1
        return 1 - float(objective.value((c / c.sum(1, keepdim=True))[None])[0]) / 100

    found, step = aim_of(parse_estimator("drnas"), objective, point).gradient, 1e-3
    for i, k in ((0, 0), (2, 3), (5, 4)):
        moved = torch.zeros(6, 5)
        moved[i, k] = step
        difference = (loss(point.alpha + moved) - loss(point.alpha - moved)) / (2 * step)
        assert float(found[i, k]) == pytest.approx(difference, rel=1e-2, abs=1e-6)


def test_a_warm_relaxed_draw_is_biased_and_a_reinmax_path_is_not(objective: TableObjective) -> None:
    """SNAS descends E L(Z), whose rows are nearer uniform than p while the temperature is above zero."""
    (point,) = points(objective, [3], [60])
    warm, path = (
        compare(one, draws_of(one, objective, point, 400), point)
        for one in map(parse_estimator, ("snas:tau_end=3.0", "snas:reinmax=true"))
    )
    assert path.cosine > 0.97 > warm.cosine
    assert warm.bias > 0.2 + path.bias
    assert (warm.noise < 1 < path.noise, warm.scale < 0.9) == (True, True)  # what it pays with, what it gains


def test_two_paths_are_biased(objective: TableObjective) -> None:
    """Section 3.2.1's pair update draws its pair by p: rare operations are updated less than the gradient says."""
    (point,) = points(objective, [3], [60])  # rows are far from uniform
    two = parse_estimator("proxyless:mode=two")
    draws = draws_of(two, objective, point, 400).flatten(1)
    z = (draws.mean(0) - point.gradient.flatten()) / (draws.std(0) / len(draws) ** 0.5)
    assert float((z**2).mean()) > 2


def test_a_planted_estimator_is_found_out() -> None:
    """Draws of 2 G plus a vector across it plus noise of a known size: scale 2, bias and noise as planted."""
    rng = torch.Generator().manual_seed(0)
    exact = torch.zeros(2, 2, dtype=torch.float64)
    exact[0, 0] = 3.0
    across = torch.tensor([[0.0, 1.5], [0.0, 0.0]], dtype=torch.float64)
    noise = torch.randn(40_000, 2, 2, generator=rng, dtype=torch.float64)
    found = compare(Estimator("x", "x", {}), 2 * exact + across + 0.5 * noise, Point(0, 0, exact, exact))
    assert found.scale == pytest.approx(2, rel=0.01)
    assert found.bias == pytest.approx(1.5 / 3, rel=0.02)
    assert found.noise == pytest.approx(0.5 * 2 / 3, rel=0.01)
    assert found.cosine == pytest.approx(6 / np.hypot(6, 1.5), rel=0.01)
    few = compare(Estimator("x", "x", {}), 2 * exact + 0.5 * noise[:20], Point(0, 0, exact, exact))
    assert few.bias < 0.06  # noise alone is not taken for bias
    along = torch.zeros_like(noise[:40])
    along[:, 0, 0] = 20 * noise[:40, 0, 0]  # noise along the gradient hides nothing of what points elsewhere
    loud = compare(Estimator("x", "x", {}), exact + across + along, Point(0, 0, exact, exact))
    assert loud.bias == pytest.approx(1.5 / 3, rel=1e-6)


def test_the_command_and_its_files(make_table: Any, command: Callable[..., Any], tmp_path: Path) -> None:
    make_table("mine")
    asked = ("--estimator", "darts", "--estimator", "proxyless:mode=full")
    flags = ("--seeds", "0:2", "--steps", "0,3", "--draws", 4, "--out", tmp_path)
    done = command("study", "estimators", "--table", "mine", "--dataset", "cifar10", *asked, *flags)
    assert done.status == 0, done.err
    assert (tmp_path / "estimators.md").read_text() in done.out
    lines = [json.loads(line) for line in (tmp_path / "estimators.jsonl").read_text().splitlines()]
    assert len(lines) == 2 * 2 * 2
    assert {(f["estimator"], f["steps"]) for f in lines} == set(product(("darts", "proxyless:mode=full"), (0, 3)))
    assert ElementTree.parse(tmp_path / "estimators.svg").getroot().tag.endswith("svg")


@pytest.mark.parametrize(
    ("flags", "text"),
    [
        (("--estimator", "dart"), "unknown searcher 'dart': did you mean 'darts'"),
        (("--estimator", "random"), "searcher 'random' learns no alpha by a gradient"),
        (("--estimator", "proxyless:mod=full"), "'mod'"),
        (("--estimator", "proxyless:mode=half"), "half"),
        (("--estimator", "darts", "--estimator", "darts"), "darts is given twice"),
        (("--estimator", "darts", "--draws", 1), "draws = 1: input should be greater than or equal to 2"),
        (("--estimator", "darts", "--steps", "1.5"), "steps.0 = '1.5': input should be a valid integer"),
        (("--estimator", "darts", "--steps", "0,10,0"), "steps = '0,10,0': 0 is given twice"),
    ],
)
def test_bad_input(make_table: Any, refused: Callable[..., str], flags: tuple[Any, ...], text: str) -> None:
    make_table("mine")
    assert text in refused("study", "estimators", "--table", "mine", "--dataset", "cifar10", *flags)


def test_an_estimator_is_a_searcher_that_learns() -> None:
    assert parse_estimator("proxyless:mode=full,every=2").options == {"mode": "full", "every": 2}
    with pytest.raises(BenchbedError, match="learns no alpha"):
        room.parse_estimator("random")
