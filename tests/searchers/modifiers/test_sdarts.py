"""SDARTS: gates near p, alpha untouched (darts-pt.md, oracle 14), and the ascent on losses of known maximum."""

import math

import pytest
import torch

from benchbed.cost import without_cost
from benchbed.objective import Decisions
from benchbed.searcher import Clock
from benchbed.searchers.darts import DARTS
from benchbed.searchers.modifiers.sdarts_rs import clipped
from benchbed.searchers.sdarts_adv import AdversarialDARTS
from benchbed.searchers.sdarts_rs import SmoothDARTS
from benchbed.space import Position
from benchbed.streams import Streams
from benchbed.testing.searcher_suite import Traced
from benchbed.testing.toy_network import ToyNetwork
from benchbed.testing.toys import ToySpace, ToyTable, random_table
from benchbed.testing.tree import difference
from benchbed.training.search_loop import train_epoch

MASK = torch.from_numpy(ToySpace().mask)
ALPHA = torch.randn(3, 4, generator=torch.Generator().manual_seed(5)) * MASK
KINDS = [SmoothDARTS, AdversarialDARTS]


class OnePosition(ToySpace):
    positions = (Position("only", ("a", "b"), (True, True)),)


def _searcher(kind=SmoothDARTS, alpha=None, space=ToySpace, seed=0, **options):
    searcher = kind(space(), kind.Options(**options), Streams(seed))
    if alpha is not None:
        with torch.no_grad():
            searcher.base.alpha.copy_(alpha)
    return searcher


def _network():
    """Its gates' gradients have both signs: with one sign throughout, an ascent only scales a row."""
    return ToyNetwork(ToySpace(), random_table(ToySpace(), 0).losses - 0.5, Streams(0))


@pytest.mark.parametrize("epochs", [1, 50, 100])
def test_the_radius_rises_as_published(epochs):
    found = [_searcher().modifiers["sdarts-rs"].radius(Clock(e, 0, epochs, 10)) for e in range(epochs)]
    assert found == pytest.approx([0.03 + 0.27 * e / epochs for e in range(epochs)])
    assert found[0] == pytest.approx(0.03)
    assert max(found) < 0.3


def test_noise_is_uniform_within_the_radius_and_zero_on_the_padding():
    searcher = _searcher()
    drawn = torch.stack([searcher.modifiers["sdarts-rs"].noise(0.2) for _ in range(2000)])
    assert (drawn[:, ~MASK] == 0).all()
    on = drawn[:, MASK].double()
    assert float(on.abs().max()) <= 0.2
    n = on.numel()
    assert abs(float(on.mean())) < 5 * 0.2 / math.sqrt(3 * n)
    # each tenth of (-0.2, 0.2) holds a tenth: chi-square, 9 degrees of freedom, p = 0.0001
    counts = torch.histc(on.float(), 10, -0.2, 0.2)
    assert float(((counts - n / 10) ** 2 / (n / 10)).sum()) < 33.7


def test_clipped_rows_worked_by_hand():
    gates = torch.tensor([[0.9, 0.5, -0.1, 0.0], [1.4, 0.6, 0.0, 0.0], [-0.2, -0.05, -0.1, -0.3]])
    expected = [[0.9 / 1.4, 0.5 / 1.4, 0, 0], [1 / 1.6, 0.6 / 1.6, 0, 0], [0, 1, 0, 0]]
    torch.testing.assert_close(clipped(gates, MASK), torch.tensor(expected))


def test_a_row_without_mass_takes_its_greatest_operation_and_never_the_padding():
    gates = torch.tensor([[-0.3, -0.2, -0.1, 0.0], [-0.1, -0.2, 0.0, 0.0], [0.0, 0.0, 0.0, 0.0]])
    assert clipped(gates, MASK).tolist() == [[0, 0, 1, 0], [1, 0, 0, 0], [1, 0, 0, 0]]


