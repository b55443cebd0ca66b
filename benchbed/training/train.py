"""The one way a discrete network is trained: SGD on a cosine, the data in shuffled batches, resumable by the epoch."""

import math
import time
from collections.abc import Callable
from typing import Any, Literal

import torch
import torch.nn.functional as F
from pydantic import BaseModel, ConfigDict, Field, model_validator
from torch import Tensor, nn

from ..errors import BenchbedError
from ..task import Split


class Recipe(BaseModel):
    """The hyper-parameters of one training.

    `schedule` 'cosine' falls from `lr` to `lr_min` over all steps and is stepped once a batch; `clip` is the largest
    gradient norm; `channels_last` is a memory layout and changes rounding alone.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    epochs: int = Field(ge=1)
    batch: int = Field(ge=2)
    lr: float = Field(gt=0)
    lr_min: float = Field(default=0.0, ge=0)
    momentum: float = Field(default=0.9, ge=0, lt=1)
    nesterov: bool = True
    weight_decay: float = Field(default=5e-4, ge=0)
    schedule: Literal["cosine"] = "cosine"
    label_smoothing: float = Field(default=0.0, ge=0, lt=1)
    clip: float | None = Field(default=None, gt=0)
    channels_last: bool = True

    @model_validator(mode="after")
    def _consistent(self) -> "Recipe":
        if self.nesterov and self.momentum == 0:
            raise ValueError("nesterov needs a momentum above 0")
        if self.lr_min > self.lr:
            raise ValueError(f"lr_min {self.lr_min:g} is above lr {self.lr:g}")
        return self


RECIPES: dict[str, Recipe] = {
    # NAS-Bench-201's tabulated results (Dong & Yang 2020, table 1), 200 epochs, and its short one: 12.
    "H": Recipe(epochs=200, batch=256, lr=0.1),
    "H12": Recipe(epochs=12, batch=256, lr=0.1),
    # A short score of a cell on cluttered digits (16,000 images) at C=8, N=1. Over 24 random connected cells: two seeds
    # agree at Spearman 0.84, and their mean with NAS-Bench-201's CIFAR-10 test accuracy at 0.84 (torch 2.13, CPU).
    "digits": Recipe(epochs=2, batch=64, lr=0.1),
}


def cosine(recipe: Recipe, step: int, steps: int) -> float:
    """The learning rate of step `step` of `steps` (from 0): lr_min + (lr - lr_min)(1 + cos(pi step/steps)) / 2."""
    return recipe.lr_min + (recipe.lr - recipe.lr_min) * (1 + math.cos(math.pi * step / steps)) / 2


class Training:
    """One network, its optimiser, its data cursor and its clock.

    The network comes initialised, and is moved to `device`. All randomness (the order of the images, `augment`) is
    drawn from `generator`, a CPU generator that the training owns from now on. `epoch` runs one epoch; between two
    epochs `state` is everything that the rest depends on.
    """

    def __init__(
        self,
        network: nn.Module,
        split: Split,
        recipe: Recipe,
        generator: torch.Generator,
        augment: Callable[[Tensor, torch.Generator], Tensor] | None = None,
        device: torch.device | str = "cpu",
    ):
        if len(split) < 2:
            raise BenchbedError(f"training split of {len(split)} images: at least 2 are needed")
        self.layout = torch.channels_last if recipe.channels_last else torch.contiguous_format
        self.network = network.to(device)
        nn.utils.convert_conv2d_weight_memory_format(self.network, self.layout)
        self.split = split.to(device)
        self.recipe, self.generator, self.augment = recipe, generator, augment
        self.sgd = torch.optim.SGD(
            self.network.parameters(),
            lr=recipe.lr,
            momentum=recipe.momentum,
            nesterov=recipe.nesterov,
            weight_decay=recipe.weight_decay,
        )
        self.step = 0

    @property
    def steps_per_epoch(self) -> int:
        """Batches an epoch; the last is smaller where the batch does not divide, and left out where it is one image,
        which has no batch statistics."""
        whole, rest = divmod(len(self.split), self.recipe.batch)
        return whole + (rest > 1)

    @property
    def epochs_done(self) -> int:
        return self.step // self.steps_per_epoch

    @property
    def finished(self) -> bool:
        return self.epochs_done >= self.recipe.epochs

    def epoch(self) -> dict[str, int | float]:
        """One epoch. Gives its number (from 1), mean loss over the images, last learning rate and wall seconds.

        Raises BenchbedError on a loss that is not finite, naming epoch, step, learning rate and batch.
        """
        if self.finished:
            raise RuntimeError(f"all {self.recipe.epochs} epochs are done")
        start, number, steps = time.perf_counter(), self.epochs_done + 1, self.steps_per_epoch
        self.network.train()
        order = torch.randperm(len(self.split), generator=self.generator).to(self.split.labels.device)
        batches = order.split(self.recipe.batch)[:steps]
        losses = torch.stack([self._step(chosen) for chosen in batches]).cpu()  # on the device until here: no waiting
        if not losses.isfinite().all():
            at = int((~losses.isfinite()).nonzero()[0])
            rate = cosine(self.recipe, (number - 1) * steps + at, steps * self.recipe.epochs)
            raise BenchbedError(
                f"training diverged: loss {losses[at]:g} at epoch {number} of {self.recipe.epochs}, "
                f"step {at + 1} of {steps}, lr {rate:g}, batch {self.recipe.batch}"
            )
        images = torch.tensor([len(chosen) for chosen in batches])
        if self.finished and not all(bool(p.isfinite().all()) for p in self.network.parameters()):
            raise BenchbedError(f"training diverged: weights that are not finite after the last of {steps} steps")
        mean = float((losses.double() * images).sum() / images.sum())
        seconds = time.perf_counter() - start
        return {"epoch": number, "loss": mean, "lr": self.sgd.param_groups[0]["lr"], "seconds": seconds}

    def _step(self, chosen: Tensor) -> Tensor:
        rate = cosine(self.recipe, self.step, self.steps_per_epoch * self.recipe.epochs)
        self.sgd.param_groups[0]["lr"] = rate
        images, labels = self.split.images[chosen], self.split.labels[chosen]
        if self.augment is not None:
            images = self.augment(images, self.generator)
        logits = self.network(images.contiguous(memory_format=self.layout))
        loss = F.cross_entropy(logits, labels, label_smoothing=self.recipe.label_smoothing)
        self.sgd.zero_grad(set_to_none=True)
        loss.backward()
        if self.recipe.clip is not None:
            nn.utils.clip_grad_norm_(self.network.parameters(), self.recipe.clip)
        self.sgd.step()
        self.step += 1
        return loss.detach()

    def state(self) -> dict[str, Any]:
        """A copy of all that the rest of the training depends on: tensors, numbers, strings and dicts."""
        names = {id(p): name for name, p in self.network.named_parameters()}
        momentum = {
            names[id(p)]: slot["momentum_buffer"].detach().clone()
            for p, slot in self.sgd.state.items()
            if slot.get("momentum_buffer") is not None
        }
        network = {name: value.detach().clone() for name, value in self.network.state_dict().items()}
        return {"step": self.step, "network": network, "momentum": momentum, "generator": self.generator.get_state()}

    def load_state(self, tree: dict[str, Any]) -> None:
        """Goes on from `state`, bit for bit on the CPU at the same thread count."""
        self.network.load_state_dict(tree["network"])
        self.sgd.state.clear()
        for name, p in self.network.named_parameters():
            if name in tree["momentum"]:
                # A copy in the parameter's own memory layout, on its device.
                self.sgd.state[p]["momentum_buffer"] = torch.empty_like(p).copy_(tree["momentum"][name]).detach()
        self.generator.set_state(tree["generator"].cpu())
        self.step = int(tree["step"])


@torch.inference_mode()
def evaluate(network: nn.Module, split: Split, batch: int = 512) -> float:
    """Top-1 accuracy in percent, with running batch statistics; the network's mode is put back.

    Raises BenchbedError on an empty split.
    """
    if len(split) == 0:
        raise BenchbedError("accuracy of a split without images: at least 1 is needed")
    device = next(network.parameters()).device
    training = network.training
    network.eval()
    right = torch.zeros((), dtype=torch.int64, device=device)
    for images, labels in zip(split.images.split(batch), split.labels.split(batch), strict=True):
        right += (network(images.to(device)).argmax(1) == labels.to(device)).sum()
    network.train(training)
    return 100.0 * int(right) / len(split)
