"""The supernet objective: measurements, SGD by hand, schedules, precision, state."""

import io
import math

import pytest
import torch
from torch.nn import functional as F

from benchbed.errors import BenchbedError
from benchbed.layers.plan import plan
from benchbed.objectives.supernet import SupernetObjective, SupernetOptions
from benchbed.spaces.nb201.space import NB201
from benchbed.streams import Streams
from benchbed.task import Seal, Split, Task

TRAIN, VALID = 40, 50
CONV1, CONV3 = 2, 3


def _split(count: int, seed: int) -> Split:
    generator = torch.Generator().manual_seed(seed)
    return Split(torch.randn(count, 3, 8, 8, generator=generator), torch.randint(4, (count,), generator=generator))


def _task(shape=(3, 8, 8)) -> Task:
    def sealed():
        raise AssertionError("the test split was opened")

    return Task("noise", 4, shape, _split(TRAIN, 1), _split(VALID, 2), Seal(sealed), "noise")


def supernet(epochs=3, streams=None, **options) -> SupernetObjective:
    small = {"channels": 3, "cells": 1, "batch": 10, "valid_batch": 12, "eval_batch": 20, **options}
    return SupernetObjective(NB201(), _task(), SupernetOptions(**small), streams or Streams(0), epochs)


def mixture(seed=0):
    return torch.randn(6, 5, generator=torch.Generator().manual_seed(seed)).softmax(1)


def one_hot(*choices):
    return F.one_hot(torch.tensor(choices), 5).float()


PATH = one_hot(CONV3, 1, CONV1, 4, CONV3, 1)


def copied(objective):
    return {name: weight.detach().clone() for name, weight in objective.weights().items()}


# -- measurements --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("gates", [mixture(), PATH], ids=["mixture", "path"])
def test_measuring_is_a_plain_evaluation_in_nearly_equal_parts_that_count_by_their_size(gates):
    objective, valid = supernet(), _split(VALID, 2)
    losses, hits = [], 0
    with torch.no_grad():
        for first, last in (
            (0, 17),
            (17, 34),
            (34, 50),
        ):  # three nearly equal parts of at most 20: what batch norm sees
            logits = objective.network(valid.images[first:last], gates, plan(gates))
            labels = valid.labels[first:last]
            losses += (logits.logsumexp(1) - logits[range(len(labels)), labels]).tolist()
            hits += sum(int(a == b) for a, b in zip(logits.argmax(1), labels, strict=True))
    measured = objective.measure(gates)
    assert measured.images == VALID
    assert float(measured.loss) == pytest.approx(sum(losses) / VALID, rel=1e-5)
    assert float(measured.accuracy) == pytest.approx(100 * hits / VALID, abs=1e-4)


def test_many_gates_are_measured_each_as_if_alone():
    objective = supernet()
    gates = torch.stack([mixture(k) for k in range(6)]).reshape(2, 3, 6, 5)
    together = objective.measure(gates)
    assert together.loss.shape == together.accuracy.shape == (2, 3)
    for i in range(2):
        for j in range(3):
            alone = objective.measure(gates[i, j])
            assert float(alone.loss) == float(together.loss[i, j])
            assert float(alone.accuracy) == float(together.accuracy[i, j])


def test_a_batch_can_be_measured_alone():
    objective = supernet()
    batch = objective.batch("valid")
    measured = objective.measure(mixture(), batch)
    assert measured.images == 12
    torch.testing.assert_close(measured.loss, objective.loss(mixture(), batch).detach())


def test_measuring_leaves_no_trace():
    objective = supernet()
    objective.weight_step(mixture(), objective.batch("train"))
    before, optimiser = copied(objective), objective.optimiser.state_dict()["state"]
    momentum = {k: v["momentum_buffer"].clone() for k, v in optimiser.items()}
    draws = torch.get_rng_state()
    objective.measure(torch.stack([mixture(), PATH]))
    objective.gate_gradient(mixture(), objective.batch("valid"))
    assert all(torch.equal(before[name], weight) for name, weight in objective.weights().items())
    assert all(torch.equal(v, optimiser[k]["momentum_buffer"]) for k, v in momentum.items())
    assert torch.equal(draws, torch.get_rng_state())
    assert not list(objective.network.buffers())


