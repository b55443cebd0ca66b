import io
import math

import pytest
import torch
import torch.nn.functional as F
from pydantic import ValidationError
from torch import nn

from benchbed.errors import BenchbedError
from benchbed.spaces.nb201.network import NB201Network
from benchbed.streams import seeded
from benchbed.task import Split
from benchbed.training.part import Part
from benchbed.training.train import RECIPES, Recipe, Training, cosine, evaluate


def _split(n=50, classes=3, size=6, seed=0):
    g = torch.Generator().manual_seed(seed)
    return Split(torch.randn(n, 1, size, size, generator=g), torch.randint(classes, (n,), generator=g))


def _network(seed=1):
    with seeded(torch.Generator().manual_seed(seed)):
        return NB201Network((3, 1, 2, 4, 3, 1), channels=4, cells=1, classes=3, in_channels=1)


def _training(recipe, seed=2, augment=None, split=None):
    return Training(_network(), split or _split(), recipe, torch.Generator().manual_seed(seed), augment=augment)


def _linear():
    with seeded(torch.Generator().manual_seed(1)):
        return nn.Sequential(nn.Flatten(), nn.Linear(36, 3))


def _equal(a, b):
    return all(torch.equal(v, b.state_dict()[k]) for k, v in a.state_dict().items())


def test_cosine_values():
    recipe = Recipe(epochs=1, batch=2, lr=0.1, lr_min=0.02)
    assert cosine(recipe, 0, 12) == 0.1
    assert math.isclose(cosine(recipe, 6, 12), 0.06)
    assert math.isclose(cosine(recipe, 4, 12), 0.02 + 0.08 * 0.75)  # cos 60 degrees is 1/2
    assert math.isclose(cosine(recipe, 12, 12), 0.02)


def test_learning_rates_are_those_of_torchs_scheduler(monkeypatch):
    training = _training(Recipe(epochs=3, batch=16, lr=0.1))
    rates, original = [], training.sgd.step
    monkeypatch.setattr(training.sgd, "step", lambda: (rates.append(training.sgd.param_groups[0]["lr"]), original()))
    for _ in range(3):
        training.epoch()
    sgd = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.1)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(sgd, T_max=12)  # 3 epochs of 4 batches: 16 + 16 + 16 + 2
    for rate in rates:
        assert math.isclose(rate, schedule.get_last_lr()[0], rel_tol=1e-9)
        sgd.step()
        schedule.step()
    assert len(rates) == 12


