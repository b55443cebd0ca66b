"""The contract of an objective: a function of gates, on training and validation data alone.

Gates are float32 tensors on the CPU, (P, O) or with leading dimensions (*K, P, O); the objective copies them to its
device. An entry that is exactly zero is not run in a weight step or a measurement, so a one-hot row costs one
operation. A searcher and a selector cannot tell a supernet from a table.

The objective owns its weights, their optimiser and its data cursors; it draws only from the run's streams.
"""

from abc import ABC, abstractmethod
from typing import Literal, NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from .errors import BenchbedError
from .runtime.folder import Tree as Tree
from .space import Architecture, Space

# What a gate gradient keeps of operations that do not flow: their outputs, or nothing, running them once more. 'ones'
# does not run them and takes ones for their outputs, as GDAS' code does: a cheap stand-in, another gradient.
Keep = Literal["outputs", "nothing", "ones"]
Rows = Float[Tensor, "P O"]  # a number an operation, a row a position
Mask = Bool[Tensor, "P O"]
Paths = Float[Tensor, "*K P O"]  # one set of gates, or several for one step
Layers = Float[Tensor, "L Q O"]  # gates of L cells of Q positions each
Scalar = Float[Tensor, ""]
Weights = dict[str, Tensor]  # by name
OperationGradients = dict[tuple[int, int], list[Tensor]]  # (position, column) -> the gradient of each of its weights


class Batch(NamedTuple):
    """On the objective's device."""

    images: Float[Tensor, "n c h w"]
    labels: Int[Tensor, " n"]


class Measure(NamedTuple):
    """loss and accuracy (percent), one of each per set of gates; images: how many were measured."""

    loss: Float[Tensor, "*K"]
    accuracy: Float[Tensor, "*K"]
    images: int


class View(NamedTuple):
    """How validation is looked at when it is measured.

    norm: whose statistics batch norm takes. 'batch': those of the part at hand. 'eval': those of `gates` on training
    images, whatever is measured; running averages would hold such. 'recalibrated': those of the measured gates
    themselves on training images.
    augmentation: the seed of validation's augmentation, a function of it and of a part's number; None: unaugmented.
    images: measure so many of validation's images, evenly spread and always the same; None: all of them.
    """

    norm: Literal["batch", "eval", "recalibrated"] = "batch"
    gates: Float[Tensor, "*K P O"] | None = None
    augmentation: int | None = None
    images: int | None = None


class Outcomes(NamedTuple):
    """Of every image of a part of validation, for each set of gates: its loss, and 1 where it is classified right."""

    loss: Float[Tensor, "*K n"]
    correct: Float[Tensor, "*K n"]


class Evaluation(NamedTuple):
    """An architecture trained on its own: validation accuracy in percent, and the simulated seconds that it took."""

    accuracy: float
    seconds: float


