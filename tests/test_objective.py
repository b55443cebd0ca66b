"""Decisions: what is fixed stays fixed, has no gradient, and everything else goes through untouched."""

import pytest
import torch

from benchbed.objective import DecidedObjective, Decisions
from benchbed.objectives.supernet import SupernetObjective, SupernetOptions
from benchbed.searcher import masked_softmax
from benchbed.spaces.nb201.space import NB201
from benchbed.streams import Streams
from benchbed.task import Seal, Split, Task
from benchbed.testing.toys import ToySpace, random_table


def supernet() -> SupernetObjective:
    generator = torch.Generator().manual_seed(0)
    images, labels = torch.randn(24, 3, 8, 8, generator=generator), torch.arange(24) % 4
    split = Split(images, labels)
    task = Task("noise", 4, (3, 8, 8), split, split, Seal(lambda: split), "noise")
    options = SupernetOptions(channels=3, cells=1, batch=8, valid_batch=12)
    return SupernetObjective(NB201(), task, options, Streams(0), epochs=2)


def mixture(seed: int = 0) -> torch.Tensor:
    return torch.randn(6, 5, generator=torch.Generator().manual_seed(seed)).softmax(1)


def test_dropping_makes_a_fixed_row_of_zeros_decided_before_or_not():
    decided = Decisions.none(ToySpace()).decide(1, 0)
    dropped = decided.drop(1).drop(2)
    assert dropped.fixed.tolist() == [False, True, True]
    assert not dropped.rows.any()
    assert decided.rows[1].tolist() == [1, 0, 0, 0]
    assert dropped.apply(torch.ones(3, 4)).sum(1).tolist() == [4, 0, 0]


def test_deciding_adds_a_one_hot_row_and_changes_no_earlier_decisions():
    none = Decisions.none(ToySpace())
    one = none.decide(1, 0)
    two = one.decide(2, 3)
    assert not none.fixed.any()
    assert (one.fixed.tolist(), two.fixed.tolist()) == ([False, True, False], [False, True, True])
    assert one.rows[2].tolist() == [0, 0, 0, 0]
    assert two.rows[1:].tolist() == [[1, 0, 0, 0], [0, 0, 0, 1]]
    assert two.decide(1, 1).rows[1].tolist() == [0, 1, 0, 0]


def test_decisions_overlay_gates_of_any_leading_shape():
    decisions, gates = Decisions.none(ToySpace()).decide(1, 0), torch.rand(2, 5, 3, 4)
    applied = decisions.apply(gates)
    assert torch.equal(applied[:, :, [0, 2]], gates[:, :, [0, 2]])
    assert (applied[:, :, 1] == torch.tensor([1.0, 0, 0, 0])).all()


def test_a_dropped_position_is_decided_as_a_zero_row():
    none = Decisions.none(ToySpace())
    dropped = Decisions(none.rows, torch.tensor([True, False, False]))
    assert not dropped.apply(torch.rand(3, 4))[0].any()


def test_every_function_of_gates_sees_the_decided_rows():
    base, decisions = random_table(ToySpace(), 0), Decisions.none(ToySpace()).decide(0, 2).decide(2, 1)
    decided, gates = base.decided(decisions), torch.rand(3, 4)
    fixed = decisions.apply(gates)
    other = gates.clone()
    other[0], other[2] = torch.rand(4), torch.rand(4)
    assert torch.equal(decided.loss(gates, None), base.loss(fixed, None))
    assert torch.equal(decided.weight_step(gates, None), base.weight_step(fixed, None))
    for ours, theirs in zip(decided.measure(gates[None]), base.measure(fixed[None]), strict=True):
        assert torch.equal(torch.as_tensor(ours), torch.as_tensor(theirs))
    assert torch.equal(decided.loss(other, None), decided.loss(gates, None))  # what stands on decided rows is ignored
    assert decided.base is base


