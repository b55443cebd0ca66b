"""The contract of a supernet as checks that a space's author can run.

    from benchbed.testing.supernet_suite import CHECKS, made
    @pytest.mark.parametrize("check", CHECKS)
    def test_contract(check):
        check(made(MySpace(), channels=4, cells=1))

Every check takes a `Subject`, a network in float64 on random images, and raises AssertionError with what is wrong. Make
it small: a check runs it some ten times.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NamedTuple

import torch
from torch import Tensor
from torch.func import functional_call
from torch.nn import functional as F

from ..layers.plan import Plan, Run, plan
from ..objectives.noise import held
from ..objectives.options import import_class
from ..space import Space
from ..supernet import Supernet
from .tree import checks_in, require

CLASSES, IMAGES = 3, (6, 3, 8, 8)
NEAR = 1e-9  # between two ways to one number, in float64 and relative to its scale


class Subject(NamedTuple):
    """A supernet of the space, images and labels, and gates: a mixture, and a member of the space."""

    space: Space
    network: Supernet
    images: Tensor
    labels: Tensor
    mixture: Tensor
    member: Tensor

    @property
    def mask(self) -> Tensor:
        return torch.from_numpy(self.space.mask)

    def logits(self, gates: Tensor, steps: Plan | None = None) -> Tensor:
        """At the same noise whenever it is called."""
        with held(self.network.noise):
            found: Tensor = self.network(self.images, gates, plan(gates) if steps is None else steps)
        return found

    def gradients(self, gates: Tensor, steps: Plan) -> tuple[Tensor, Tensor, dict[str, Tensor | None]]:
        """The loss, its gradient in the gates, and in each weight by name: None where it took no part."""
        point = gates.clone().requires_grad_()
        loss = F.cross_entropy(self.logits(point, steps), self.labels)
        weights = dict(self.network.named_parameters())
        at_gates, *found = torch.autograd.grad(loss, [point, *weights.values()], allow_unused=True)
        whole = torch.zeros_like(gates) if at_gates is None else at_gates
        return loss.detach(), whole, dict(zip(weights, found, strict=True))

    def candidates(self) -> dict[tuple[int, int], list[str]]:
        """The names of every operation's weights."""
        names = {id(w): name for name, w in self.network.named_parameters()}
        pairs = [(int(i), int(k)) for i, k in self.mask.nonzero()]
        return {(i, k): [names[id(w)] for w in self.network.candidate_weights(i, k)] for i, k in pairs}


def made(space: Space, channels: int = 4, cells: int = 1, seed: int = 0) -> Subject:
    """The space's supernet on random images, of the sizes that the space has or takes."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        kind = import_class(space.supernet)
        network = kind(**space.sizes(channels, cells), classes=CLASSES, in_channels=IMAGES[1]).double()
        images, labels = torch.randn(IMAGES).double(), torch.arange(IMAGES[0]) % CLASSES
        mask = torch.from_numpy(space.mask)
        mixture = torch.randn(mask.shape).double().masked_fill(~mask, -torch.inf).softmax(1)
    if network.draws:
        network.noise = torch.Generator().manual_seed(seed)
    choices = [int(torch.from_numpy(row).nonzero()[-1]) for row in space.selectable]  # a position's last operation
    kept = space.keep_strongest(choices, [0.0] * len(choices))
    member = torch.from_numpy(space.gates(space.architecture_of(kept))).double()
    return Subject(space, network, images.contiguous(memory_format=torch.channels_last), labels, mixture, member)


def check_supernet(subject: Subject) -> None:
    """All checks, in order. Raises AssertionError at the first that fails."""
    for check in CHECKS:
        check(subject)


def check_logits(subject: Subject) -> None:
    """(n, classes), finite, the same again; at a mixture, at a member, and where nothing flows at all."""
    state = {name: value.clone() for name, value in subject.network.state_dict().items()}
    dice = torch.get_rng_state()
    for what, gates in (("a mixture", subject.mixture), ("a member", subject.member), ("none", 0 * subject.member)):
        logits = subject.logits(gates)
        require(logits.shape == (IMAGES[0], CLASSES), f"logits at {what} have shape {tuple(logits.shape)}")
        require(bool(logits.isfinite().all()), f"logits at {what} are not finite")
        require(torch.equal(logits, subject.logits(gates)), f"two calls at {what} differ")
    require(torch.equal(dice, torch.get_rng_state()), "torch's global generator was used: draw from `noise`")
    changed = [n for n, value in subject.network.state_dict().items() if not torch.equal(value, state[n])]
    require(not changed, f"forward wrote {', '.join(changed)}")


def check_modes_are_the_same(subject: Subject) -> None:
    """Batch norm takes the batch's statistics in evaluation mode too."""
    trained = subject.logits(subject.mixture)
    subject.network.eval()
    evaluated = subject.logits(subject.mixture)
    subject.network.train()
    require(torch.equal(trained, evaluated), "train() and eval() give other logits")


