"""DARTS' training of a found cell: auxiliary head, drop path, cutout, its rates; on a network that has them."""

import io
import json
import math

import pytest
import torch
import torch.nn.functional as F
from pydantic import ValidationError

from benchbed.errors import BenchbedError
from benchbed.images.augment import Augment
from benchbed.pipeline import train as job
from benchbed.pipeline.config import ScoringOptions
from benchbed.spaces.nb201.space import NB201
from benchbed.streams import seeded
from benchbed.task import Split
from benchbed.training.cell import check_recipe, network_of
from benchbed.training.evaluate import accuracies
from benchbed.training.recipe import LATER, RECIPES, Recipe, drop_path_rate, learning_rate
from benchbed.training.train import Training

CELL = "|nor_conv_3x3~0|+|nor_conv_1x1~0|skip_connect~1|+|none~0|avg_pool_3x3~1|nor_conv_3x3~2|"
SMALL = {"epochs": 4, "batch": 16, "lr": 0.1, "nesterov": False}

PLUGIN = '''"""A space whose networks have an auxiliary head and paths that can be dropped."""

import torch
from torch import nn

from benchbed.space import Architecture, Position, Space


class Toy(Space):
    positions = (Position("only", ("a", "b"), (True, True)),)
    supernet = network = "benchbed_plugin_dropping:Dropping"
    sized_by = ("channels",)

    def parse(self, text):
        return self.architecture_of((("a", "b").index(text),))

    def architecture_of(self, choices):
        return Architecture("ab"[choices[0]], choices)

    def canonical(self, arch):
        return arch.choices

    def resolve(self, text):
        return (self, self.parse("b")) if text == "published" else (self, self.parse(text))


class Dropping(nn.Module):
    def __init__(self, choices, channels, classes, in_channels, auxiliary=False):
        super().__init__()
        self.drop_path = 0.0
        self.stem = nn.Conv2d(in_channels, channels, 3, padding=1)
        self.path = nn.Conv2d(channels, channels, 3, padding=1)
        self.head = nn.Linear(channels, classes)
        self.side = nn.Linear(channels, classes) if auxiliary else None
        self.seen = []

    def forward(self, images):
        x = torch.relu(self.stem(images))
        y = torch.tanh(self.path(x))
        if self.training and self.drop_path > 0:
            keep = 1 - self.drop_path
            y = y * torch.empty(len(x), 1, 1, 1).bernoulli_(keep) / keep
        if self.training:
            self.seen.append(self.drop_path)
        logits = self.head((x + y).mean((2, 3)))
        return (logits, self.side(x.mean((2, 3)))) if self.training and self.side is not None else logits
'''


@pytest.fixture
def plugin(tmp_path, monkeypatch):
    from benchbed import registry

    monkeypatch.setattr(registry, "_USER_FILES", {})
    file = tmp_path / "dropping.py"
    file.write_text(PLUGIN)
    registry.add_file(file)
    return file


@pytest.fixture
def space(plugin):
    from benchbed.spaces.load import load_space

    return load_space("dropping", {})


def split(n=50):
    g = torch.Generator().manual_seed(0)
    return Split(torch.randn(n, 1, 6, 6, generator=g), torch.randint(3, (n,), generator=g))


def trainer(space, recipe, seed=2):
    with seeded(torch.Generator().manual_seed(1)):
        network = network_of(space, space.parse("a"), recipe, {"channels": 4, "classes": 3, "in_channels": 1})
    noise = torch.Generator().manual_seed(seed + 1)
    return Training(network, split(), recipe, torch.Generator().manual_seed(seed), noise=noise)


# -- the recipes ---------------------------------------------------------------------------------------------------


