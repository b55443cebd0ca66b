"""A run's own randomness: one named stream per consumer, derived from the seed, saved in the checkpoint."""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch


def derive(seed: int, name: str) -> int:
    """A 63-bit seed from the run's seed and a stream's name (SHA-256): streams never share draws."""
    return int.from_bytes(hashlib.sha256(f"{seed}/{name}".encode()).digest()[:8], "big") >> 1


class Streams:
    """Named CPU generators. A stream's draws depend on the seed and its own name alone."""

    def __init__(self, seed: int):
        self.seed = seed
        self._generators: dict[str, torch.Generator] = {}

    def generator(self, name: str) -> torch.Generator:
        """The stream `name`, made on first use."""
        if name not in self._generators:
            self._generators[name] = torch.Generator().manual_seed(derive(self.seed, name))
        return self._generators[name]

    def numpy(self, name: str) -> np.random.Generator:
        """A numpy generator seeded by one draw of the stream `name` (numpy only: spaces know no torch)."""
        return np.random.default_rng(int(torch.randint(2**62, (1,), generator=self.generator(name))))

    def state(self) -> dict[str, torch.Tensor]:
        return {name: generator.get_state() for name, generator in self._generators.items()}

    def load_state(self, state: dict[str, torch.Tensor]) -> None:
        """Sets the streams in place: whoever holds a generator goes on from the restored state.

        A stream that the state does not know had not been drawn from, and stands at its start again.
        """
        for name, generator in self._generators.items():
            if name not in state:
                generator.manual_seed(derive(self.seed, name))
        for name, value in state.items():
            self.generator(name).set_state(value)


@contextmanager
def seeded(generator: torch.Generator, offset: int = 0) -> Iterator[None]:
    """Torch's global generator seeded by one draw of `generator`, and put back on leaving.

    For code that can only use the global one: weight initialisation, dropout. `offset` is added to the draw, where
    processes that share `generator` are to draw apart.
    """
    before = torch.get_rng_state()
    torch.manual_seed(int(torch.randint(2**62, (1,), generator=generator)) + offset)
    try:
        yield
    finally:
        torch.set_rng_state(before)