def test_an_epoch_is_nesterov_sgd_written_out():
    """Sutskever's form as torch has it: g += wd w; v = m v + g; w -= lr (g + m v); clipped before the decay."""
    recipe = Recipe(epochs=2, batch=20, lr=0.3, momentum=0.8, weight_decay=0.01, label_smoothing=0.1, clip=0.5)
    split, network, reference = _split(), _linear(), _linear()
    training = Training(network, split, recipe, torch.Generator().manual_seed(4))
    reports = [training.epoch(), training.epoch()]
    g, step = torch.Generator().manual_seed(4), 0
    v = [torch.zeros_like(p) for p in reference.parameters()]
    for report in reports:
        order, total = torch.randperm(50, generator=g), 0.0
        for chosen in order.split(20):
            logp = F.log_softmax(reference(split.images[chosen]), 1)
            target = F.one_hot(split.labels[chosen], 3) * 0.9 + 0.1 / 3
            loss = -(target * logp).sum(1).mean()
            grads = torch.autograd.grad(loss, list(reference.parameters()))
            scale = min(1.0, 0.5 / (torch.sqrt(sum(x.square().sum() for x in grads)).item() + 1e-6))
            rate = 0.15 * (1 + math.cos(math.pi * step / 6))
            for p, x, buffer in zip(reference.parameters(), grads, v, strict=True):
                x = x * scale + 0.01 * p.detach()
                buffer.mul_(0.8).add_(x)
                p.data -= rate * (x + 0.8 * buffer)
            step, total = step + 1, total + loss.item() * len(chosen)
        assert math.isclose(report["loss"], total / 50, rel_tol=1e-5)
    for p, q in zip(network.parameters(), reference.parameters(), strict=True):
        assert torch.allclose(p, q, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("momentum", [0.9, 0.0])
def test_resumed_equals_uninterrupted_bit_for_bit(momentum):
    recipe = Recipe(epochs=4, batch=16, lr=0.1, momentum=momentum, nesterov=momentum > 0)

    def flip(images, generator):
        return torch.where(torch.rand(len(images), 1, 1, 1, generator=generator) < 0.5, images.flip(3), images)

    whole = _training(recipe, augment=flip)
    losses = [whole.epoch()["loss"] for _ in range(4)]
    half = _training(recipe, augment=flip)
    half.epoch(), half.epoch()
    file = io.BytesIO()
    torch.save(half.state(), file)
    half.epoch()  # what a state holds must not follow the training
    file.seek(0)
    rest = _training(recipe, seed=99, augment=flip)
    rest.load_state(torch.load(file, weights_only=True))
    assert rest.epochs_done == 2
    assert [rest.epoch()["loss"] for _ in range(2)] == losses[2:]
    assert _equal(whole.network, rest.network)
    assert rest.finished


def test_a_state_is_a_copy():
    training = _training(Recipe(epochs=2, batch=16, lr=0.1))
    training.epoch()
    state = training.state()
    before = {name: value.clone() for name, value in state["momentum"].items()}
    weights = {name: value.clone() for name, value in state["network"].items()}
    training.epoch()
    assert before
    assert all(torch.equal(before[k], state["momentum"][k]) for k in before)
    assert all(torch.equal(weights[k], state["network"][k]) for k in weights)


def test_the_generator_alone_decides_the_order():
    recipe = Recipe(epochs=1, batch=16, lr=0.1)
    one, two, other = _training(recipe), _training(recipe), _training(recipe, seed=3)
    one.epoch()
    torch.manual_seed(12345)
    two.epoch(), other.epoch()
    assert _equal(one.network, two.network)
    assert not _equal(one.network, other.network)


def test_training_leaves_the_global_generator_alone():
    training, before = _training(Recipe(epochs=1, batch=16, lr=0.1)), torch.get_rng_state()
    training.epoch()
    assert torch.equal(before, torch.get_rng_state())


def test_every_image_is_seen_once_an_epoch():
    split, seen = _split(n=50), []
    _training(Recipe(epochs=1, batch=16, lr=0.1), augment=lambda x, g: seen.append(x.clone()) or x, split=split).epoch()
    assert [len(x) for x in seen] == [16, 16, 16, 2]
    together = torch.cat(seen).flatten(1)
    assert torch.equal(together.sort(0).values, split.images.flatten(1).sort(0).values)


def test_a_lone_last_image_is_left_out():
    seen = []
    split = _split(n=33, size=4)  # 1x1 after two halvings: one image would have no batch statistics
    _training(Recipe(epochs=1, batch=16, lr=0.1), augment=lambda x, g: seen.append(len(x)) or x, split=split).epoch()
    assert seen == [16, 16]


@pytest.mark.parametrize("channels_last", [True, False])
def test_memory_layout_changes_rounding_alone(channels_last):
    training = _training(Recipe(epochs=1, batch=16, lr=0.01, channels_last=channels_last))
    plain = _training(Recipe(epochs=1, batch=16, lr=0.01, channels_last=False))
    assert math.isclose(training.epoch()["loss"], plain.epoch()["loss"], rel_tol=1e-4)


def test_a_separable_task_is_learned_to_100_percent():
    g = torch.Generator().manual_seed(0)
    labels = torch.arange(90) % 3
    images = 0.1 * torch.randn(90, 1, 6, 6, generator=g)
    images[torch.arange(90), 0, 2 * labels] += 1.0  # the class is the bright row
    split = Split(images, labels)
    training = _training(Recipe(epochs=8, batch=16, lr=0.05), split=split)
    while not training.finished:
        training.epoch()
    assert evaluate(training.network, split) == 100.0
    with pytest.raises(RuntimeError, match="all 8 epochs are done"):
        training.epoch()


def test_a_loss_that_is_not_finite_is_named():
    split = _split()
    where = torch.randperm(50, generator=torch.Generator().manual_seed(4))[25]  # in the second batch of 20
    split.images[where] = float("nan")
    training = Training(
        _linear(), split, Recipe(epochs=3, batch=20, lr=0.2), torch.Generator().manual_seed(4), device="cpu"
    )
    rate = 0.1 * (1 + math.cos(math.pi / 9))
    with pytest.raises(BenchbedError, match=f"loss nan at epoch 1 of 3, step 2 of 3, lr {rate:g}, batch 20"):
        training.epoch()


def test_too_few_images_are_refused():
    with pytest.raises(BenchbedError, match="training split of 1 images"):
        _training(Recipe(epochs=1, batch=2, lr=0.1), split=_split(n=1))
    with pytest.raises(BenchbedError, match="without images"):
        evaluate(_linear(), _split(n=0))


class _Fixed(nn.Module):
    """Answers class 1 always; notes the mode that it is called in."""

    def __init__(self):
        super().__init__()
        self.bias, self.modes = nn.Parameter(torch.tensor([0.0, 1.0, 0.0])), []

    def forward(self, x):
        self.modes.append((self.training, len(x)))
        return self.bias.expand(len(x), 3)


@pytest.mark.parametrize("training", [True, False])
def test_evaluate_is_the_share_of_right_answers_in_percent(training):
    network = _Fixed().train(training)
    split = Split(torch.zeros(10, 1, 4, 4), torch.tensor([1, 1, 1, 0, 2, 0, 1, 0, 2, 2]))
    assert evaluate(network, split, batch=4) == 40.0
    assert network.modes == [(False, 4), (False, 4), (False, 2)]
    assert network.training is training


def test_evaluate_changes_no_buffer():
    network = _network()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    evaluate(network, _split())
    assert all(torch.equal(value, network.state_dict()[name]) for name, value in before.items())


def test_recipe_h_is_the_benchmarks():
    h = RECIPES["H"]
    assert (h.epochs, h.batch, h.lr, h.lr_min, h.momentum, h.nesterov) == (200, 256, 0.1, 0.0, 0.9, True)
    assert (h.weight_decay, h.schedule, h.label_smoothing, h.clip) == (5e-4, "cosine", 0.0, None)
    assert RECIPES["H12"] == h.model_copy(update={"epochs": 12})


@pytest.mark.parametrize(
    "bad", [{"epochs": 0}, {"batch": 1}, {"lr": 0}, {"momentum": 0}, {"lr_min": 1.0}, {"rate": 1}, {"schedule": "step"}]
)
def test_bad_recipes_are_refused(bad):
    with pytest.raises(ValidationError):
        Recipe(**{"epochs": 1, "batch": 8, "lr": 0.1} | bad)


# -- an epoch of fewer images than all ---------------------------------------------------------------------------------


def _seen(recipe, epochs, split=None, resume=None):
    """The labels that each epoch steps on, where a label is its image's number; saved and resumed after `resume`."""
    n = 50
    split = split or Split(torch.zeros(n, 1, 6, 6), torch.arange(n))
    found = []

    def fresh():
        training = Training(nn.Sequential(nn.Flatten(), nn.Linear(36, n)), split, recipe, torch.Generator())
        loss = training._loss
        training._loss = lambda batch: (found[-1].extend(batch.labels.tolist()), loss(batch))[1]
        return training

    training = fresh()
    for number in range(epochs):
        if number == resume:
            state = {k: v.clone() if isinstance(v, torch.Tensor) else v for k, v in training.state().items()}
            training = fresh()
            training.load_state(state)
        found.append([])
        training.epoch()
    return found


def test_epochs_of_fewer_images_see_others_until_too_few_are_left():
    recipe = Recipe(epochs=5, batch=10, lr=0.1, epoch_images=20)
    epochs = _seen(recipe, 5)
    assert [len(e) for e in epochs] == [20] * 5
    assert len({*epochs[0], *epochs[1]}) == 40  # of one order of 50; the ten that are left begin no epoch
    assert len({*epochs[2], *epochs[3]}) == 40
    assert epochs[0] != epochs[2]


@pytest.mark.parametrize("resume", [1, 2, 3])
def test_a_training_goes_on_in_the_middle_of_an_order(resume):
    recipe = Recipe(epochs=4, batch=10, lr=0.1, epoch_images=20)
    assert _seen(recipe, 4, resume=resume) == _seen(recipe, 4)


def test_without_it_an_epoch_is_every_image_and_as_many_as_there_are_at_most():
    for images in (None, 50, 1000):
        (epoch,) = _seen(Recipe(epochs=1, batch=10, lr=0.1, epoch_images=images), 1)
        assert sorted(epoch) == list(range(50))
    plain, named = Recipe(epochs=1, batch=10, lr=0.1), Recipe(epochs=1, batch=10, lr=0.1, epoch_images=20)
    assert "epoch_images" not in plain.model_dump()  # what was trained before keeps its name
    assert named.model_dump()["epoch_images"] == 20


def test_what_was_saved_within_an_epoch_lies_where_its_steps_go_on() -> None:
    """A checkpoint is read onto the CPU, whatever device the next losses are on."""
    part = Part(torch.arange(4), losses=[torch.tensor(1.0)], images=[torch.tensor(2)])
    found = Part.of(part.state(), torch.device("meta"))
    assert {one.device.type for one in (*found.losses, *found.images)} == {"meta"}
    assert Part.of(Part(torch.arange(4)).state(), torch.device("cpu")).steps == 0