def test_the_recipes_are_the_published_ones():
    """Section 1.5 of the reference; DARTS' train.py and train_imagenet.py."""
    r = RECIPES["darts-cifar10"]
    assert (r.epochs, r.batch, r.lr, r.lr_min, r.momentum, r.nesterov) == (600, 96, 0.025, 0.0, 0.9, False)
    assert (r.weight_decay, r.clip, r.cutout, r.drop_path, r.auxiliary) == (3e-4, 5, 16, 0.2, 0.4)
    assert (r.schedule, r.label_smoothing, r.decay_vectors) == ("cosine-epoch", 0.0, True)
    i = RECIPES["darts-imagenet"]
    assert (i.epochs, i.batch, i.lr, i.momentum, i.nesterov, i.weight_decay) == (250, 128, 0.1, 0.9, False, 3e-5)
    assert (i.schedule, i.gamma, i.label_smoothing, i.auxiliary, i.clip) == ("exponential", 0.97, 0.1, 0.4, 5)
    assert (i.drop_path, i.cutout) == (0, 0)
    for name, task, recipe, size in (("evaluation", "cifar10", r, (36, 20)), ("transfer", "imagenet", i, (48, 14))):
        protocol = {"evaluation": "darts-cifar10-evaluation", "transfer": "darts-imagenet-transfer"}[name]
        scoring = job.resolve({"arch": "DARTS_V2", "task": task, "protocol": protocol}).scoring
        assert (scoring.recipe(), (scoring.channels, scoring.cells)) == (recipe, size)


def test_the_protocol_for_imagenet_has_its_stem_and_small_images_a_network_that_fits():
    raw = {"space": "darts", "arch": "DARTS_V2"}
    imagenet = {**raw, "task": "imagenet", "protocol": "darts-imagenet-transfer"}
    assert job.resolve(imagenet).space_options == {"stem": "imagenet"}
    assert job.resolve({**imagenet, "space_options": {"stem": "cifar"}}).space_options == {"stem": "cifar"}
    small = job.resolve({**raw, "task": "digits"})
    assert (small.space_options, small.scoring.channels, small.scoring.cells) == ({}, 8, 5)


@pytest.mark.parametrize(
    ("recipe", "scheduler", "given"),
    [
        (Recipe(epochs=7, batch=2, lr=0.1, schedule="exponential", gamma=0.97), "StepLR",
         {"step_size": 1, "gamma": 0.97}),
        (Recipe(epochs=7, batch=2, lr=0.025, lr_min=0.001, schedule="cosine-epoch"), "CosineAnnealingLR",
         {"T_max": 7, "eta_min": 0.001}),
    ],
)  # fmt: skip
def test_rates_that_change_by_the_epoch_are_torchs(recipe, scheduler, given):
    sgd = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=recipe.lr)
    torchs = getattr(torch.optim.lr_scheduler, scheduler)(sgd, **given)
    for epoch in range(7):
        for step in range(5):
            assert math.isclose(learning_rate(recipe, 5 * epoch + step, 5), torchs.get_last_lr()[0], rel_tol=1e-12)
        sgd.step()
        torchs.step()


def test_the_cosine_of_darts_search_at_its_last_epoch():
    """Oracle 6 as the published log prints it: epoch 49 of 50 from .025 to .001."""
    recipe = Recipe(epochs=50, batch=2, lr=0.025, lr_min=0.001, schedule="cosine-epoch")
    assert f"{learning_rate(recipe, 49 * 390, 390):e}" == "1.023679e-03"


def test_drop_path_rises_by_the_epoch_and_never_divides_by_zero():
    """Pitfall 28 is a ramp over epochs - 1; one epoch trains without dropping."""
    assert [drop_path_rate(RECIPES["darts-cifar10"], e) for e in (0, 300, 599)] == [0, 0.1, 0.2 * 599 / 600]
    assert drop_path_rate(Recipe(epochs=1, batch=2, lr=0.1, drop_path=0.2), 0) == 0


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"schedule": "exponential"}, "schedule 'exponential' needs a gamma"),
        ({"gamma": 0.9}, "schedule 'cosine' has no gamma"),
        ({"schedule": "exponential", "gamma": 0.9, "lr_min": 0.01}, "lr_min 0.01 is of a cosine"),
        ({"cutout": 15}, "multiple of 2"),
        ({"drop_path": 1.0}, "less than 1"),
        ({"auxiliary": -0.4}, "greater than or equal to 0"),
    ],
)
def test_recipes_that_make_no_sense(given, words):
    with pytest.raises(ValidationError, match=words):
        Recipe(**SMALL, **given)


