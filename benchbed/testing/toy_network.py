"""An objective with weights, small enough to train in milliseconds: each candidate is a linear map."""

from typing import Literal

import torch
from torch import Tensor

from ..objective import Batch, Layers, Measure, OperationGradients, Tree, Weights
from ..objectives.cursor import Cursor
from ..objectives.split import choices_at, refuse_other
from ..space import Space
from ..streams import Streams, seeded
from .toys import ToyTable

FEATURES, IMAGES = 3, 24
SHARES = torch.tensor([[0.8, 0.5, 0.1], [0.2, 0.5, 0.9]])  # of two cells in each feature


class ToyNetwork(ToyTable):
    """loss = table(gates) + share / 2 * mean (x . sum_ik g_ik w_ik - y)^2, w_ik (3,) the weights of a candidate.

    The targets are linear in x, so every candidate can learn them and the table decides which architecture is good.
    Weights train by SGD with momentum and decay. Images are (n, 1, 1, 3), labels zero: the targets follow from x.
    Split, it has such weights for every choice at the positions, and says the sum of what all say, by gates.
    """

    provides = frozenset({"weights", "operations", "layers", "splits", "fidelity"})
    lr, momentum, decay = 0.1, 0.9, 1e-2

    def __init__(self, space: Space, losses: Tensor, streams: Streams, share: float = 0.1):
        super().__init__(space, losses)
        self.share, self.streams = share, streams
        with seeded(streams.generator("initialisation")):
            self.images = torch.randn(2, IMAGES, 1, 1, FEATURES)
            self.teacher = torch.randn(FEATURES)
            self.candidates = {
                f"{p.name}.{name}": torch.randn(FEATURES).requires_grad_()
                for p in space.positions
                for name in p.operations
            }
        self.frozen = torch.from_numpy(space.mask & False)
        self.extra: Weights = {}
        self.names = [[f"{p.name}.{name}" for name in p.operations] for p in space.positions]
        self.split_at, self.choices = tuple[int, ...](), {"": torch.zeros(space.mask.shape)}  # by ending of the names
        self.cursors = {split: Cursor(IMAGES, 8, streams.generator(f"data-{split}")) for split in ("train", "valid")}
        self.steps_per_epoch = self.cursors["train"].batches
        self.new_optimiser(1.0, 1, "constant")

    def new_optimiser(self, lr_factor: float, epochs: int, schedule: Literal["constant", "cosine"]) -> None:
        self.lr_factor = lr_factor
        self.optimiser = torch.optim.SGD(
            self.candidates.values(), lr=self.lr * lr_factor, momentum=self.momentum, weight_decay=self.decay
        )

    def batch(self, split: Literal["train", "valid"]) -> Batch:
        images = self.images[int(split == "valid")][self.cursors[split].next()]
        return Batch(images, torch.zeros(len(images), dtype=torch.int64))

    def loss(self, gates: Tensor, batch: Batch | None, weights: dict[str, Tensor] | None = None) -> Tensor:
        images = self.images[1] if batch is None else batch.images
        return self.value(gates).float() + self.share / 2 * self._error(gates, images.flatten(1), weights)

    def _error(self, gates: Tensor, x: Tensor, weights: dict[str, Tensor] | None) -> Tensor:
        weights = {**self.weights(), **(weights or {})}
        flowing = [gate * weights[name] for _, name, gate in self._gated(gates)]
        mixed = sum(flowing, torch.zeros(FEATURES))
        return (x @ (mixed - self.teacher)).square().mean()

    def _gated(self, gates: Tensor) -> list[tuple[tuple[int, int], str, Tensor]]:
        """(pair, name of its weight, by what that is multiplied) of whatever flows, or may."""
        found, at = list[tuple[tuple[int, int], str, Tensor]](), list(self.split_at)
        for end, choice in self.choices.items():
            choice = choice.to(gates)
            share, rows = (gates[at] * choice[at]).sum(1).prod(), gates.clone()
            rows[at] = choice[at]
            for i, row in enumerate(self.names):
                found += [((i, k), name + end, share * rows[i, k]) for k, name in enumerate(row)]
        return [one for one in found if gates.requires_grad or float(one[2]) != 0.0]

    def measure(self, gates: Tensor, batch: Batch | None = None) -> Measure:
        return super().measure(gates, batch)._replace(images=IMAGES if batch is None else len(batch.labels))

    def weight_step(self, gates: Tensor, batch: Batch | None) -> Tensor:
        self.optimiser.zero_grad(set_to_none=True)
        losses = torch.stack([self.loss(path, batch) for path in gates.detach().reshape(-1, *gates.shape[-2:])])
        losses.sum().backward()
        for name in self._still():
            self.candidates[name].grad = None
        for name, w in self.candidates.items():
            if w.grad is not None and name in self.extra:
                w.grad += self.extra[name]
        self.extra = {}
        self.optimiser.step()
        return losses.detach().mean()

    def layered(self, gates: Tensor) -> Layers:
        """Of two cells, which are as one where their gates are the same: each takes its share of every feature."""
        return torch.stack([gates, gates])

    def _layer_loss(self, leaf: Layers, batch: Batch | None) -> Tensor:
        x = self.images[1] if batch is None else batch.images
        mixed = sum(
            (share * leaf[cell, i, k] * self.candidates[name]
             for cell, share in enumerate(SHARES) for i, row in enumerate(self.names) for k, name in enumerate(row)),
            torch.zeros(FEATURES),
        )  # fmt: skip
        error = (x.flatten(1) @ (mixed - self.teacher)).square().mean()
        return self.value(leaf.mean(0)).float() + self.share / 2 * error

    def layer_gradients(self, gates: Layers, batch: Batch | None) -> tuple[Layers, Weights]:
        leaf = gates.detach().requires_grad_()
        by_gates, *by_weights = torch.autograd.grad(self._layer_loss(leaf, batch), [leaf, *self.candidates.values()])
        return by_gates, dict(zip(self.candidates, by_weights, strict=True))

    def layer_product(self, gates: Layers, batch: Batch | None, along: Layers) -> Weights:
        leaf = gates.detach().requires_grad_()
        (by_gates,) = torch.autograd.grad(self._layer_loss(leaf, batch), [leaf], create_graph=True)
        found = torch.autograd.grad((by_gates * along).sum(), list(self.candidates.values()))
        return dict(zip(self.candidates, found, strict=True))

    def add_gradient(self, extra: Weights) -> None:
        self.extra = extra

    def operation_gradients(self, gates: Tensor, batch: Batch | None) -> OperationGradients:
        flowing = self._gated(gates.detach())
        own = [self.candidates[name] for _, name, _ in flowing]
        gradients = torch.autograd.grad(self.loss(gates.detach(), batch), own)
        found: OperationGradients = {}
        for (pair, _, _), gradient in zip(flowing, gradients, strict=True):
            found.setdefault(pair, []).append(gradient)
        return found

    def freeze(self, operations: Tensor) -> None:
        self.frozen = self.frozen | operations

    def _still(self) -> set[str]:
        return {self.names[i][k] + end for i, k in self.frozen.nonzero().tolist() for end in self.choices}

    def split(self, positions: tuple[int, ...]) -> Tensor:
        refuse_other(self.split_at, positions, self.space)
        if positions != self.split_at:
            self._split(positions)
            self.new_optimiser(self.lr_factor, 1, "constant")
        return choices_at(self.space, positions)

    def _split(self, positions: tuple[int, ...]) -> None:
        self.split_at, self.provides = positions, self.provides - {"layers"}
        self.choices = {f"@{n}": choice for n, choice in enumerate(choices_at(self.space, positions))}
        copies = {n + end: w.detach().clone() for end in self.choices for n, w in self.candidates.items()}
        self.candidates = {name: w.requires_grad_() for name, w in copies.items()}

    def weights(self) -> dict[str, Tensor]:
        return dict(self.candidates)

    def lookahead(self, gates: Tensor, batch: Batch | None) -> tuple[dict[str, Tensor], float]:
        weights, rate = self.weights(), float(self.optimiser.param_groups[0]["lr"])
        loss = self.loss(gates.detach(), batch)
        gradients = torch.autograd.grad(loss, list(weights.values()), allow_unused=True)
        ahead, still = {}, self._still()
        for (name, w), gradient in zip(weights.items(), gradients, strict=True):
            if name in still:
                continue
            step = torch.zeros_like(w)
            if gradient is not None:
                buffer = self.optimiser.state.get(w, {}).get("momentum_buffer", torch.zeros_like(w))
                step = self.momentum * buffer + gradient + self.decay * w.detach()
            ahead[name] = (w.detach() - rate * step).requires_grad_()
        return ahead, rate

    def state(self) -> Tree:
        return {
            "weights": {name: w.detach().clone() for name, w in self.candidates.items()},
            "momentum": {
                name: self.optimiser.state[w]["momentum_buffer"].clone()
                for name, w in self.candidates.items()
                if "momentum_buffer" in self.optimiser.state[w]
            },
            "lr_factor": self.lr_factor,
            "frozen": self.frozen.clone(),
            "split": list(self.split_at),
            "cursors": {name: cursor.state() for name, cursor in self.cursors.items()},
        }

    def load_state(self, tree: Tree) -> None:
        if tree["split"] and not self.split_at:
            self._split(tuple(tree["split"]))
        self.new_optimiser(tree["lr_factor"], 1, "constant")
        self.frozen = tree["frozen"].clone()
        with torch.no_grad():
            for name, w in self.candidates.items():
                w.copy_(tree["weights"][name])
                if name in tree["momentum"]:
                    self.optimiser.state[w]["momentum_buffer"] = tree["momentum"][name].clone()
        for name, cursor in self.cursors.items():
            cursor.load_state(tree["cursors"][name])