# -- gate gradients ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("gates", [mixture(), PATH, torch.zeros(6, 5)], ids=["mixture", "path", "zero"])
def test_the_gate_gradient_is_that_of_the_loss(gates):
    objective = supernet()
    batch, point = objective.batch("valid"), gates.clone().requires_grad_()
    plain = objective.loss(point, batch)
    (expected,) = torch.autograd.grad(plain, point)
    loss, gradient = objective.gate_gradient(gates, batch)
    torch.testing.assert_close(loss, plain.detach())
    torch.testing.assert_close(gradient, expected, rtol=1e-4, atol=1e-5)
    assert not gradient[:, 0].any()  # `none` is zero whatever its gate


@pytest.mark.parametrize("gates", [mixture(), PATH], ids=["mixture", "path"])
def test_what_is_not_needed_is_zero_and_changes_nothing_else(gates):
    objective = supernet()
    batch, need = objective.batch("valid"), torch.rand(6, 5, generator=torch.Generator().manual_seed(3)) < 0.4
    need[5] = torch.tensor([False, True, False, True, False])
    loss, everything = objective.gate_gradient(gates, batch)
    same, some = objective.gate_gradient(gates, batch, need)
    torch.testing.assert_close(same, loss)
    torch.testing.assert_close(some, everything * need, rtol=1e-4, atol=1e-6)
    assert some[5, 1] != 0
    quiet, nothing = objective.gate_gradient(gates, batch, torch.zeros_like(need))
    torch.testing.assert_close(quiet, loss)
    assert not nothing.any()


# -- weight steps --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("nesterov", [False, True])
def test_weight_steps_are_sgd_with_momentum_and_decay(nesterov):
    objective = supernet(clip=None, momentum=0.8, nesterov=nesterov, weight_decay=0.01, schedule="constant", lr=0.05)
    buffer: dict[str, torch.Tensor] = {}
    for _ in range(3):
        batch, before = objective.batch("train"), copied(objective)
        values = objective.weights()
        loss = objective.loss(mixture(), batch)
        gradients = torch.autograd.grad(loss, list(values.values()))
        torch.testing.assert_close(objective.weight_step(mixture(), batch), loss.detach())
        for (name, now), gradient in zip(values.items(), gradients, strict=True):
            d = gradient + 0.01 * before[name]
            buffer[name] = 0.8 * buffer[name] + d if name in buffer else d.clone()
            step = d + 0.8 * buffer[name] if nesterov else buffer[name]
            torch.testing.assert_close(now.detach(), before[name] - 0.05 * step, rtol=1e-4, atol=1e-6)


def test_clipping_limits_the_norm_over_all_weights():
    def moved(clip):
        objective = supernet(clip=clip, momentum=0.0, weight_decay=0.0, schedule="constant", lr=1.0)
        before = copied(objective)
        objective.weight_step(mixture(), objective.batch("train"))
        return math.sqrt(sum(float((before[n] - w).detach().square().sum()) for n, w in objective.weights().items()))

    free = moved(None)
    assert free > 0.1
    assert moved(0.01) == pytest.approx(0.01, rel=1e-3)
    assert moved(2 * free) == pytest.approx(free, rel=1e-5)


def test_candidates_that_did_not_run_have_no_gradient_no_decay_and_no_momentum():
    objective = supernet(weight_decay=0.1)
    objective.weight_step(PATH, objective.batch("train"))
    fresh = objective.optimiser.state
    candidates = {(e, k): list(objective.network.candidate_weights(e, k)) for e in range(6) for k in (CONV1, CONV3)}
    ran = {(e, k) for e, k in candidates if PATH[e, k]}
    assert len(ran) == 3
    for key, weights in candidates.items():
        assert all((w.grad is not None) == (key in ran) for w in weights)
        assert all(("momentum_buffer" in fresh.get(w, {})) == (key in ran) for w in weights)
    objective.weight_step(mixture(), objective.batch("train"))  # now all of them have momentum
    before = {
        key: [(w.detach().clone(), objective.optimiser.state[w]["momentum_buffer"].clone()) for w in weights]
        for key, weights in candidates.items()
    }
    objective.weight_step(PATH, objective.batch("train"))
    for key, weights in candidates.items():
        for w, (value, momentum) in zip(weights, before[key], strict=True):
            assert torch.equal(w, value) == (key not in ran)
            assert torch.equal(objective.optimiser.state[w]["momentum_buffer"], momentum) == (key not in ran)