def test_what_came_later_leaves_earlier_results_their_names():
    """The keys that a recipe of before hashed, to the letter."""
    before = [
        "epochs", "batch", "lr", "lr_min", "momentum", "nesterov", "weight_decay", "schedule", "label_smoothing",
        "clip", "channels_last",
    ]  # fmt: skip
    assert list(RECIPES["H"].model_dump()) == before
    assert RECIPES["H"].model_dump()["schedule"] == "cosine"
    options = ScoringOptions(channels=36, cells=20, **RECIPES["darts-cifar10"].model_dump())
    assert options.recipe() == RECIPES["darts-cifar10"]
    assert {"auxiliary", "drop_path", "cutout"} <= options.model_dump().keys() & LATER.keys()


# -- the training --------------------------------------------------------------------------------------------------


def test_every_epoch_sets_the_networks_drop_path_and_measuring_drops_nothing(space):
    training = trainer(space, Recipe(**SMALL, drop_path=0.2))
    while not training.finished:
        training.epoch()
        assert accuracies(training.network, split()) == accuracies(training.network, split())
    steps = training.steps_per_epoch
    assert training.network.seen == [0.2 * e / 4 for e in range(4) for _ in range(steps)]


def test_the_auxiliary_heads_loss_is_added_by_its_weight(space):
    """One step of plain SGD, written out."""
    recipe = Recipe(epochs=1, batch=50, lr=0.1, nesterov=False, weight_decay=0, momentum=0, auxiliary=0.4,
                    label_smoothing=0.1)  # fmt: skip
    training, reference = trainer(space, recipe), trainer(space, recipe)
    report = training.epoch()
    network = reference.network.train()
    losses = [F.cross_entropy(z, split().labels, label_smoothing=0.1) for z in network(split().images)]
    total = losses[0] + 0.4 * losses[1]
    assert math.isclose(report["loss"], total.item(), rel_tol=1e-5)
    gradients = torch.autograd.grad(total, list(network.parameters()))
    for p, q, g in zip(training.network.parameters(), network.parameters(), gradients, strict=True):
        assert torch.allclose(p, q - 0.1 * g, atol=1e-6)


def test_a_cutout_follows_the_tasks_augmentation_by_the_trainings_generator(space):
    """Centres uniform over the pixels, rows then columns of the batch, clipped at the border (DeVries and Taylor)."""
    training, seen = trainer(space, Recipe(epochs=1, batch=50, lr=0.1, cutout=4)), []
    training.network.stem.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0].clone()))
    training.epoch()
    g = torch.Generator().manual_seed(2)
    images = split().images[torch.randperm(50, generator=g)]
    ys, xs = torch.randint(6, (50,), generator=g), torch.randint(6, (50,), generator=g)
    for image, y, x in zip(images, ys.tolist(), xs.tolist(), strict=True):
        image[:, max(0, y - 2) : y + 2, max(0, x - 2) : x + 2] = 0
    assert torch.equal(seen[0], images)


@pytest.mark.parametrize("stop", [1, 2, 3])
def test_resumed_equals_uninterrupted_bit_for_bit(space, stop):
    recipe = Recipe(**SMALL, drop_path=0.5, auxiliary=0.4, cutout=4, schedule="exponential", gamma=0.9)
    whole = trainer(space, recipe)
    losses = [whole.epoch()["loss"] for _ in range(4)]
    part, file = trainer(space, recipe), io.BytesIO()
    for _ in range(stop):
        part.epoch()
    torch.save(part.state(), file)
    file.seek(0)
    rest = trainer(space, recipe, seed=77)
    rest.load_state(torch.load(file, weights_only=True))
    assert [rest.epoch()["loss"] for _ in range(4 - stop)] == losses[stop:]
    assert all(torch.equal(v, rest.network.state_dict()[k]) for k, v in whole.network.state_dict().items())


def test_paths_are_dropped_from_the_runs_own_noise(space):
    """Another noise is another training; torch's global generator is left where it was."""
    recipe = Recipe(**SMALL, drop_path=0.5)
    one, other = trainer(space, recipe), trainer(space, recipe)
    other.noise.manual_seed(99)
    before = torch.get_rng_state()
    losses = [[t.epoch()["loss"] for _ in range(2)] for t in (one, other)]
    assert torch.equal(torch.get_rng_state(), before)
    assert losses[0][0] == losses[1][0], "the first epoch drops nothing"
    assert losses[0][1] != losses[1][1]


# -- the command -----------------------------------------------------------------------------------------------------


