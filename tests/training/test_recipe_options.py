"""The recipe's moving average, mixing and accumulation: closed forms, resuming, and no trace where they are off."""

import io

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from benchbed.images.mix import Examples
from benchbed.spaces.nb201.network import NB201Network
from benchbed.streams import seeded
from benchbed.task import Split
from benchbed.training.evaluate import evaluate
from benchbed.training.recipe import LATER, Recipe
from benchbed.training.train import Training

OPTIONS = {"ema": 0.8, "mixup": 0.4, "cutmix": 1.0, "accumulate": 3}


class Exact(nn.Module):
    """A network without batch statistics, in float64."""

    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(nn.Conv2d(1, 4, 3), nn.Tanh(), nn.Flatten(), nn.Linear(64, 3)).double()

    def forward(self, images):
        return self.layers(images.double())


def split(n=48):
    g = torch.Generator().manual_seed(0)
    return Split(torch.randn(n, 1, 6, 6, generator=g), torch.randint(3, (n,), generator=g))


def training(make, images=None, **options):
    recipe = Recipe(**{"epochs": 3, "batch": 8, "lr": 0.1} | options)
    with seeded(torch.Generator().manual_seed(1)):
        network = make()
    order, mixing = (torch.Generator().manual_seed(seed) for seed in (2, 3))
    return Training(network, images or split(), recipe, order, mixing=mixing)


def with_statistics():
    return NB201Network((3, 1, 2, 4, 3, 1), channels=4, cells=1, classes=3, in_channels=1)


def copies(network):
    return {name: value.detach().clone() for name, value in network.state_dict().items()}


def assert_same(one, other):
    assert one.keys() == other.keys()
    assert all(torch.equal(value, other[name]) for name, value in one.items())


# -- a moving average of weights -----------------------------------------------------------------------------------


def test_the_average_is_the_recursion_in_float64():
    """m = w after the first step, then m = d m + (1 - d) w, for weights and running statistics alike."""

    class Normed(Exact):
        def __init__(self):
            super().__init__()
            self.layers.insert(1, nn.BatchNorm2d(4).double())

    made = training(Normed, ema=0.9)
    steps, step = [], made.sgd.step
    made.sgd.step = lambda: (step(), steps.append(copies(made.network)))[0]
    for _ in range(3):
        made.epoch()
    assert len(steps) == 18
    found = copies(made.measured)
    for name, value in found.items():
        if value.dtype != torch.float64:
            continue
        wanted = steps[0][name]
        for weights in steps[1:]:
            wanted = 0.9 * wanted + 0.1 * weights[name]
        assert torch.allclose(value, wanted, rtol=0, atol=1e-12), name
        assert not torch.allclose(value, steps[-1][name], rtol=0, atol=1e-6), name


def test_the_average_leaves_the_training_alone_and_is_what_is_measured():
    plain, averaged = training(with_statistics), training(with_statistics, ema=0.95)
    assert [plain.epoch()["loss"] for _ in range(3)] == [averaged.epoch()["loss"] for _ in range(3)]
    assert_same(copies(plain.network), copies(averaged.network))
    assert plain.measured is plain.network
    with torch.inference_mode():
        other = averaged.measured.eval()(split().images)
        assert not torch.equal(other, averaged.network.eval()(split().images))
    assert evaluate(averaged.measured, split()) == pytest.approx(
        100 * float((other.argmax(1) == split().labels).float().mean())
    )


# -- mixing ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_the_loss_of_a_mixed_batch_is_that_of_mixed_labels(smoothing):
    made = training(Exact, mixup=1.0, label_smoothing=smoothing)
    images, labels = split().images, split().labels
    others = labels.flip(0)
    found = made._loss(Examples(images, labels, others, 0.3)).detach()
    soft = 0.3 * F.one_hot(labels, 3).double() + 0.7 * F.one_hot(others, 3).double()
    soft = soft * (1 - smoothing) + smoothing / 3
    logp = F.log_softmax(made.network(images).detach(), 1)
    assert float(found) == pytest.approx(float(-(soft * logp).sum(1).mean()), rel=1e-12)


