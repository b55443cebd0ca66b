"""FairDARTS: sigmoid gates that do not compete, the zero-one loss, and rows that need not sum to 1 (methods.md 2.6)."""

import pytest
import torch
from torch import Tensor

from benchbed import api
from benchbed.cost import Problem, without_cost
from benchbed.errors import BenchbedError
from benchbed.searcher import Clock
from benchbed.searchers.darts import DARTS
from benchbed.searchers.fair_darts import FairDARTS
from benchbed.selectors.magnitude import Magnitude
from benchbed.streams import Streams
from benchbed.testing.searcher_suite import Traced
from benchbed.testing.selector_suite import Bench
from benchbed.testing.toys import ToyCell, ToySpace, ToyTable, random_table
from benchbed.training.search_loop import train_epoch

MASK = torch.from_numpy(ToySpace().mask)
ALPHA = torch.randn(3, 4, generator=torch.Generator().manual_seed(5)) * MASK
CLOCK = Clock(0, 0, 5, 1)
FLAT = ToyTable(ToySpace(), torch.zeros(3, 2, 4))


class Linear(ToyTable):
    """<G, g>: what operations add to the loss, whatever else flows."""

    G = torch.randn(3, 4, generator=torch.Generator().manual_seed(7)) * MASK

    def value(self, gates: Tensor) -> Tensor:
        return (gates * self.G).sum()


def _fair(alpha=ALPHA, space=ToySpace, **options):
    searcher = FairDARTS(space(), FairDARTS.Options(**options), Streams(0))
    with torch.no_grad():
        searcher.alpha.copy_(alpha)
    return searcher


def _gradient(searcher, objective):
    searcher.arch_step(without_cost(objective), None, CLOCK)
    return searcher.alpha.grad


@pytest.mark.parametrize("distance", ["l2", "l1"])
def test_the_gradient_is_that_of_the_loss_and_the_zero_one_loss_at_sigmoids(distance: str) -> None:
    """By plain autograd; the second term by hand, over the nine operations that there are."""
    objective, alpha = Traced(), ALPHA.clone().requires_grad_()
    g = alpha.sigmoid()
    batch = Traced().batch("valid")
    term = (g - 0.5)[MASK].pow(2).mean() if distance == "l2" else (g - 0.5)[MASK].abs().mean()
    (wanted,) = torch.autograd.grad(objective.loss(g * MASK, batch) - 3.0 * term, alpha)
    found = _gradient(_fair(zero_one=distance, zero_one_weight=3.0), objective)
    torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-6)
    s = ALPHA.sigmoid()
    slope = 2 * (s - 0.5) if distance == "l2" else (s - 0.5).sign()
    closed = -3.0 / 9 * slope * s * (1 - s) * MASK
    alone = _gradient(_fair(zero_one=distance, zero_one_weight=3.0), FLAT)
    torch.testing.assert_close(alone, closed, rtol=1e-4, atol=1e-7)


def test_operations_do_not_compete() -> None:
    """On a linear loss what moves an operation is its own; in DARTS, where rows share one sum, it is everyone's."""
    linear = Linear(ToySpace(), torch.zeros(3, 2, 4))
    other = ALPHA.clone()
    other[0, 1] += 2.0
    s = ALPHA.sigmoid()
    found = [_gradient(_fair(alpha, zero_one_weight=0.0), linear) for alpha in (ALPHA, other)]
    torch.testing.assert_close(found[0], linear.G * s * (1 - s))
    same = torch.ones_like(MASK)
    same[0, 1] = False
    assert torch.equal(found[0][same], found[1][same])
    moved = []
    for alpha in (ALPHA, other):
        darts = DARTS(ToySpace(), DARTS.Options(), Streams(0))
        with torch.no_grad():
            darts.alpha.copy_(alpha)
        moved.append(_gradient(darts, linear))
    assert float((moved[0] - moved[1])[0, 0].abs()) > 1e-3