# -- learning rates ------------------------------------------------------------------------------------------------


def rate_at(objective, step):
    """The rate that the optimiser has really used at a step."""
    objective.steps = step
    objective.weight_step(PATH, objective.batch("train"))
    return objective.optimiser.param_groups[0]["lr"]


def test_cosine_per_epoch_reaches_the_rate_of_a_published_log():
    objective = supernet(epochs=50, lr=0.025, lr_min=0.001)
    assert objective.steps_per_epoch == 4
    assert rate_at(objective, 49 * 4) == pytest.approx(1.0236789e-3, abs=5e-10)
    assert rate_at(objective, 49 * 4 + 3) == pytest.approx(1.0236789e-3, abs=5e-10)  # constant within an epoch
    assert rate_at(objective, 0) == rate_at(objective, 3) == 0.025
    assert rate_at(objective, 25 * 4) == pytest.approx(0.013)


def test_cosine_per_step_falls_at_every_step():
    objective = supernet(epochs=50, schedule="cosine-step", lr=0.05, lr_min=0.0)
    rates = [rate_at(objective, step) for step in (0, 1, 50, 100, 150, 199, 200)]
    expected = [0.025 * (1 + math.cos(math.pi * step / 200)) for step in (0, 1, 50, 100, 150, 199, 200)]
    assert rates == pytest.approx(expected, abs=1e-12)
    assert rates[3] == pytest.approx(0.025)
    assert rates[1] < rates[0]


def test_constant_is_constant():
    objective = supernet(schedule="constant", lr=0.3)
    assert [rate_at(objective, step) for step in (0, 5, 100)] == [0.3] * 3


@pytest.mark.parametrize(("schedule", "end"), [("constant", 0.0025), ("cosine", 0.001)])
def test_a_tuning_phase_begins_a_fresh_optimiser(schedule, end):
    objective = supernet(epochs=50, lr=0.025, lr_min=0.001)
    for _ in range(3):
        objective.weight_step(mixture(), objective.batch("train"))
    objective.new_optimiser(0.1, 2, schedule)
    assert objective.steps == 0
    assert not objective.optimiser.state  # no momentum is left
    assert objective.optimiser.param_groups[0]["weight_decay"] == 3e-4
    assert rate_at(objective, 0) == pytest.approx(0.0025)
    assert rate_at(objective, 2 * 4) == pytest.approx(end)


def test_a_tuning_rate_below_the_least_rate_does_not_rise_to_it():
    objective = supernet(lr=0.025, lr_min=0.001)
    objective.new_optimiser(0.01, 4, "cosine")
    assert [rate_at(objective, 4 * e) for e in range(5)] == pytest.approx([0.00025] * 5)


# -- lookahead -----------------------------------------------------------------------------------------------------


def test_the_lookahead_is_one_sgd_step_and_changes_nothing():
    objective = supernet(momentum=0.9, weight_decay=0.02, clip=None, schedule="constant", lr=0.1)
    objective.weight_step(mixture(), objective.batch("train"))
    batch, before, kept = objective.batch("train"), copied(objective), objective.optimiser.state_dict()["state"].keys()
    ahead, rate = objective.lookahead(mixture(1), batch)
    assert rate == 0.1
    assert all(torch.equal(before[n], w) for n, w in objective.weights().items())
    assert objective.optimiser.state_dict()["state"].keys() == kept
    objective.weight_step(mixture(1), batch)
    for name, weight in objective.weights().items():
        torch.testing.assert_close(ahead[name].detach(), weight.detach(), rtol=1e-4, atol=1e-6)
        assert ahead[name].requires_grad


