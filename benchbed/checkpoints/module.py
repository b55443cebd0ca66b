"""Selectors on a module of the user's own: any `forward(images, gates)` that gives logits.

The module is the over-parameterised network, gates (P, O) say how much of each of its operations flows. Here it becomes
an objective like any other, and a selector chooses from it; docs/foreign.md has an example.
"""

from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.func import functional_call

from .. import registry
from ..cost import without_cost
from ..errors import BenchbedError, unknown
from ..layers.plan import Plan
from ..objective import Decisions, Objective
from ..objectives.options import SupernetOptions
from ..objectives.supernet import SupernetObjective
from ..searcher import Searcher
from ..selector import Context, Selection, Selector
from ..space import Architecture, Position, Space
from ..streams import Streams, seeded
from ..task import Task
from ..training.search_loop import train_epoch
from .alpha import give


class Choices(Space):
    """A space that is nothing but its positions, each with its operations: `Choices({"stem": ["conv3", "conv5"]})`.

    An architecture is written `stem=conv3,body=skip`, in the order of the positions. All operations may be selected.
    """

    supernet = network = "benchbed.checkpoints.module:Gated"
    sized_by = ()

    def __init__(self, positions: Mapping[str, Sequence[str]]):
        if not isinstance(positions, Mapping):
            raise BenchbedError(f"positions {positions!r:.60}: expected a dict of a position's name to its operations")
        for name, operations in positions.items():
            if isinstance(operations, str):
                raise BenchbedError(f"position '{name}' has operations {operations!r}: expected a list of names")
            if odd := [w for w in (name, *operations) if not isinstance(w, str) or not w or set(w) & set(",=")]:
                raise BenchbedError(f"name {odd[0]!r} at position '{name}': expected text without ',' and '='")
            if not operations or len(set(operations)) < len(operations):
                raise BenchbedError(f"position '{name}' has operations {list(operations)}: different names are needed")
        if not positions:
            raise BenchbedError("a space without positions: at least one is needed")
        self.positions = tuple(Position(name, tuple(ops), (True,) * len(ops)) for name, ops in positions.items())

    def parse(self, text: str) -> Architecture:
        words = [word.partition("=") for word in text.split(",")]
        wanted = [p.name for p in self.positions]
        if [name for name, _, _ in words] != wanted:
            raise BenchbedError(f"architecture {text!r}: expected {','.join(f'{name}=OPERATION' for name in wanted)}")
        for (_, _, operation), position in zip(words, self.positions, strict=True):
            if operation not in position.operations:
                raise unknown(f"operation at position '{position.name}'", repr(operation)[1:-1], position.operations)
        found = zip(words, self.positions, strict=True)
        return self.architecture_of(tuple(p.operations.index(word[2]) for word, p in found))

    def architecture_of(self, choices: tuple[int, ...]) -> Architecture:
        fits = len(choices) == len(self.positions) and all(
            0 <= k < len(p.operations) for k, p in zip(choices, self.positions, strict=True)
        )
        if not fits:
            raise BenchbedError(f"choices {choices} name no architecture: one operation's number for each position")
        words = (f"{p.name}={p.operations[k]}" for k, p in zip(choices, self.positions, strict=True))
        return Architecture(",".join(words), choices)

    def canonical(self, arch: Architecture) -> Hashable:
        return arch.choices


class Gated(nn.Module):
    """The user's module as a supernet: it runs what it will, so the plan is not needed; its buffers never move."""

    def __init__(self, module: nn.Module):
        super().__init__()
        self.module = module

    def forward(self, images: Tensor, gates: Tensor, plan: Plan) -> Tensor:
        logits = _run(self.module, images, gates)
        assert isinstance(logits, Tensor)
        return logits


def _run(module: nn.Module, images: Tensor, gates: Tensor) -> object:
    buffers = {name: value.clone() for name, value in module.named_buffers()}
    return functional_call(module, buffers, (images, gates))


class ModuleObjective(SupernetObjective):
    """Loss and accuracy of gates by `module(images, gates)`, which is trained in place by weight steps.

    module: images (n, c, h, w) and gates (P, O) to logits (n, classes), differentiable in both gates and weights. It
    runs in training mode, batch norm by the batch's own statistics. Whether an operation with gate zero is run is its
    own affair; it has to have no effect.
    """

    def __init__(
        self,
        module: nn.Module,
        space: Space,
        task: Task,
        options: SupernetOptions,
        streams: Streams,
        device: torch.device | str = "cpu",
    ):
        self._module = module
        super().__init__(space, task, options, streams, 1, device)

    def _supernet(self, task: Task) -> nn.Module:
        if self.options.partial > 1:
            raise BenchbedError(
                f"supernet.partial = {self.options.partial}: a module of your own has its channels; give 1"
            )
        return Gated(self._module.train())


