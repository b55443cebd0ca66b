"""The hyper-parameters of one training, the learning rate of each of its steps, and published recipes."""

import math
from collections.abc import Callable
from typing import Any, Literal

import torch
from pydantic import BaseModel, ConfigDict, Field, model_serializer, model_validator
from torch import nn

from ..runtime.parallel import ALONE, Group

# Options that came later. At their defaults they are left out of what identifies a result, so that the results made
# before them are still found.
LATER: dict[str, Any] = {
    "warmup_epochs": 0, "decay_vectors": True, "bf16": False, "gamma": None, "auxiliary": 0.0, "drop_path": 0.0,
    "cutout": 0, "epoch_images": None, "ema": None, "mixup": None, "cutmix": None, "accumulate": 1, "graph": False,
    "sync_bn": False,
}  # fmt: skip
SCHEDULE = (
    "cosine falls from lr to lr_min over all steps after the warm-up and is stepped once a step, cosine-epoch once an "
    "epoch; exponential multiplies the rate by gamma every epoch"
)
EPOCH_IMAGES = (
    "images of an epoch, which takes the next of one shuffled order of all; it is drawn anew where too few are left, "
    "so that epochs see other images; none: every image once"
)
EMA = (
    "decay d of an exponential moving average of weights and buffers, m = d m + (1 - d) w after each step; accuracies "
    "are then the average's; none: no average"
)