@pytest.mark.parametrize("distance", ["l2", "l1"])
def test_the_zero_one_loss_leaves_no_gate_in_between(distance: str) -> None:
    searcher = _fair(zero_one=distance, alpha_lr=0.05, alpha_weight_decay=0.0)
    for epoch in range(60):
        train_epoch(without_cost(FLAT), searcher, epoch, 60)
    gates = searcher.gates().detach()[MASK]
    assert float((gates - 0.5).abs().min()) > 0.45
    assert torch.equal(gates > 0.5, ALPHA.sigmoid()[MASK] > 0.5)  # each went where it leant


def test_at_its_start_nothing_pulls_and_all_is_even() -> None:
    searcher = FairDARTS(ToySpace(), FairDARTS.Options(), Streams(0))
    assert torch.equal(searcher.weight_gates(Traced(), None, CLOCK), 0.5 * MASK)
    assert not _gradient(searcher, FLAT).any()


def test_weights_train_and_are_measured_at_the_sigmoids() -> None:
    searcher, sigmoid = _fair(), ALPHA.sigmoid() * MASK
    torch.testing.assert_close(searcher.weight_gates(Traced(), None, CLOCK), sigmoid)
    allowed = MASK.clone()
    allowed[2, 1] = False
    torch.testing.assert_close(searcher.evaluation_gates(allowed, "mixture", torch.rand(1, 3))[0], sigmoid * allowed)
    torch.testing.assert_close(searcher.probabilities().sum(1), torch.ones(3))
    assert float((searcher.strength() - 1).abs().min()) > 0.05  # not a distribution


def test_nodes_compare_their_inputs_by_gates_and_not_by_shares() -> None:
    """z keeps two of three: the weakest share, 0.51, is of the strongest gates, 0.95 and 0.92."""
    alpha = torch.zeros(8, 3)
    alpha[5, :2] = torch.tensor([3.0, 2.5])
    alpha[6, :2] = torch.tensor([0.0, -4.0])
    alpha[7, :2] = torch.tensor([-1.0, -9.0])
    bench = Bench(ToyCell(), random_table(ToyCell(), 0), Streams(0))
    bench.searcher = _fair(alpha, ToyCell)
    p = bench.searcher.probabilities().amax(1)[5:]
    assert int(p.argmin()) == 0
    assert bench.run(Magnitude(Magnitude.Options())).architecture.choices[5:] == (0, 0, -1)


def test_gates_at_the_threshold_are_counted() -> None:
    assert _fair(torch.full((3, 4), 1.7347)).progress() == {"open_gates": 9}  # sigmoid 0.85
    assert _fair(torch.full((3, 4), 1.7345)).progress() == {"open_gates": 0}
    assert _fair(torch.zeros(3, 4), threshold=0.5).progress() == {"open_gates": 9}


def test_what_is_left_alone_flows_whole_and_is_not_in_the_zero_one_loss_s_pull() -> None:
    searcher = _fair()
    searcher.mask = MASK.clone()
    searcher.mask[1] = torch.tensor([True, False, False, False])
    assert searcher.gates()[1].tolist() == [1.0, 0.0, 0.0, 0.0]
    assert not _gradient(searcher, FLAT)[1].any()


def test_a_cost_is_that_of_the_shares() -> None:
    costs = torch.rand(3, 4, generator=torch.Generator().manual_seed(1))
    alpha = ALPHA.clone().requires_grad_()
    shares = alpha.sigmoid() * MASK / (alpha.sigmoid() * MASK).sum(1, keepdim=True)
    (expected,) = torch.autograd.grad((shares * costs).sum(), alpha)
    searcher = _fair(zero_one_weight=0.0)
    searcher.arch_step(Problem(FLAT, lambda loss, p: loss + (p * costs).sum(), lambda a, g: a), None, CLOCK)
    torch.testing.assert_close(searcher.alpha.grad, expected)


def test_a_table_is_refused_in_one_line(tmp_path) -> None:
    asked = {"objective": "table", "table": "nb201-digits", "dataset": "digits", "out": tmp_path, "quiet": True}
    with pytest.raises(BenchbedError, match=r"^searcher 'fair-darts' .* rows do not sum to 1, .*'supernet'$") as caught:
        api.run("fair-darts", "magnitude", **asked)
    assert "\n" not in str(caught.value)
    assert not list(tmp_path.rglob("record.json"))