def test_decided_rows_have_a_gradient_of_exactly_zero_and_the_others_that_of_the_masked_forward():
    base = supernet()
    decided, batch = base.decided(Decisions.none(base.space).decide(1, 3).decide(4, 0)), base.batch("valid")
    gates = mixture()
    loss, gradient = decided.gate_gradient(gates, batch)
    assert not gradient[[1, 4]].any()
    point = gates.clone()
    point[1], point[4] = torch.eye(5)[3], torch.eye(5)[0]
    point.requires_grad_()
    plain = base.loss(point, batch)
    (expected,) = torch.autograd.grad(plain, point)
    assert expected[1].any()  # the loss does depend on that row; the decision hides it
    free = [0, 2, 3, 5]
    torch.testing.assert_close(gradient[free], expected[free], rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(loss, plain.detach(), rtol=1e-5, atol=1e-6)
    through = mixture().requires_grad_()
    (same,) = torch.autograd.grad(decided.loss(through, batch), through)
    assert not same[[1, 4]].any()
    torch.testing.assert_close(same[free], expected[free], rtol=1e-5, atol=1e-6)


def test_need_goes_through_on_the_rows_that_are_free():
    base = supernet()
    decided, batch, need = base.decided(Decisions.none(base.space).decide(0, 1)), base.batch("valid"), mixture() > 0.2
    _, all_of_it = decided.gate_gradient(mixture(), batch)
    _, some = decided.gate_gradient(mixture(), batch, need)
    assert not some[0].any()
    assert not some[~need].any()
    torch.testing.assert_close(some[need], all_of_it[need], rtol=1e-4, atol=1e-6)


def test_alpha_of_decided_rows_gets_no_gradient_through_the_softmax():
    base, alpha = random_table(ToySpace(), 0), torch.randn(3, 4, requires_grad=True)
    decided = base.decided(Decisions.none(ToySpace()).decide(2, 0))
    p = masked_softmax(alpha, torch.from_numpy(ToySpace().mask))
    (gradient,) = torch.autograd.grad(decided.loss(p, None), alpha)
    assert not gradient[2].any()
    assert gradient[:2].abs().sum() > 0


def test_weights_data_and_state_are_the_base_objective_s_own():
    base = supernet()
    decided = base.decided(Decisions.none(base.space).decide(0, 1))
    assert decided.provides == base.provides
    assert (decided.space, decided.network, decided.steps_per_epoch) == (base.space, base.network, 3)
    before = base.weights()["classifier.bias"].detach().clone()
    decided.new_optimiser(0.5, 3, "constant")
    assert base.learning_rate() == pytest.approx(0.0125)
    decided.weight_step(mixture(), decided.batch("train"))
    assert base.steps == 1
    assert not torch.equal(base.weights()["classifier.bias"], before)
    assert decided.weights().keys() == base.weights().keys()
    assert decided.state()["steps"] == 1
    kernels = [base.network.get_parameter(f"blocks.0.conv3.{e}") for e in range(2)]
    assert kernels[0].grad is None  # edge 0 is decided for a skip
    assert kernels[1].grad is not None


def test_a_lookahead_under_decisions_leaves_what_was_decided_against_where_it_is():
    base = supernet()
    decided = base.decided(Decisions.none(base.space).decide(0, 1))
    ahead, rate = decided.lookahead(mixture(), base.batch("train"))
    now = base.weights()
    assert rate == 0.025
    assert torch.equal(ahead["blocks.0.conv3.0"], now["blocks.0.conv3.0"])
    assert not torch.equal(ahead["blocks.0.conv3.1"], now["blocks.0.conv3.1"])


def test_decisions_on_decisions_keep_both():
    base, gates = random_table(ToySpace(), 0), torch.rand(3, 4)
    inner = DecidedObjective(base, Decisions.none(ToySpace()).decide(0, 1))
    outer = inner.decided(Decisions.none(ToySpace()).decide(2, 2))
    both = Decisions.none(ToySpace()).decide(0, 1).decide(2, 2)
    assert torch.equal(outer.loss(gates, None), base.loss(both.apply(gates), None))
