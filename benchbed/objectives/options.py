"""The settings of a supernet objective, and what refuses them before anything is made."""

from importlib import import_module
from inspect import signature
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from ..errors import BenchbedError
from ..layers.partial import check_partial
from ..space import Space
from ..task import Task


class SupernetOptions(BaseModel):
    """The over-parameterised network and the optimiser of its weights."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    channels: int = Field(16, ge=1, description="C: channels of the first stage (NAS-Bench-201: 16)")
    cells: int = Field(5, ge=1, description="N: cells per stage (NAS-Bench-201: 5)")
    batch: int = Field(64, ge=2, description="training images per step (DARTS 1.3: 64)")
    valid_batch: int = Field(64, ge=2, description="validation images per architecture step")
    eval_batch: int = Field(500, ge=2, description="most validation images a measured batch; batch norm sees these")
    history_images: int | None = Field(
        None, ge=2, description="validation images behind an epoch's line of the history, always the same; none: all"
    )
    partial: int = Field(
        1, ge=1, description="K: operations see 1/K of the channels, the others pass them by (PC-DARTS: 4)"
    )
    lr: float = Field(0.025, gt=0, description="SGD learning rate at the start (DARTS: 0.025)")
    lr_min: float = Field(0.001, ge=0, description="learning rate at the end of the cosine (DARTS: 0.001)")
    schedule: Literal["cosine-epoch", "cosine-step", "constant"] = Field(
        "cosine-epoch", description="when the learning rate falls: DARTS steps it per epoch, ProxylessNAS per step"
    )
    momentum: float = Field(0.9, ge=0, lt=1)
    nesterov: bool = False
    weight_decay: float = Field(3e-4, ge=0, description="L2, on every weight that ran (DARTS: 3e-4)")
    clip: float | None = Field(5.0, gt=0, description="largest norm of the weight gradient (DARTS: 5); none: no limit")
    bf16: bool = Field(False, description="autocast weight steps, gate gradients and measurements to bfloat16")
    graph: bool = Field(False, description="run steps whose plan repeats from a CUDA graph; needs a CUDA device")
    compile: bool = Field(
        False, description="run steps of mixtures through torch.compile; needs a CPU and a C++ compiler"
    )


def import_class(path: str) -> Any:
    """The class that a space names as 'module:Class'."""
    module, _, name = path.partition(":")
    return getattr(import_module(module), name)


def check_batches(options: SupernetOptions, task: Task) -> None:
    """Raises BenchbedError where a split has fewer images than a batch."""
    for name, size, split in (("batch", options.batch, "train"), ("valid_batch", options.valid_batch, "valid")):
        if (images := len(getattr(task, split))) < size:
            raise BenchbedError(
                f"{split} split of {images:,} images: fewer than a batch, supernet.{name}={size}; "
                f"give supernet.{name} of {images:,} or less, or more images"
            )


def partial_of(space: Space, options: SupernetOptions) -> dict[str, int]:
    """What a supernet of partial channels is made with beside its sizes; nothing where all channels are mixed.

    Raises BenchbedError where the space's supernet has none, and where K does not divide the channels.
    """
    if options.partial == 1:
        return {}
    if "partial" not in signature(import_class(space.supernet)).parameters:
        raise BenchbedError(
            f"supernet.partial = {options.partial}: operations of this space see all channels; give supernet.partial=1"
        )
    check_partial(options.partial, options.channels)
    return {"partial": options.partial}