def flags(plugin, tiny_file, *settings):
    given = ["scoring.channels=4", "scoring.epochs=6", "scoring.batch=40", *settings]
    arguments = ["train", "--plugin", plugin, "--space", "dropping", "--arch", "a", "--task", f"npz:{tiny_file}"]
    return [*arguments, *(x for s in given for x in ("--set", s))]


def test_the_final_epoch_is_reported_not_the_best(command, plugin, tiny_file, tmp_path, monkeypatch):
    """Pitfall 29: the reference code logs the best accuracy on the test set."""
    monkeypatch.chdir(tmp_path)
    values = iter([60.0, 90.0, 70.0, 65.0, 64.0, 63.0, 63.0, 55.0])
    from benchbed.training.evaluate import Accuracies

    monkeypatch.setattr(job, "accuracies", lambda *_, **__: Accuracies(next(values), 100.0, 1.0, 10))
    done = command(*flags(plugin, tiny_file, "scoring.drop_path=0.2", "scoring.auxiliary=0.4", "scoring.cutout=2"))
    assert done.status == 0, done.err
    (folder,) = (tmp_path / "runs").iterdir()
    record = json.loads((folder / "record.json").read_text())
    assert (record["valid_accuracy"], record["test_accuracy"]) == (63.0, 55.0), "measured once, after the last epoch"
    assert not any(value == 90.0 for value in record.values())
    assert record["config"]["scoring"]["drop_path"] == 0.2


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        (
            "scoring.auxiliary=0.4",
            "scoring.auxiliary = 0.4: the networks of this space (NB201Network) have no auxiliary",
        ),
        ("scoring.drop_path=0.2", "scoring.drop_path = 0.2: the networks of this space (NB201Network) have no paths"),
        ("scoring.cutout=3", "scoring: cutout = 3: input should be a multiple of 2"),
        ("scoring.schedule=exponential", "scoring: schedule 'exponential' needs a gamma"),
    ],
)
def test_what_the_networks_lack_is_refused_in_one_line(refused, tiny_file, setting, words):
    assert words in refused("train", "--arch", CELL, "--task", f"npz:{tiny_file}", "--set", setting)
    run = ("run", "--searcher", "random", "--selector", "random", "--task", f"npz:{tiny_file}", "--set", setting)
    assert words in refused(*run)


def test_the_protocol_of_darts_needs_a_network_of_darts(refused):
    said = refused("train", "--arch", CELL, "--space", "nb201", "--protocol", "darts-cifar10-evaluation")
    assert "protocol 'darts-cifar10-evaluation' is for space darts, darts-s1" in said
    assert "generic-paper" in said.partition("not 'nb201'")[2]


def test_a_published_name_is_an_architecture(plugin):
    assert job.resolve({"space": "dropping", "task": "digits", "arch": "published"}).arch == "b"


def test_a_published_name_of_other_sizes_is_not(refused):
    said = refused("train", "--space", "mbconv", "--arch", "proxyless-mobile")
    assert "has other sizes than this space: add --set space_options.preset=proxyless-mobile" in said


def test_a_network_that_has_both_passes(space):
    check_recipe(space, Recipe(**SMALL, drop_path=0.2, auxiliary=0.4), channels=4, cells=1)
    with pytest.raises(BenchbedError, match="no paths to drop"):
        check_recipe(NB201(), Recipe(**SMALL, drop_path=0.2), channels=4, cells=1)


def test_two_cutouts_are_refused(space, tiny_file):
    from dataclasses import replace

    from benchbed.tasks.load import load_task
    from benchbed.training.cell import training_of

    task = replace(load_task(f"npz:{tiny_file}"), augment=Augment(0, (0.0,), 4))
    with pytest.raises(
        BenchbedError, match=r"scoring.cutout = 2: task .* has a cutout of its own, task_options.cutout"
    ):
        training_of(space, task, Recipe(**SMALL, cutout=2), space.parse("a"), channels=4, cells=1, seed=0)


def test_darts_trains_on_all_images_where_the_task_can():
    raw = {"arch": "DARTS_V2", "protocol": "darts-cifar10-evaluation", "task": "cifar10"}
    assert job.resolve(raw).task_options == {"split": "whole"}
    assert job.resolve(raw | {"task_options": {"split": "halves"}}).task_options == {"split": "halves"}
    assert job.resolve(raw | {"splits": "somewhere"}).task_options == {}
    assert job.resolve(raw | {"space": "darts", "protocol": "generic-paper"}).task_options == {}
