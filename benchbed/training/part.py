"""An epoch that was begun: what its rest depends on, so that a training can be saved within it."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from ..streams import seeded


@dataclass
class Part:
    """order: int64 (epoch_images,), this epoch's images in order. seeds: int64 (epoch_images,), those of their
    augmentation where images are decoded, else None. losses, images: a scalar for each step that is done. seconds: that
    those took. draws: the state of torch's global CPU generator after them, where the network draws and it was saved.
    """

    order: Tensor
    seeds: Tensor | None = None
    losses: list[Tensor] = field(default_factory=list)
    images: list[Tensor] = field(default_factory=list)
    seconds: float = 0.0
    draws: Tensor | None = None

    @property
    def steps(self) -> int:
        """How many are done."""
        return len(self.losses)

    def state(self) -> dict[str, Any]:
        """A copy, as a checkpoint holds it."""
        tree: dict[str, Any] = {"order": self.order.cpu().clone(), "seconds": self.seconds}
        tree |= {name: torch.stack(getattr(self, name)).cpu() for name in ("losses", "images") if self.steps}
        return tree | {name: value.clone() for name in ("seeds", "draws") if (value := getattr(self, name)) is not None}

    @staticmethod
    def of(tree: dict[str, Any], device: torch.device) -> "Part":
        """Of a state; its losses lie where those of further steps will."""
        losses, images = (list(tree.get(name, torch.empty(0)).to(device).unbind()) for name in ("losses", "images"))
        return Part(tree["order"], tree.get("seeds"), losses, images, tree["seconds"], tree.get("draws"))

    def drawing(self, noise: torch.Generator, rank: int) -> AbstractContextManager[None]:
        """Torch's global generator for what the network draws in this epoch: where it was, or seeded by `noise`.

        Only the first process's draws are saved: the others go on with other ones.
        """
        if self.draws is None:
            return seeded(noise, rank)
        return _going_on(self.draws, rank)


@contextmanager
def _going_on(draws: Tensor, rank: int) -> Iterator[None]:
    before = torch.get_rng_state()
    torch.set_rng_state(draws.cpu())
    if rank:
        torch.manual_seed(int(torch.randint(2**62, (1,))) + rank)
    try:
        yield
    finally:
        torch.set_rng_state(before)