class Objective(ABC):
    """A function of gates that a searcher descends and a selector measures."""

    space: Space
    # of 'weights', 'operations', 'layers', 'splits', 'network', 'images', 'fidelity': what plug-ins may need
    provides: frozenset[str] = frozenset()
    parts: int = 0  # that `measure` takes validation in, of nearly equal size; 0 without images
    validation_images: int = 0  # in all parts
    steps_per_epoch: int
    network: nn.Module | None = None
    bf16: bool = False  # whether weight steps, gate gradients and measurements round to bfloat16; `loss` never does

    @abstractmethod
    def batch(self, split: Literal["train", "valid"]) -> Batch | None:
        """The next batch of a shuffled pass over the split. None where the objective has no data (a table)."""

    @abstractmethod
    def loss(self, gates: Rows, batch: Batch | None, weights: Weights | None = None) -> Scalar:
        """The loss by plain autograd: differentiable twice, in gates and in `weights`; always float32.

        `weights` replaces the objective's own by name; None means the current ones.
        """

    @abstractmethod
    def gate_gradient(
        self, gates: Rows, batch: Batch | None, need: Mask | None = None, keep: Keep = "outputs"
    ) -> tuple[Scalar, Rows]:
        """The loss at `gates`, and dL/dgates on the entries of the mask `need` (None: all of the space's), else 0.

        Entries with gate zero are evaluated too where `need` holds: their gradient is <dL/dm, o(x)> at the output m
        that `gates` gives (ProxylessNAS, section 3.2). `keep` is what is held of them until the backward pass: their
        outputs, or nothing, which costs another run of each and the memory of the flowing path alone; the gradient is
        the same. 'ones' needs 'network': the gradient of a gate of zero is then sum(dL/dm), whatever its operation.
        Weights, buffers and random state are untouched.
        """

    @abstractmethod
    def measure(self, gates: Float[Tensor, "*K P O"], batch: Batch | None = None) -> Measure:
        """Loss and accuracy of each set of gates, on one batch or, with None, on all of the validation split."""

    def outcomes(self, gates: Float[Tensor, "*K P O"], part: int) -> Outcomes:
        """Each image of part number `part` of validation: over all parts they average to what `measure` gives.

        Only where `provides` names 'images'; the parts and their order are always the same.
        """
        raise NotImplementedError(f"{type(self).__name__} has no images")

    def seen(self, view: View) -> "Objective":
        """This objective, measuring all of validation, or a part of it, by the view; it shares all else.

        Only where `provides` names 'images'. A batch that is given to `measure` is not augmented.
        """
        raise NotImplementedError(f"{type(self).__name__} has no images")

    def evaluate(self, architecture: Architecture, fidelity: int) -> Evaluation:
        """What training this architecture alone for `fidelity` epochs gives, and takes; the same at every call.

        Only where 'fidelity' is provided: a table that knows seconds. Raises BenchbedError where the table lacks
        either at this fidelity, and here, where nothing is known of single architectures.
        """
        raise BenchbedError(f"{type(self).__name__} evaluates no single architectures: it provides no fidelity")

    @abstractmethod
    def weight_step(self, gates: Paths, batch: Batch | None) -> Scalar:
        """One step of the weights' optimiser at fixed gates; the loss before it. Never called on a table.

        Of several sets of gates, all on this batch: one step by the sum of their gradients, and their mean loss.
        """

    @abstractmethod
    def weights(self) -> Weights:
        """The current weights by name; empty for a table."""

    @abstractmethod
    def lookahead(self, gates: Rows, batch: Batch | None) -> tuple[Weights, float]:
        """(w', xi): the weights one SGD step ahead, and that step's learning rate. Changes nothing.

        w' = w - xi (mu * buffer + dL/dw + lambda w), momentum and decay included (DARTS, section 2.3). Neither
        gradient clipping nor Nesterov's correction enters, as in the published code. Weights that are frozen are left
        out: they stay, and `loss` takes its own for a name that it is not given.
        """

    def operation_gradients(self, gates: Rows, batch: Batch | None) -> OperationGradients:
        """dL/dw at `gates` of the weights that belong to one operation alone, by operation, on the weights' device.

        Operations without weights, or whose gate is 0, are left out. Weights, their optimiser and random state are
        untouched. Only where `provides` names 'operations'.
        """
        raise NotImplementedError(f"{type(self).__name__} does not tell the weights of operations apart")

    def freeze(self, operations: Mask) -> None:
        """From now on no weight step moves the weights of these operations, in tuning too: no decay, no momentum.

        What is frozen stays so, and is in `state`. They flow as before, and gates have their gradients; the clipped
        norm and the look-ahead leave them out. Only where `provides` names 'operations'.
        """
        raise NotImplementedError(f"{type(self).__name__} does not tell the weights of operations apart")

    def split(self, positions: tuple[int, ...]) -> Float[Tensor, "K P O"]:
        """From now on each choice of operations at these positions has weights of its own: a sub-supernet.

        Each begins as a copy of all weights of now, so that nothing measures otherwise, and without momentum; the
        schedule of the rate goes on. What flows at the positions says whose weights run: one-hot rows there run one
        sub-supernet alone, others the sum of several sub-supernets' outputs by these rows. In a weight step each is
        clipped by itself. It is in `state`; to ask again for the same positions changes nothing, for others is refused.

        Returns the choices that are open: one-hot rows at the positions, zeros elsewhere; decisions close others. Only
        where `provides` names 'splits'.
        """
        raise NotImplementedError(f"{type(self).__name__} has no weights of which there could be several")

    def layered(self, gates: Rows) -> Layers:
        """The gates as each of the L cells that are built by them has them. Only where `provides` names 'layers'."""
        raise NotImplementedError(f"{type(self).__name__} has no cells that take gates of their own")

    def layer_gradients(self, gates: Layers, batch: Batch | None) -> tuple[Layers, Weights]:
        """dL/dgates of each cell at gates of its own, and dL/dw by name of the weights that took part, in float32.

        Changes nothing. Only where `provides` names 'layers'.
        """
        raise NotImplementedError(f"{type(self).__name__} has no cells that take gates of their own")

    def layer_product(self, gates: Layers, batch: Batch | None, along: Layers) -> Weights:
        """d<along, dL/dgates>/dw by name, by differentiating twice, of the weights that took part; else as above."""
        raise NotImplementedError(f"{type(self).__name__} has no cells that take gates of their own")

    def add_gradient(self, extra: Weights) -> None:
        """The next weight step adds these to the gradients of its loss, before they are clipped, and forgets them.

        Only of weights that take part in it. Only where `provides` names 'layers'.
        """
        raise NotImplementedError(f"{type(self).__name__} takes no gradient beside its loss'")

    @abstractmethod
    def new_optimiser(self, lr_factor: float, epochs: int, schedule: Literal["constant", "cosine"]) -> None:
        """Begins a tuning phase: a fresh optimiser at `lr_factor` times the search's first learning rate."""

    @abstractmethod
    def state(self) -> Tree:
        """Everything that continues this objective bit for bit, data cursors included."""

    @abstractmethod
    def load_state(self, tree: Tree) -> None: ...

    def decided(self, decisions: "Decisions") -> "Objective":
        """This objective with some rows fixed: shares weights and data, overlays every gates argument."""
        return DecidedObjective(self, decisions)