def select_on(
    module: nn.Module,
    space: Space,
    task: Task,
    alpha: Float[Tensor, "P O"],
    selector: str = "perturb",
    searcher: str = "darts",
    seed: int = 0,
    supernet: Mapping[str, Any] | None = None,
    device: torch.device | str = "cpu",
    **options: object,
) -> Selection:
    """What `selector`, with these `options`, chooses on the trained `module` at alpha; the module is tuned in place.

    alpha: logits, whose softmax by rows are the probabilities. `searcher`: a plug-in with alpha, which moves it while a
    selector tunes. `supernet`: batch sizes and the weights' optimiser while tuning (`SupernetOptions`). Raises
    BenchbedError for an unknown name, alpha of another shape or not finite, a module that does not give logits
    (n, classes) which depend on its gates and weights, and an option out of range.
    """
    from ..typed import typed

    kind, chooser = registry.load("searcher", searcher), registry.load("selector", selector)
    alpha = _checked_alpha(alpha, space)
    _check_module(module, space, task, torch.device(device))
    streams = Streams(seed)
    objective = ModuleObjective(
        module, space, task, typed(SupernetOptions, supernet or {}, "supernet"), streams, device
    )
    strategy = kind(space, kind.Options(), streams)
    give(strategy, alpha)
    chosen = typed(chooser.Options, options, f"selector '{selector}'")
    chooser.check(chosen, space, objective)
    choosing: Selector = chooser(chosen)
    context = Context(space, strategy, objective, streams, tuning(objective, strategy), lambda values: None)
    while (selection := choosing.step(context)) is None:
        pass
    return selection


def _checked_alpha(alpha: object, space: Space) -> Tensor:
    found = torch.as_tensor(alpha)
    if tuple(found.shape) != space.mask.shape:
        raise BenchbedError(
            f"alpha of shape {tuple(found.shape)}: the space has {space.mask.shape}, positions by operations"
        )
    if not found.is_floating_point() or not bool(found[torch.from_numpy(space.mask)].isfinite().all()):
        raise BenchbedError(f"alpha {found.dtype}, {found.tolist()!r:.80}: expected finite real logits")
    return found.detach().float()


def _check_module(module: object, space: Space, task: Task, device: torch.device) -> None:
    """Two drawn images through the module: what it gives, and whether that depends on gates and weights.

    What its own code raises there is passed on as it is.
    """
    if not isinstance(module, nn.Module):
        raise BenchbedError(f"module {module!r:.60}: expected an instance of torch.nn.Module")
    weights = [w for w in module.parameters() if w.requires_grad]
    if not weights or any(w.dtype != torch.float32 for w in weights):
        kinds = ", ".join(sorted({str(w.dtype) for w in weights})) or "none"
        raise BenchbedError(f"module {type(module).__name__}: parameters that learn: {kinds}; expected some of float32")
    images = torch.randn(2, *task.shape, generator=torch.Generator().manual_seed(0)).to(device)
    gates = torch.from_numpy(space.mask / space.mask.sum(1, keepdims=True)).float().to(device).requires_grad_()
    with seeded(torch.Generator()):  # what it draws, such as dropout, is nobody else's
        logits = _run(module.to(device).train(), images, gates)
    wanted = (len(images), task.classes)
    if not isinstance(logits, Tensor) or tuple(logits.shape) != wanted:
        shape = tuple(logits.shape) if isinstance(logits, Tensor) else type(logits).__name__
        raise BenchbedError(f"module(images, gates) gives {shape} for {wanted[0]} images: expected logits {wanted}")
    moved: tuple[Tensor | None, ...] = (None,)
    if logits.requires_grad:
        moved = torch.autograd.grad(logits.square().sum(), [gates, *weights], allow_unused=True)
    if moved[0] is None or all(g is None for g in moved[1:]):
        lacking = "gates" if moved[0] is None else "weights"
        raise BenchbedError(f"module(images, gates): its logits do not depend on its {lacking}, by autograd")


def tuning(objective: Objective, searcher: Searcher) -> Callable[..., None]:
    """A selector's `Context.tune` on the objective, without a cost or a budget; the searcher's clock at its end."""

    def tune(decisions: Decisions, epoch: int, epochs: int, lr_factor: float, train_alpha: bool) -> None:
        under = objective.decided(decisions)
        if epoch == 0:
            under.new_optimiser(lr_factor, epochs, "constant")
        train_epoch(without_cost(under), searcher, 0, 1, train_alpha, tuning=True)

    return tune
