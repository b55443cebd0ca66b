"""Which operations run, and how."""

import pytest
import torch

from benchbed.layers.plan import Run, full_plan, plan

GATES = torch.tensor([[1.0, 0.0, 0.0], [0.25, 0.75, 0.0], [0.0, 0.0, -0.0]])
ALL = torch.ones(3, 3, dtype=torch.bool)


def test_a_gate_of_zero_does_not_run_and_a_gate_of_one_is_not_multiplied():
    assert plan(GATES) == (((0, Run.UNIT),), ((0, Run.GATED), (1, Run.GATED)), ())


def test_where_the_gradient_is_asked_for_zeros_are_probed_and_ones_are_multiplied():
    need = torch.tensor([[True, True, False], [False, False, True], [False, True, True]])
    assert plan(GATES, need) == (
        ((0, Run.GATED), (1, Run.PROBED)),
        ((0, Run.GATED), (1, Run.GATED), (2, Run.PROBED)),
        ((1, Run.PROBED), (2, Run.PROBED)),
    )


def test_second_derivatives_run_zeros_as_gated():
    runs = {run for row in plan(GATES, ALL, probe=Run.GATED) for _, run in row}
    assert runs == {Run.GATED}
    assert [len(row) for row in plan(GATES, ALL, probe=Run.GATED)] == [3, 3, 3]


def test_need_of_nothing_is_no_need():
    assert plan(GATES, ~ALL) == plan(GATES)


@pytest.mark.parametrize("value", [1.0 - 2**-24, 1e-45, -1.0, 2.0])
def test_what_is_nearly_zero_or_one_is_multiplied(value):
    assert plan(torch.tensor([[value]])) == (((0, Run.GATED),),)


def test_gates_that_require_a_gradient_are_read_without_a_graph():
    assert plan(GATES.clone().requires_grad_()) == plan(GATES)


def test_the_full_plan_gates_every_operation_of_the_mask_and_no_padding():
    mask = torch.tensor([[True, True, True], [True, True, False]])
    gated = Run.GATED
    assert full_plan(mask) == (((0, gated), (1, gated), (2, gated)), ((0, gated), (1, gated)))
