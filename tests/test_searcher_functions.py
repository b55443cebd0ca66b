"""The functions that searchers share: softmax on a mask, draws by inverse transform, renormalised rows."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from benchbed.searcher import Clock, masked_softmax, one_hot_draws, renormalised
from benchbed.searchers.darts import DARTS
from benchbed.streams import Streams
from benchbed.testing.toys import ToySpace

MASK = torch.from_numpy(ToySpace().mask)


def _searcher(alpha):
    searcher = DARTS(ToySpace(), DARTS.Options(), Streams(0))
    with torch.no_grad():
        searcher.alpha.copy_(alpha)
    return searcher


# -- masked_softmax --------------------------------------------------------------------------------------------------


def test_masked_softmax_is_the_softmax_of_the_row_without_its_padding():
    alpha = torch.randn(3, 4, generator=torch.Generator().manual_seed(0)).double()
    p = masked_softmax(alpha, MASK)
    for i, row in enumerate(MASK):
        weights = [math.exp(float(alpha[i, k])) if row[k] else 0.0 for k in range(4)]
        assert p[i].tolist() == pytest.approx([w / sum(weights) for w in weights], rel=1e-12)
    assert (p[~MASK] == 0).all()


def test_masked_softmax_stays_finite_where_exp_would_not():
    alpha = torch.tensor([[1000.0, 999.0, -1000.0]], requires_grad=True)
    p = masked_softmax(alpha, torch.ones(1, 3, dtype=torch.bool))
    assert p[0].tolist() == pytest.approx([1 / (1 + math.exp(-1)), 1 / (1 + math.e), 0.0])
    (gradient,) = torch.autograd.grad(p[0, 0], alpha)
    assert gradient.isfinite().all()


def test_padding_gets_no_gradient():
    alpha = torch.randn(3, 4, requires_grad=True)
    (gradient,) = torch.autograd.grad((masked_softmax(alpha, MASK) * torch.randn(3, 4)).sum(), alpha)
    assert gradient.isfinite().all()
    assert (gradient[~MASK] == 0).all()


def test_a_row_without_a_mask_is_zero_and_gets_no_gradient():
    mask = MASK.clone()
    mask[1] = False
    alpha = torch.randn(3, 4, requires_grad=True)
    p = masked_softmax(alpha, mask)
    assert p[1].tolist() == [0, 0, 0, 0]
    assert torch.equal(p[[0, 2]], masked_softmax(alpha, MASK)[[0, 2]])
    (gradient,) = torch.autograd.grad((p * torch.randn(3, 4)).sum(), alpha)
    assert gradient[1].tolist() == [0, 0, 0, 0]
    assert (gradient[[0, 2]] != 0).any(1).all()


# -- one_hot_draws ---------------------------------------------------------------------------------------------------


def _chosen(p, uniforms):
    gates = one_hot_draws(torch.tensor([p]), torch.tensor(uniforms)[:, None])
    assert ((gates == 0) | (gates == 1)).all()
    assert (gates.sum(-1) == 1).all()
    return gates[:, 0].argmax(-1).tolist()


def test_inverse_transform_is_exact_at_the_edges():
    below = torch.nextafter(torch.tensor([0.25, 0.75, 1.0]), torch.tensor(0.0)).tolist()
    assert _chosen([0.25, 0.5, 0.25], [0.0, below[0], 0.25, below[1], 0.75, below[2]]) == [0, 0, 1, 1, 2, 2]


def test_an_entry_without_probability_is_never_drawn():
    below_one = float(torch.nextafter(torch.tensor(1.0), torch.tensor(0.0)))
    assert _chosen([0.0, 0.5, 0.0, 0.5, 0.0], [0.0, 0.499, 0.5, below_one]) == [1, 1, 3, 3]


def test_a_saturated_row_is_always_drawn_at_its_one():
    below_one = float(torch.nextafter(torch.tensor(1.0), torch.tensor(0.0)))
    for k in range(3):
        p = [float(j == k) for j in range(3)]
        assert _chosen(p, [0.0, 0.5, below_one]) == [k] * 3
    assert _chosen([1e-30, 0.0, 1e-38], [0.0, 0.5]) == [0, 0]  # rows need not sum to 1


def test_a_row_of_zeros_stays_zero():
    p = torch.tensor([[0.5, 0.5], [0.0, 0.0]])
    gates = one_hot_draws(p, torch.tensor([[0.2, 0.2], [0.9, 0.9]]))
    assert gates.tolist() == [[[1, 0], [0, 0]], [[0, 1], [0, 0]]]


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.integers(0, 1000), min_size=1, max_size=8).filter(any),
    st.floats(0, 1, exclude_max=True, width=32),
)
def test_draw_is_where_exact_arithmetic_puts_it(weights, u):
    (chosen,) = _chosen([float(w) for w in weights], [u])
    total, before = sum(weights), sum(weights[:chosen])
    assert weights[chosen] > 0
    # the uniform lies in the entry's share, with room for double precision's rounding of the edges
    assert before - 1e-9 * total <= u * total <= before + weights[chosen] + 1e-9 * total


# -- renormalised and evaluation_gates -------------------------------------------------------------------------------


def test_renormalised_rows():
    kept = torch.tensor([[0.2, 0.0, 0.2], [0.0, 0.0, 0.0], [0.0, 0.0, 0.0]])
    allowed = torch.tensor([[True, False, True], [True, True, False], [False, False, False]])
    assert renormalised(kept, allowed).tolist() == [[0.5, 0, 0.5], [0.5, 0.5, 0], [0, 0, 0]]


def test_mixture_masks_and_does_not_renormalise():
    searcher, allowed = _searcher(torch.randn(3, 4) * MASK), MASK.clone()
    allowed[2, 1] = False
    p = searcher.probabilities()
    (gates,) = searcher.evaluation_gates(allowed, "mixture", torch.rand(5, 3))
    assert float(gates[2].sum()) == pytest.approx(1 - float(p[2, 1]), abs=1e-6)
    assert gates[2, 1] == 0
    assert torch.equal(gates[:2], p[:2])


def test_masks_share_their_draws_on_the_rows_that_they_share():
    searcher, uniforms = _searcher(torch.randn(3, 4) * MASK), torch.rand(300, 3)
    drawn = {}
    for k in range(4):
        allowed = MASK.clone()
        allowed[2, k] = False
        drawn[k] = searcher.evaluation_gates(allowed, "sampled", uniforms)
        assert (drawn[k][:, 2, k] == 0).all()
    for k in range(1, 4):
        assert torch.equal(drawn[0][:, :2], drawn[k][:, :2])
        assert not torch.equal(drawn[0][:, 2], drawn[k][:, 2])


def test_sampled_frequencies_are_the_renormalised_probabilities():
    searcher, allowed = _searcher(torch.tensor([[1.0, 0, 2, 0], [0, 1, 0, 0], [0, 1, 2, 3]])), MASK.clone()
    allowed[2, 3] = False
    # a stratified grid of uniforms makes the frequencies exact to one part in n
    n = 1000
    grid = ((torch.arange(n) + 0.5) / n)[:, None].expand(n, 3)
    frequencies = searcher.evaluation_gates(allowed, "sampled", grid).mean(0)
    kept = searcher.probabilities() * allowed
    assert torch.allclose(frequencies, kept / kept.sum(1, keepdim=True), atol=1.5 / n)


def test_a_saturated_row_whose_one_entry_is_masked_becomes_uniform_over_the_rest():
    searcher, allowed = _searcher(torch.tensor([[500.0, 0, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0]])), MASK.clone()
    assert searcher.probabilities()[0].tolist() == [1, 0, 0, 0]
    allowed[0, 0] = False
    grid = ((torch.arange(100) + 0.5) / 100)[:, None].expand(100, 3)
    assert searcher.evaluation_gates(allowed, "sampled", grid).mean(0)[0].tolist() == pytest.approx([0, 0.5, 0.5, 0])


def test_a_position_where_nothing_is_allowed_stays_empty():
    searcher, allowed = _searcher(torch.zeros(3, 4)), MASK.clone()
    allowed[1] = False
    for mode in ("mixture", "sampled"):
        assert (searcher.evaluation_gates(allowed, mode, torch.rand(9, 3))[:, 1] == 0).all()


def test_one_architecture_step_a_batch_unless_a_searcher_says_otherwise():
    assert _searcher(torch.zeros(3, 4)).arch_steps_due(Clock(0, 0, 1, 1)) == 1
