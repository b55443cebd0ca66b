"""A supernet on the device at the size of NAS-Bench-201, and what its steps cost there."""

from collections.abc import Callable
from typing import NamedTuple

import torch
from device import Device

from benchbed.images.augment import Augment
from benchbed.objectives.supernet import SupernetObjective, SupernetOptions
from benchbed.spaces.load import load_space
from benchbed.streams import Streams
from benchbed.task import Seal, Split, Task

BATCH = 64
FEW = (2, 4)  # images: launches do not hang on their number, and bytes rise by the same for each


class Cost(NamedTuple):
    """launches, syncs and copies to the device of a step; bytes at `BATCH` images, by a line through two sizes."""

    launches: int
    gigabytes: float
    syncs: int
    copies: int


def objective(where: str, images: int, space: str = "nb201", **options: object) -> SupernetObjective:
    """C=16, N=5, 32x32 images in ten classes."""
    generator = torch.Generator().manual_seed(1)
    pixels = torch.randn(2, 2 * images, 3, 32, 32, generator=generator)
    labels = torch.randint(10, (2, 2 * images), generator=generator)
    train, valid = (Split(pixels[i], labels[i]) for i in range(2))
    task = Task("random", 10, (3, 32, 32), train, valid, Seal(lambda: train), "0", augment=Augment(4, (0.0, 0.0, 0.0)))
    sizes = {"channels": 16, "cells": 5, "batch": images, "valid_batch": images, "eval_batch": images}
    made = SupernetOptions(**sizes | options)  # type: ignore[arg-type]
    return SupernetObjective(load_space(space, {}), task, made, Streams(0), 5, device=where)


def cost(device: Device, step: Callable[[SupernetObjective], object], **options: object) -> Cost:
    """Of a step, the second of its kind: the first makes what is kept."""
    found, gigabytes = Cost(0, 0.0, 0, 0), []
    for images in FEW:
        made = objective("cuda", images, **options)  # type: ignore[arg-type]
        step(made)
        device.reset()
        step(made)
        gigabytes.append(sum(device.bytes.values()) / 1e9)
        found = Cost(sum(device.launches.values()), 0.0, sum(device.syncs.values()), sum(device.copies.values()))
    few, more = FEW
    slope = (gigabytes[1] - gigabytes[0]) / (more - few)
    return found._replace(gigabytes=gigabytes[0] + slope * (BATCH - few))


def mixture(seed: int = 0) -> torch.Tensor:
    return torch.softmax(torch.randn(6, 5, generator=torch.Generator().manual_seed(seed)), 1)


def path(seed: int = 0) -> torch.Tensor:
    choices = torch.randint(1, 5, (6,), generator=torch.Generator().manual_seed(seed))
    return torch.nn.functional.one_hot(choices, 5).float()