class Weightless(Objective):
    """An objective without weights: nothing is trained, drawn or saved."""

    def batch(self, split: Literal["train", "valid"]) -> Batch | None:
        return None

    def weights(self) -> Weights:
        return {}

    def lookahead(self, gates: Rows, batch: Batch | None) -> tuple[Weights, float]:
        return {}, 0.0

    def new_optimiser(self, lr_factor: float, epochs: int, schedule: Literal["constant", "cosine"]) -> None:
        """No weights, no optimiser."""

    def state(self) -> Tree:
        return {}

    def load_state(self, tree: Tree) -> None:
        """No state."""


class Decisions(NamedTuple):
    """Rows that a selector has fixed: one-hot or zero where `fixed` holds, ignored elsewhere."""

    rows: Rows
    fixed: Bool[Tensor, " P"]

    @classmethod
    def none(cls, space: Space) -> "Decisions":
        positions, operations = space.mask.shape
        return cls(torch.zeros(positions, operations), torch.zeros(positions, dtype=torch.bool))

    def decide(self, position: int, operation: int) -> "Decisions":
        """These decisions and one more."""
        rows, fixed = self.rows.clone(), self.fixed.clone()
        rows[position] = 0.0
        rows[position, operation] = 1.0
        fixed[position] = True
        return Decisions(rows, fixed)

    def drop(self, position: int) -> "Decisions":
        """These decisions with a position dropped, decided before or not: nothing flows there."""
        rows, fixed = self.rows.clone(), self.fixed.clone()
        rows[position] = 0.0
        fixed[position] = True
        return Decisions(rows, fixed)

    def apply(self, gates: Float[Tensor, "*K P O"]) -> Float[Tensor, "*K P O"]:
        return torch.where(self.fixed[:, None], self.rows, gates)


