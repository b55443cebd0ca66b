"""The randomness of a supernet that draws: a weight step moves it on, looking does not.

What is measured or differentiated from one state thus sees the same noise: candidates are compared on it, and a finite
difference is one of weights alone.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def held(noise: torch.Generator | None) -> Iterator[None]:
    """Puts the generator back on leaving; nothing where there is none."""
    if noise is None:
        yield
        return
    state = noise.get_state()
    try:
        yield
    finally:
        noise.set_state(state)


def advance(noise: torch.Generator | None) -> None:
    """One draw on: the next batch has noise of its own."""
    if noise is not None:
        torch.randint(2, (), generator=noise)