def check_gates_scale_what_flows(subject: Subject) -> None:
    """The gates' gradient at a mixture is that of central differences, along three directions."""
    gates, steps = subject.mixture, plan(subject.mixture)
    _, gradient, _ = subject.gradients(gates, steps)
    require(bool((gradient != 0).any()), "the loss does not depend on the gates of a mixture")
    generator = torch.Generator().manual_seed(1)
    for _ in range(3):
        way = 1e-6 * torch.randn(gates.shape, generator=generator).double() * subject.mask
        with torch.no_grad():
            up, down = (F.cross_entropy(subject.logits(gates + s * way, steps), subject.labels) for s in (1, -1))
        slope, told = float(up - down) / 2, float((gradient * way).sum())
        scale = float(gradient.norm() * way.norm())
        require(abs(slope - told) <= 1e-3 * scale, f"the loss moves by {slope:.3g} where the gradient says {told:.3g}")


def check_a_unit_is_a_gate_of_one(subject: Subject) -> None:
    """At one-hot gates UNIT and GATED give the same logits and the same gradients of weights."""
    unit, gated = plan(subject.member), plan(subject.member, subject.member > 0)
    require({how for row in gated for _, how in row} <= {Run.GATED}, "the plans are of another kind")
    _require_near(subject.logits(subject.member, unit), subject.logits(subject.member, gated), "UNIT and GATED: logits")
    by_unit, by_gate = (subject.gradients(subject.member, steps)[2] for steps in (unit, gated))
    _require_same_weights(subject, by_unit, by_gate)


def check_probes_change_nothing(subject: Subject) -> None:
    """PROBED and ECHOED: the gates' gradient of GATED, the logits and the weights' gradients of the member alone."""
    gates, mask = subject.member, subject.mask
    _, wanted, _ = subject.gradients(gates, plan(gates, mask, Run.GATED))
    alone = subject.gradients(gates, plan(gates, gates > 0))
    for how in (Run.PROBED, Run.ECHOED):
        loss, found, weights = subject.gradients(gates, plan(gates, mask, how))
        _require_near(loss, alone[0], f"{how.name}: the loss at gates that it must not change")
        _require_near(found[mask], wanted[mask], f"{how.name}: the gates' gradient, beside GATED's")
        _require_same_weights(subject, weights, alone[2])


def check_what_is_off_does_not_run(subject: Subject) -> None:
    """Weights of operations that are in no plan get no gradient, and may be NaN."""
    wanted = subject.logits(subject.member)
    _, _, gradients = subject.gradients(subject.member, plan(subject.member))
    off = [n for (i, k), names in subject.candidates().items() if subject.member[i, k] == 0 for n in names]
    moved = [name for name in off if gradients[name] is not None]
    require(not moved, f"an operation that is off has a gradient: {', '.join(moved[:3])}")
    with _filled(subject, off):
        found = subject.logits(subject.member)
    require(torch.equal(found, wanted), "an operation that is off runs: with NaN for its weights the logits changed")