def test_mixing_moves_no_other_draw():
    """The images of a mixed training come in the order, and augmented as, those of the plain one."""
    plain, mixed = training(Exact), training(Exact, mixup=0.4, cutmix=1.0)
    for made in (plain, mixed):
        made.epoch()
    assert torch.equal(plain.generator.get_state(), mixed.generator.get_state())
    assert torch.equal(plain.mixing.get_state(), torch.Generator().manual_seed(3).get_state())
    assert not torch.equal(mixed.mixing.get_state(), plain.mixing.get_state())


def test_mixing_without_a_generator_of_its_own_is_an_error():
    made = training(Exact, mixup=0.4)
    made.mixing = None
    with pytest.raises(ValueError, match="need a generator of their own"):
        made.epoch()


# -- several batches a step --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("images", [48, 44, 36])  # whole steps; a last batch of 4; a last step of one batch and a half
@pytest.mark.parametrize("clip", [None, 0.05])
def test_accumulated_batches_are_one_batch(images, clip):
    """To 1e-10 in float64, on a network without batch statistics, with momentum, clipping, smoothing, and rests."""
    data = split(images)
    options = {"lr": 0.5, "label_smoothing": 0.1, "clip": clip, "warmup_epochs": 1, "ema": 0.9}
    one = training(Exact, data, batch=24, **options)
    parts = training(Exact, data, batch=8, accumulate=3, **options)
    assert one.steps_per_epoch == parts.steps_per_epoch == 2
    for _ in range(3):
        whole, sums = one.epoch(), parts.epoch()
        assert sums["loss"] == pytest.approx(whole["loss"], rel=1e-6)  # the report's mean is of float32's digits
        assert sums["lr"] == whole["lr"]
    for a, b in ((one.network, parts.network), (one.measured, parts.measured)):
        for name, value in copies(a).items():
            assert torch.allclose(value, copies(b)[name], rtol=0, atol=1e-10), name
    assert parts.finished


def test_more_batches_a_step_than_an_epoch_has_are_all_of_them():
    made = training(Exact, accumulate=100)
    assert made.steps_per_epoch == 1
    made.epoch()
    assert made.epochs_done == 1


# -- all of them -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("given", [*({key: value} for key, value in OPTIONS.items()), OPTIONS], ids=str)
def test_resumed_between_epochs_is_uninterrupted_bit_for_bit(given):
    whole = training(with_statistics, **given)
    losses = [whole.epoch()["loss"] for _ in range(3)]
    half = training(with_statistics, **given)
    half.epoch()
    file = io.BytesIO()
    torch.save(half.state(), file)
    half.epoch()  # what a state holds must not follow the training
    file.seek(0)
    rest = training(with_statistics, **given)
    rest.epoch(), rest.epoch()  # what it held before is forgotten
    rest.load_state(torch.load(file, weights_only=True))
    assert [rest.epoch()["loss"] for _ in range(2)] == losses[1:]
    assert_same(copies(whole.network), copies(rest.network))
    assert_same(copies(whole.measured), copies(rest.measured))


@pytest.mark.parametrize("given", [{key: value} for key, value in OPTIONS.items()], ids=str)
def test_each_changes_the_result_and_its_name(given):
    plain, other = training(with_statistics), training(with_statistics, **given)
    plain.epoch(), other.epoch()
    named = other.recipe.model_dump()
    assert {key: named.pop(key) for key in given} == given
    assert named == plain.recipe.model_dump()
    one, two = (evaluated.state_dict()["stem.0.weight"] for evaluated in (plain.measured, other.measured))
    assert not torch.equal(one, two)


def test_without_them_a_state_holds_what_it_held():
    assert training(with_statistics).state().keys() == {"step", "network", "momentum", "generator"}
    assert not LATER.keys() & Recipe(epochs=1, batch=2, lr=0.1, ema=None, mixup=None, accumulate=1).model_dump().keys()


@pytest.mark.parametrize(
    "bad",
    [{"ema": 0}, {"ema": 1}, {"ema": -0.1}, {"mixup": 0}, {"mixup": 1001}, {"cutmix": -1}, {"accumulate": 0},
     {"accumulate": 1.5}, {"cutmix": float("nan")}],
    ids=str,
)  # fmt: skip
def test_bad_values_are_refused(bad):
    with pytest.raises(ValueError, match=next(iter(bad))):
        Recipe(epochs=1, batch=8, lr=0.1, **bad)
