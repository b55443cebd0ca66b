"""Every registered space's supernet against the contract, and the suite against supernets that break it."""

from collections.abc import Callable
from functools import cache
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from benchbed import registry
from benchbed.layers.mixed import mixed
from benchbed.layers.plan import Plan, Run
from benchbed.objectives.options import import_class
from benchbed.supernet import Supernet
from benchbed.testing import supernet_suite
from benchbed.testing.supernet_suite import CHECKS, check_supernet, made
from benchbed.testing.toys import ToySpace

SPACES = [plugin.name for plugin in registry.plugins("space")]


@pytest.fixture(scope="module")
def subject(small_space: Callable[[str], Any]) -> Callable[[str], supernet_suite.Subject]:
    """`subject(name)`: the small supernet of a registered space."""

    @cache
    def make(name: str) -> supernet_suite.Subject:
        space = small_space(name)
        return made(space, channels=4, cells=3 if space.nodes else 1)

    return make


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
@pytest.mark.parametrize("name", SPACES)
def test_contract(name: str, check: Any, subject: Any) -> None:
    check(subject(name))


@pytest.mark.parametrize("name", SPACES)
def test_every_supernet_has_the_base(name: str) -> None:
    assert issubclass(import_class(registry.load("space", name).supernet), Supernet)


# -- the suite finds what is broken ----------------------------------------------------------------------------------


class Chain(Supernet):
    """The toy space as three mixed 1x1 convolutions, one behind the other."""

    def __init__(self, classes: int, in_channels: int):
        super().__init__()
        rows = [len(position.operations) for position in ToySpace.positions]
        self.rows = nn.ModuleList(
            nn.ModuleList(nn.Conv2d(in_channels, in_channels, 1) for _ in range(row)) for row in rows
        )
        self.classifier = nn.Linear(in_channels, classes)

    def how(self, run: Run) -> Run:
        return run

    def forward(self, images: Tensor, gates: Tensor, plan: Plan) -> Tensor:
        x = images
        for row, operations, steps in zip(gates, self.rows, plan, strict=True):
            x = x + mixed(x, [(self.how(how), row[k], operations[k]) for k, how in steps], lambda x=x: 0 * x)
        return self.classifier(x.tanh().mean((2, 3)))

    def candidate_weights(self, position: int, column: int) -> Any:
        yield from self.rows[position][column].parameters()


class Greedy(Chain):
    """Runs everything, whatever the plan says."""

    def forward(self, images: Tensor, gates: Tensor, plan: Plan) -> Tensor:
        everything = tuple(tuple((k, Run.GATED) for k in range(len(operations))) for operations in self.rows)
        return super().forward(images, gates, everything)


class Ungated(Chain):
    def how(self, run: Run) -> Run:
        return Run.UNIT if run is Run.GATED else run


class Leaking(Chain):
    """What is probed changes what flows."""

    def forward(self, images: Tensor, gates: Tensor, plan: Plan) -> Tensor:
        probed = sum(how in (Run.PROBED, Run.ECHOED) for row in plan for _, how in row)
        return super().forward(images, gates, plan) * (1.0 + probed)


class Dicing(Chain):
    def forward(self, images: Tensor, gates: Tensor, plan: Plan) -> Tensor:
        return super().forward(images, gates, plan) + 0 * torch.rand(())


class Counting(Chain):
    def __init__(self, classes: int, in_channels: int):
        super().__init__(classes, in_channels)
        self.register_buffer("calls", torch.zeros(()))

    def forward(self, images: Tensor, gates: Tensor, plan: Plan) -> Tensor:
        self.calls += 1
        return super().forward(images, gates, plan)


class Running(Chain):
    def forward(self, images: Tensor, gates: Tensor, plan: Plan) -> Tensor:
        return super().forward(images, gates, plan) * (1.0 + self.training)


class Greedily(Chain):
    def candidate_weights(self, position: int, column: int) -> Any:
        yield from self.rows[position].parameters()


class Held(Chain):
    """Keeps its weights in a list of its own."""

    def __init__(self, classes: int, in_channels: int):
        super().__init__(classes, in_channels)
        self.kept = [self.classifier.weight]

    def forward(self, images: Tensor, gates: Tensor, plan: Plan) -> Tensor:
        return super().forward(images, gates, plan) * self.kept[0].sum()


BROKEN = [
    (Greedy, "check_what_is_off_does_not_run", "an operation that is off"),
    (Ungated, "check_gates_scale_what_flows", "does not depend on the gates"),
    (Leaking, "check_probes_change_nothing", "the loss at gates that it must not change"),
    (Dicing, "check_logits", "global generator"),
    (Counting, "check_logits", "forward wrote calls"),
    (Running, "check_modes_are_the_same", "other logits"),
    (Greedily, "check_candidate_weights", "to two operations"),
    (Held, "check_weights_are_looked_up", "at other weights"),
]


def space_of(kind: type[Supernet]) -> ToySpace:
    space = ToySpace()
    space.supernet = f"{__name__}:{kind.__name__}"
    space.sized_by = ()
    return space


def test_a_supernet_that_keeps_the_contract_passes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supernet_suite, "import_class", lambda path: Chain)
    check_supernet(made(space_of(Chain)))


@pytest.mark.parametrize(("kind", "check", "text"), BROKEN, ids=lambda x: getattr(x, "__name__", ""))
def test_the_suite_names_what_is_broken(
    kind: type[Supernet], check: str, text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supernet_suite, "import_class", lambda path: kind)
    with pytest.raises(AssertionError, match=text):
        getattr(supernet_suite, check)(made(space_of(kind)))