@pytest.mark.parametrize("kind", KINDS)
def test_gates_stay_on_the_simplex_and_alpha_and_its_adam_bit_identical(kind):
    searcher, objective = _searcher(kind, ALPHA, radius_end=2.0), _network()
    searcher.arch_step(without_cost(objective), objective.batch("train"), Clock(0, 0, 50, 3))  # Adam has its moments
    p, before, world = searcher.probabilities(), searcher.state(), objective.state()
    seen = []
    for epoch in range(50):
        gates = searcher.weight_gates(objective, objective.batch("train"), Clock(epoch, 0, 50, 3))
        assert (gates >= 0).all()
        assert (gates[~MASK] == 0).all()
        torch.testing.assert_close(gates.sum(1), torch.ones(3))
        seen.append(float((gates - p).abs().max()))
    assert max(seen[:5]) > 1e-3
    assert max(seen[45:]) > 2 * max(seen[:5])  # the radius has grown
    assert difference(before, searcher.state()) is None
    assert difference({**world, "cursors": {}}, {**objective.state(), "cursors": {}}) is None


@pytest.mark.parametrize("kind", KINDS)
def test_decided_rows_stay_one_hot(kind):
    base = Traced()
    objective = base.decided(Decisions.none(base.space).decide(2, 1))
    train_epoch(without_cost(objective), _searcher(kind), 0, 2)
    assert len(base.trace) == base.steps_per_epoch
    for gates in base.trace:
        assert gates[2].tolist() == [0, 1, 0, 0]
        assert 0 < float(gates[0, 0]) < 1


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("order", [1, 2])
def test_the_architecture_step_is_that_of_darts(kind, order):
    steps = []
    for searcher in (_searcher(kind, order=order), _searcher(DARTS, order=order)):
        objective = _network()
        for step in range(4):
            searcher.arch_step(without_cost(objective), objective.batch("train"), Clock(0, step, 1, 4))
        steps.append(searcher.state()["alpha"])
    assert torch.equal(*steps)


# -- the ascent ------------------------------------------------------------------------------------------------------


def test_the_worst_gates_of_an_affine_loss_are_at_the_border():
    """L = -g_a + g_b: up by eps in g_b and down by eps in g_a, which keeps the row's sum."""
    table = ToyTable.of_costs(OnePosition(), torch.tensor([[-1.0, 1.0]]))
    searcher = _searcher(AdversarialDARTS, torch.zeros(1, 2), OnePosition, radius_start=0.1, radius_end=0.1)
    for _ in range(5):
        gates = searcher.weight_gates(table, None, Clock(0, 0, 1, 1))
        torch.testing.assert_close(gates, torch.tensor([[0.4, 0.6]]))


def test_the_worst_gates_are_no_better_than_p_and_worse_than_random_ones():
    objective, clock = _network(), Clock(40, 0, 50, 3)
    batch = objective.batch("train")
    gains = {kind: [] for kind in KINDS}
    for seed in range(20):
        alpha = torch.randn(3, 4, generator=torch.Generator().manual_seed(seed))
        for kind, found in gains.items():
            searcher = _searcher(kind, alpha, seed=seed)
            gates = torch.stack([searcher.weight_gates(objective, batch, clock), searcher.probabilities()])
            worse, at_p = objective.measure(gates, batch).loss.tolist()
            found.append(worse - at_p)
    assert min(gains[AdversarialDARTS]) >= 0
    assert sum(gains[AdversarialDARTS]) > 20 * 0.02
    assert sum(gains[AdversarialDARTS]) > 4 * abs(sum(gains[SmoothDARTS]))


def test_p_itself_where_the_loss_cannot_rise():
    table = ToyTable(ToySpace(), torch.full((3, 2, 4), 0.0))
    searcher = _searcher(AdversarialDARTS, ALPHA)
    assert torch.equal(searcher.weight_gates(table, None, Clock(9, 0, 10, 1)), searcher.probabilities())


def test_published_values():
    o = AdversarialDARTS.Options()
    assert (o.radius_start, o.radius_end, o.ascent_steps) == (0.03, 0.3, 7)
    assert (o.alpha_lr, o.alpha_beta1, o.alpha_weight_decay) == (3e-4, 0.5, 1e-3)