class Recipe(BaseModel):
    """The hyper-parameters of one training; each field's description says what it does.

    `drop_path` rises as `drop_path_rate` says; it and `auxiliary` need a network that has them
    (`benchbed.training.cell.network_of`). How `mixup` and `cutmix` draw is in `benchbed.images.mix.Mix`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    epochs: int = Field(ge=1)
    batch: int = Field(ge=2, description="images of a batch, of all processes together")
    lr: float = Field(gt=0)
    lr_min: float = Field(default=0.0, ge=0)
    momentum: float = Field(default=0.9, ge=0, lt=1)
    nesterov: bool = True
    weight_decay: float = Field(default=5e-4, ge=0)
    schedule: Literal["cosine", "cosine-epoch", "exponential"] = Field(default="cosine", description=SCHEDULE)
    label_smoothing: float = Field(default=0.0, ge=0, lt=1)
    clip: float | None = Field(default=None, gt=0, description="the largest gradient norm; none: any")
    channels_last: bool = Field(default=True, description="a memory layout, which changes rounding alone")
    warmup_epochs: int = Field(
        default=LATER["warmup_epochs"], ge=0,
        description="of the epochs, those in which the rate rises linearly to lr at the last of their steps",
    )
    decay_vectors: bool = Field(
        default=LATER["decay_vectors"],
        description="false spares batch norm and biases, all parameters of one dimension, from weight decay",
    )
    bf16: bool = Field(
        default=LATER["bf16"],
        description="forward and loss under autocast to bfloat16; weights and their sums stay float32",
    )
    gamma: float | None = Field(default=LATER["gamma"], gt=0, le=1, description="of the exponential schedule")
    auxiliary: float = Field(
        default=LATER["auxiliary"], ge=0, description="weight of an auxiliary head's loss; 0: no head"
    )
    drop_path: float = Field(
        default=LATER["drop_path"], ge=0, lt=1, description="the rate that drop path rises to, linearly by the epoch"
    )
    cutout: int = Field(
        default=LATER["cutout"], ge=0, multiple_of=2,
        description="side in pixels of the square that is blanked in every training image; 0: none",
    )
    epoch_images: int | None = Field(default=LATER["epoch_images"], ge=2, description=EPOCH_IMAGES)
    ema: float | None = Field(default=LATER["ema"], gt=0, lt=1, description=EMA)
    mixup: float | None = Field(
        default=LATER["mixup"], gt=0, le=1000,
        description="a of mixup's lambda ~ Beta(a, a), one a batch; none: no mixup",
    )
    cutmix: float | None = Field(
        default=LATER["cutmix"], gt=0, le=1000,
        description="a of CutMix's lambda ~ Beta(a, a), one a batch; with mixup too, a batch is of either at one half",
    )
    accumulate: int = Field(
        default=LATER["accumulate"], ge=1,
        description="batches of a step, whose gradients are averaged over all their images",
    )
    graph: bool = Field(
        default=LATER["graph"], description="run forward and backward from a CUDA graph; needs a CUDA device"
    )
    sync_bn: bool = Field(
        default=LATER["sync_bn"],
        description="batch statistics over the images of all processes (torch's SyncBatchNorm); needs CUDA devices",
    )

    @model_validator(mode="after")
    def _consistent(self) -> "Recipe":
        if self.nesterov and self.momentum == 0:
            raise ValueError("nesterov needs a momentum above 0")
        if self.lr_min > self.lr:
            raise ValueError(f"lr_min {self.lr_min:g} is above lr {self.lr:g}")
        if self.warmup_epochs >= self.epochs:
            raise ValueError(f"warmup_epochs {self.warmup_epochs} leaves nothing of {self.epochs} epochs")
        if (self.schedule == "exponential") != (self.gamma is not None):
            raise ValueError(f"schedule '{self.schedule}' {'needs a' if self.gamma is None else 'has no'} gamma")
        for name, other in (("accumulate", self.accumulate > 1), ("sync_bn", self.sync_bn)):
            if self.graph and other:
                raise ValueError(f"graph goes with no {name} of {getattr(self, name)}: leave one of them out")
        if self.schedule == "exponential" and self.lr_min > 0:
            raise ValueError(f"lr_min {self.lr_min:g} is of a cosine: schedule 'exponential' ends where gamma leads")
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
    # DARTS' training of a found cell (Liu et al., ICLR 2019, section 3.2, and the authors' train.py), C=36, 20 cells.
    "darts-cifar10": Recipe(
        epochs=600, batch=96, lr=0.025, nesterov=False, weight_decay=3e-4, schedule="cosine-epoch", clip=5.0,
        auxiliary=0.4, drop_path=0.2, cutout=16,
    ),
    # And its transfer to ImageNet (section 3.3, train_imagenet.py), C=48, 14 cells.
    "darts-imagenet": Recipe(
        epochs=250, batch=128, lr=0.1, nesterov=False, weight_decay=3e-5, schedule="exponential", gamma=0.97,
        label_smoothing=0.1, clip=5.0, auxiliary=0.4,
    ),
}  # fmt: skip


def check_device(recipe: Recipe, device: torch.device, group: Group = ALONE) -> None:
    """Raises BenchbedError for what the recipe asks of a CUDA device where the device is another."""
    needs = {"graph": "", "sync_bn": " (torch has it there alone)"}
    for name, why in needs.items():
        if getattr(recipe, name) and device.type != "cuda":
            raise group.refusal(f"scoring option {name}=true: needs a CUDA device{why}, this one is '{device.type}'")


def cosine(recipe: Recipe, step: int, steps: int) -> float:
    """The cosine at step `step` of `steps` (from 0): lr_min + (lr - lr_min)(1 + cos(pi step/steps)) / 2."""
    return recipe.lr_min + (recipe.lr - recipe.lr_min) * (1 + math.cos(math.pi * step / steps)) / 2


def learning_rate(recipe: Recipe, step: int, steps_per_epoch: int) -> float:
    """The rate of step `step` of the whole training (from 0): a line up to `lr`, then the schedule."""
    warm = recipe.warmup_epochs * steps_per_epoch
    if step < warm:
        return recipe.lr * (step + 1) / warm
    epoch, epochs = step // steps_per_epoch - recipe.warmup_epochs, recipe.epochs - recipe.warmup_epochs
    if recipe.schedule == "exponential":
        assert recipe.gamma is not None
        return recipe.lr * recipe.gamma**epoch
    if recipe.schedule == "cosine-epoch":
        return cosine(recipe, epoch, epochs)
    return cosine(recipe, step - warm, steps_per_epoch * epochs)


def drop_path_rate(recipe: Recipe, epoch: int) -> float:
    """The probability that a path is dropped in epoch `epoch`, from 0: `drop_path` times epoch / epochs (DARTS)."""
    return recipe.drop_path * epoch / recipe.epochs
