"""A supernet that draws: weight steps move its stream on, looking does not; what is compared sees the same noise."""

import torch

from benchbed.objectives.supernet import SupernetObjective, SupernetOptions
from benchbed.spaces.darts.space_s2 import DartsS2
from benchbed.spaces.darts.space_s4 import DartsS4
from benchbed.streams import Streams
from benchbed.task import Seal, Split, Task

MIXTURE = torch.full((28, 2), 0.5)


def objective(space=None, **options):
    generator = torch.Generator().manual_seed(0)
    split = Split(torch.randn(24, 3, 8, 8, generator=generator), torch.arange(24) % 4)
    task = Task("noise", 4, (3, 8, 8), split, split, Seal(lambda: split), "noise")
    small = SupernetOptions(**{"channels": 2, "cells": 3, "batch": 8, "valid_batch": 8, "eval_batch": 8, **options})
    streams = Streams(0)
    return SupernetObjective(space or DartsS4(), task, small, streams, epochs=2), streams


def test_only_a_space_with_noise_has_its_stream():
    assert "noise" in objective()[1].state()
    assert "noise" not in objective(DartsS2())[1].state()


def test_a_weight_step_moves_the_noise_on_and_looking_does_not():
    made, streams = objective()
    batch = made.batch("train")
    at_rest = streams.state()["noise"].clone()
    for look in (
        lambda: made.loss(MIXTURE, batch),
        lambda: made.gate_gradient(MIXTURE, batch),
        lambda: made.gate_gradient(MIXTURE, batch, torch.zeros(28, 2, dtype=torch.bool)),
        lambda: made.measure(MIXTURE),
        lambda: made.outcomes(MIXTURE[None], 0),
        lambda: made.lookahead(MIXTURE, batch),
    ):
        look()
        assert torch.equal(streams.state()["noise"], at_rest)
    made.weight_step(MIXTURE, batch)
    assert not torch.equal(streams.state()["noise"], at_rest)


def test_a_weight_step_without_noise_draws_nothing():
    made, streams = objective()
    at_rest = streams.state()["noise"].clone()
    made.weight_step(torch.tensor([[0.0, 1.0]] * 28), made.batch("train"))
    assert torch.equal(streams.state()["noise"], at_rest)


def test_equal_gates_measured_together_see_the_same_noise_and_other_batches_another():
    made, _ = objective()
    together = made.measure(torch.stack([MIXTURE, MIXTURE]))
    assert together.loss[0] == together.loss[1]
    batch = made.batch("valid")
    first = made.loss(MIXTURE, batch).detach()
    torch.testing.assert_close(made.loss(MIXTURE, batch).detach(), first, rtol=0, atol=0)
    made.weight_step(torch.tensor([[0.0, 1.0]] * 28), made.batch("train"))  # other weights, the same noise
    made.weight_step(MIXTURE, made.batch("train"))
    assert not torch.allclose(made.loss(MIXTURE, batch).detach(), first)


def test_outcomes_of_a_part_are_of_the_noise_that_measuring_has_there():
    """Equal gates have equal outcomes, and all parts together give the measured loss, as a race takes for granted."""
    made, _ = objective()
    gates = torch.stack([MIXTURE, MIXTURE])
    parts = [made.outcomes(gates, k) for k in reversed(range(made.parts))]
    assert len(parts) > 1
    for part in parts:
        assert torch.equal(part.loss[0], part.loss[1])
    torch.testing.assert_close(torch.cat([p.loss for p in parts], 1).mean(1), made.measure(gates).loss)