def check_candidate_weights(subject: Subject) -> None:
    """Each operation's own: no weight belongs to two, and one that runs reaches the logits by its own weights."""
    candidates = subject.candidates()
    names = [name for found in candidates.values() for name in found]
    shared = sorted({name for name in names if names.count(name) > 1})
    require(not shared, f"candidate_weights gives a weight to two operations: {', '.join(shared[:3])}")
    gradients = subject.gradients(subject.mixture, plan(subject.mixture))[2]
    few = subject._replace(images=subject.images[:2])
    for (i, k), found in ((pair, names) for pair, names in candidates.items() if names):
        dead = [name for name in found if gradients[name] is None]
        require(not dead, f"{dead[:1]} belongs to operation {k} of position {i}, which runs, and has no gradient")
        with _filled(subject, found[:1]), torch.no_grad():  # NaN spreads to all that is computed from it
            reached = bool(few.logits(subject.mixture).isnan().any())
        require(reached, f"the logits do not depend on {found[:1]} where everything runs")


def check_weights_are_looked_up(subject: Subject) -> None:
    """`functional_call` with other weights is the network with these weights, echoes in the backward pass included."""
    gates, steps = subject.member, plan(subject.member, subject.mask, Run.ECHOED)
    weights = {name: w.detach() for name, w in subject.network.named_parameters()}
    other = {name: (1.5 * w).requires_grad_() for name, w in weights.items()}
    point = gates.clone().requires_grad_()
    with held(subject.network.noise):
        logits = functional_call(subject.network, other, (subject.images, point, steps))
    loss = F.cross_entropy(logits, subject.labels)
    (found,) = torch.autograd.grad(loss, point)
    with torch.no_grad():
        for name, w in subject.network.named_parameters():
            w.copy_(other[name])
    wanted_loss, wanted, _ = subject.gradients(gates, steps)
    with torch.no_grad():
        for name, w in subject.network.named_parameters():
            w.copy_(other[name] / 1.5)
    _require_near(loss.detach(), wanted_loss, "functional_call: the loss at other weights")
    _require_near(found, wanted, "functional_call: the gates' gradient at other weights")


def check_noise(subject: Subject) -> None:
    """Where it draws: another state of `noise` gives other logits. Where it does not, it has no generator."""
    if not subject.network.draws:
        require(subject.network.noise is None, "it does not draw and has a generator of noise")
        return
    assert subject.network.noise is not None
    first = subject.network(subject.images, subject.mixture, plan(subject.mixture))
    second = subject.network(subject.images, subject.mixture, plan(subject.mixture))
    require(not torch.equal(first, second), "two passes that follow one another have the same noise")


@contextmanager
def _filled(subject: Subject, names: list[str]) -> Iterator[None]:
    """The named weights are NaN within."""
    weights = dict(subject.network.named_parameters())
    before = {name: weights[name].detach().clone() for name in names}
    with torch.no_grad():
        for name in names:
            weights[name].fill_(torch.nan)
    try:
        yield
    finally:
        with torch.no_grad():
            for name, value in before.items():
                weights[name].copy_(value)


def _require_near(found: Tensor, wanted: Tensor, what: str) -> None:
    found, wanted = found.detach(), wanted.detach()
    distance, scale = float((found - wanted).abs().max()), max(float(wanted.abs().max()), 1.0)
    require(distance <= NEAR * scale, f"{what} differ by {distance:.3g}")


def _require_same_weights(subject: Subject, found: dict[str, Tensor | None], wanted: dict[str, Tensor | None]) -> None:
    for name, w in subject.network.named_parameters():
        a, b = (torch.zeros_like(w) if g is None else g for g in (found[name], wanted[name]))
        _require_near(a, b, f"the gradients of {name}")


CHECKS: tuple[Callable[[Subject], None], ...] = checks_in(globals(), "check_supernet")
