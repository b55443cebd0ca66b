"""The most bytes that tensors held at once while something ran: storages that were made meanwhile and not yet freed."""

import weakref
from collections.abc import Callable
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves


class _Live(TorchDispatchMode):
    """Counts every storage once, from the operation that makes it until nobody holds it, autograd included."""

    def __init__(self) -> None:
        super().__init__()
        self.bytes, self.peak = 0, 0
        self.seen: set[int] = set()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        held = {id(a.untyped_storage()) for a in tree_leaves((args, kwargs)) if isinstance(a, torch.Tensor)}
        for tensor in tree_leaves(result):
            if isinstance(tensor, torch.Tensor):
                self._count(tensor.untyped_storage(), held)
        return result

    def _count(self, storage: torch.UntypedStorage, held: set[int]) -> None:
        key = id(storage)
        if key in self.seen or key in held:  # a view, or what was there before
            return
        self.seen.add(key)
        size = storage.nbytes()
        self.bytes += size
        self.peak = max(self.peak, self.bytes)
        weakref.finalize(storage, self._free, key, size)

    def _free(self, key: int, size: int) -> None:
        self.seen.discard(key)
        self.bytes -= size


def peak_bytes(run: Callable[[], object], device: torch.device) -> int:
    """The peak while `run()` runs, above what was held before.

    On a CPU: storages of tensors. What a kernel allocates and frees inside is not seen, nor are Python objects. On
    CUDA: the caching allocator's own peak, which has both.
    """
    if device.type == "cuda":
        run()  # workspaces and the libraries' own memory come with the first call
        torch.cuda.synchronize(device)
        torch.cuda.reset_peak_memory_stats(device)
        before = torch.cuda.memory_allocated(device)
        run()
        torch.cuda.synchronize(device)
        return torch.cuda.max_memory_allocated(device) - before
    live = _Live()
    with live:
        run()
    return live.peak