def test_a_lookahead_before_any_step_leaves_no_entry_in_the_optimiser():
    objective = supernet()
    objective.lookahead(PATH, objective.batch("train"))
    assert objective.optimiser.state_dict()["state"] == {}


# -- precision -----------------------------------------------------------------------------------------------------


def test_bfloat16_stays_close_and_second_order_losses_stay_float32():
    plain, half = supernet(channels=8), supernet(channels=8, bf16=True)
    batch = plain.batch("valid")
    for gates in (mixture(), PATH):
        one, two = plain.measure(gates), half.measure(gates)
        assert two.loss.dtype == torch.float32
        assert float(one.loss) != float(two.loss)  # it did run in another precision
        assert float(two.loss) == pytest.approx(float(one.loss), rel=0.05)
        (_, exact), (_, rough) = plain.gate_gradient(gates, batch), half.gate_gradient(gates, batch)
        assert rough.dtype == torch.float32
        # 12 images and fresh weights: the second-order loss below is float32 for a reason
        assert F.cosine_similarity(exact.flatten(), rough.flatten(), dim=0) > 0.9
        assert torch.equal(plain.loss(gates, batch), half.loss(gates, batch))
    loss = plain.loss(PATH, batch).detach()
    torch.testing.assert_close(half.weight_step(PATH, batch), loss, rtol=0.05, atol=0.0)
    assert not torch.is_autocast_enabled("cpu")
    assert all(w.dtype == torch.float32 and w.isfinite().all() for w in half.weights().values())


# -- data and state ------------------------------------------------------------------------------------------------


def test_an_epoch_gives_every_training_image_once_and_validation_batches_their_own_size():
    objective = supernet()
    images = torch.cat([objective.batch("train").images for _ in range(4)])
    assert sorted(images[:, 0, 0, 0].tolist()) == sorted(_split(TRAIN, 1).images[:, 0, 0, 0].tolist())
    valid = objective.batch("valid")
    assert len(valid.labels) == 12
    known = {
        float(x): int(y) for x, y in zip(_split(VALID, 2).images[:, 0, 0, 0], _split(VALID, 2).labels, strict=True)
    }
    assert [known[float(x)] for x in valid.images[:, 0, 0, 0]] == valid.labels.tolist()


def test_it_goes_on_from_a_file_bit_for_bit():
    def steps(objective, count):
        for step in range(count):
            objective.gate_gradient(mixture(step), objective.batch("valid"))
            objective.weight_step(PATH if step % 2 else mixture(step), objective.batch("train"))

    streams = Streams(0)
    objective = supernet(streams=streams)
    steps(objective, 5)  # in the middle of an epoch, after momentum has built up
    file = io.BytesIO()
    torch.save({"objective": objective.state(), "streams": streams.state()}, file)
    steps(objective, 6)
    file.seek(0)
    saved, others = torch.load(file, weights_only=True), Streams(7)
    again = supernet(streams=others)
    steps(again, 2)
    again.load_state(saved["objective"])
    others.load_state(saved["streams"])
    steps(again, 6)
    assert all(torch.equal(w, again.weights()[n]) for n, w in objective.weights().items())
    assert again.learning_rate() == objective.learning_rate()
    assert torch.equal(again.batch("train").images, objective.batch("train").images)


def test_a_state_of_another_network_is_refused_in_one_line():
    with pytest.raises(BenchbedError, match="the saved supernet does not fit this one") as caught:
        supernet().load_state(supernet(channels=4).state())
    assert "\n" not in str(caught.value)
    assert "'stem' of (4, 3, 3, 3) where (3, 3, 3, 3) is expected" in str(caught.value)


def test_the_same_seed_gives_the_same_weights_and_leaves_the_global_generator_alone():
    before = torch.get_rng_state()
    one, two, other = supernet(), supernet(), supernet(streams=Streams(1))
    assert torch.equal(before, torch.get_rng_state())
    assert all(torch.equal(w, two.weights()[n]) for n, w in one.weights().items())
    assert not torch.equal(one.weights()["stem"], other.weights()["stem"])