class DecidedObjective(Objective):
    """An objective under decisions. A searcher that trains on it needs to know nothing of them."""

    def __init__(self, base: Objective, decisions: Decisions):
        self.base, self.decisions = base, decisions
        self.space, self.steps_per_epoch, self.network = base.space, base.steps_per_epoch, base.network
        self.provides, self.bf16 = base.provides, base.bf16
        self.parts, self.validation_images = base.parts, base.validation_images

    def batch(self, split: Literal["train", "valid"]) -> Batch | None:
        return self.base.batch(split)

    def loss(self, gates: Rows, batch: Batch | None, weights: Weights | None = None) -> Scalar:
        return self.base.loss(self.decisions.apply(gates), batch, weights)

    def gate_gradient(
        self, gates: Rows, batch: Batch | None, need: Mask | None = None, keep: Keep = "outputs"
    ) -> tuple[Scalar, Rows]:
        """Decided rows have gradient exactly zero: nothing that a searcher does there can change the loss."""
        need = torch.from_numpy(self.space.mask) if need is None else need
        return self.base.gate_gradient(self.decisions.apply(gates), batch, need & ~self.decisions.fixed[:, None], keep)

    def measure(self, gates: Float[Tensor, "*K P O"], batch: Batch | None = None) -> Measure:
        return self.base.measure(self.decisions.apply(gates), batch)

    def outcomes(self, gates: Float[Tensor, "*K P O"], part: int) -> Outcomes:
        return self.base.outcomes(self.decisions.apply(gates), part)

    def seen(self, view: View) -> Objective:
        if view.gates is not None:
            view = view._replace(gates=self.decisions.apply(view.gates))
        return DecidedObjective(self.base.seen(view), self.decisions)

    def evaluate(self, architecture: Architecture, fidelity: int) -> Evaluation:
        gates = self.decisions.apply(torch.from_numpy(self.space.gates(architecture)))
        return self.base.evaluate(self.space.architecture(gates.numpy()), fidelity)

    def weight_step(self, gates: Paths, batch: Batch | None) -> Scalar:
        return self.base.weight_step(self.decisions.apply(gates), batch)

    def weights(self) -> Weights:
        return self.base.weights()

    def lookahead(self, gates: Rows, batch: Batch | None) -> tuple[Weights, float]:
        return self.base.lookahead(self.decisions.apply(gates), batch)

    def operation_gradients(self, gates: Rows, batch: Batch | None) -> OperationGradients:
        return self.base.operation_gradients(self.decisions.apply(gates), batch)

    def freeze(self, operations: Mask) -> None:
        self.base.freeze(operations)

    def split(self, positions: tuple[int, ...]) -> Float[Tensor, "K P O"]:
        found, fixed = self.base.split(positions), self.decisions.fixed[list(positions)]
        self.network, self.provides = self.base.network, self.base.provides  # others, from now on
        agree = (found == self.decisions.rows)[:, list(positions)].all(2)
        return found[(agree | ~fixed).all(1)]

    def layered(self, gates: Rows) -> Layers:
        return self.base.layered(self.decisions.apply(gates))

    def layer_gradients(self, gates: Layers, batch: Batch | None) -> tuple[Layers, Weights]:
        """Decided rows, which `layered` has put into the gates, have gradient zero in every cell."""
        by_gates, by_weights = self.base.layer_gradients(gates, batch)
        free = self.base.layered((~self.decisions.fixed).float()[:, None].repeat(1, gates.shape[-1]))
        return by_gates * free, by_weights

    def layer_product(self, gates: Layers, batch: Batch | None, along: Layers) -> Weights:
        return self.base.layer_product(gates, batch, along)

    def add_gradient(self, extra: Weights) -> None:
        self.base.add_gradient(extra)

    def new_optimiser(self, lr_factor: float, epochs: int, schedule: Literal["constant", "cosine"]) -> None:
        self.base.new_optimiser(lr_factor, epochs, schedule)

    def state(self) -> Tree:
        return self.base.state()

    def load_state(self, tree: Tree) -> None:
        self.base.load_state(tree)
