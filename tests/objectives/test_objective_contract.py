"""The objectives against the contract, and the suite against objectives that break it."""

from functools import partial

import pytest
import torch

from benchbed.objectives.supernet import SupernetObjective, SupernetOptions
from benchbed.spaces.darts.space import Darts
from benchbed.spaces.darts.space_s1 import DartsS1
from benchbed.spaces.darts.space_s4 import DartsS4
from benchbed.spaces.macro.space import Macro
from benchbed.spaces.mbconv.space import MBConv
from benchbed.spaces.nb201.space import NB201
from benchbed.spaces.nb201_untied.space import NB201Untied
from benchbed.spaces.proxyless_cifar.space import ProxylessCifar
from benchbed.streams import Streams
from benchbed.task import Seal, Split, Task
from benchbed.testing import objective_suite
from benchbed.testing.objective_suite import CHECKS, check_objective
from benchbed.testing.toy_network import ToyNetwork
from benchbed.testing.toys import ToySpace, random_table


def _sealed():
    raise AssertionError("the test split was touched")


def _task(augment=None):
    generator = torch.Generator().manual_seed(1)
    images = torch.randn(2, 24, 3, 8, 8, generator=generator)
    labels = torch.randint(3, (2, 24), generator=generator)
    train, valid = (Split(images[i], labels[i]) for i in range(2))
    return Task("random", 3, (3, 8, 8), train, valid, Seal(_sealed), "0", augment=augment)


def _noise(images, generator):
    return images + 0.1 * torch.randn(images.shape, generator=generator)


def _supernet(augment=None, space=None, **options):
    streams = Streams(0)
    small = SupernetOptions(**{"channels": 4, "cells": 1, "batch": 8, "valid_batch": 8, "eval_batch": 12, **options})
    return SupernetObjective(space or NB201(), _task(augment), small, streams, epochs=3), streams


def _chain(**options):
    streams, task = Streams(0), _task()
    sizes = {"stage_widths": [8, 16], "stage_depths": [2, 1], "stage_strides": [1, 2], "head_width": 8}
    space = MBConv("small", stem_width=8, **sizes).for_images(task.shape, task.classes)
    small = SupernetOptions(batch=8, valid_batch=8, eval_batch=12, **options)
    return SupernetObjective(space, task, small, streams, epochs=3), streams


def _toy_network(kind=ToyNetwork):
    streams = Streams(0)
    return kind(ToySpace(), random_table(ToySpace(), 0).losses, streams), streams


SUBJECTS = {
    "toy-table": lambda: (random_table(ToySpace(), 0), Streams(0)),
    "toy-network": _toy_network,
    "supernet": _supernet,
    "nb201-untied": partial(_supernet, space=NB201Untied(cells=1)),
    "proxyless-cifar": partial(_supernet, space=ProxylessCifar(preset="small", start=4, widening=3)),
    "macro": partial(_supernet, space=Macro(), channels=2),
    "darts": partial(_supernet, space=Darts(), channels=2, cells=3),
    "darts-s1": partial(_supernet, space=DartsS1(), channels=2, cells=3),
    "darts-s4": partial(_supernet, space=DartsS4(), channels=2, cells=3),
    "chain": _chain,
    "supernet-augmented": partial(_supernet, _noise, schedule="cosine-step", nesterov=True),
}


DARTS = ("darts-s1", "darts-s4")  # of one supernet: they take turns in the default lane


def slow(subject: str, number: int) -> bool:
    return subject in ("proxyless-cifar", "darts") or (subject in DARTS and number % 2 != DARTS.index(subject))


@pytest.mark.parametrize(
    ("subject", "check"),
    [
        pytest.param(s, c, id=f"{s}-{c.__name__}", marks=(pytest.mark.slow,) if slow(s, number) else ())
        for s in SUBJECTS
        for number, c in enumerate(CHECKS)
    ],
)
def test_contract(subject, check):
    check(SUBJECTS[subject])


def test_a_whole_subject_passes_in_one_call():
    check_objective(_toy_network)


class Detached(ToyNetwork):
    """Leaves out the operations whose gate is zero, as a weight step may and a gradient may not."""

    def gate_gradient(self, gates, batch, need=None, keep="outputs"):
        loss, gradient = super().gate_gradient(gates, batch, need, keep)
        return loss, gradient * (gates != 0)


class Dropping(ToyNetwork):
    def gate_gradient(self, gates, batch, need=None, keep="outputs"):
        torch.rand(1)
        return super().gate_gradient(gates, batch, need, keep)


class Dense(ToyNetwork):
    """A weight step in which every candidate gets a gradient of zero, hence decay and momentum."""

    def weight_step(self, gates, batch):
        self.optimiser.zero_grad(set_to_none=False)
        for w in self.candidates.values():
            w.grad = torch.zeros_like(w)
        loss = self.loss(gates.detach(), batch)
        loss.backward()
        self.optimiser.step()
        return loss.detach()


class Forgetful(ToyNetwork):
    def load_state(self, tree):
        super().load_state(tree | {"momentum": {}})


class Aliasing(ToyNetwork):
    def state(self):
        return super().state() | {"weights": {name: w.detach() for name, w in self.candidates.items()}}


class Undecided(ToyNetwork):
    def decided(self, decisions):
        return self


class Drifting(SupernetObjective):
    """Augments from a generator of its own, so that no two looks are the same."""

    def seen(self, view):
        return super().seen(view._replace(augmentation=int(torch.randint(99, ()))))


BROKEN = [
    (Detached, "check_gate_gradient", "not autograd's"),
    (Dropping, "check_looking_changes_nothing", "gate_gradient changed the objective or a generator"),
    (Dense, "check_weight_step", "did not run and was changed"),
    (Forgetful, "check_state", "not what was saved"),
    (Aliasing, "check_state", "changes as training goes on"),
    (Undecided, "check_decisions", "ignores decisions"),
]


@pytest.mark.parametrize(("kind", "check", "text"), BROKEN, ids=lambda x: getattr(x, "__name__", ""))
def test_the_suite_names_what_is_broken(kind, check, text):
    with pytest.raises(AssertionError, match=text):
        getattr(objective_suite, check)(partial(_toy_network, kind))


def test_the_suite_names_a_view_that_drifts():
    def make():
        streams = Streams(0)
        small = SupernetOptions(channels=4, cells=1, batch=8, valid_batch=8, eval_batch=12)
        return Drifting(NB201(), _task(_noise), small, streams, epochs=3), streams

    with pytest.raises(AssertionError, match="two looks by batch differ"):
        objective_suite.check_views(make)
