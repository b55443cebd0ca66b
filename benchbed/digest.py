"""One number for a tree of tensors and plain values: equal for two trees that are the same bit for bit."""

import hashlib
from typing import Any

from torch import Tensor


def digest(tree: Any) -> str:
    """SHA-256 over the paths and values of nested dicts, lists and tuples, whatever the order of the keys."""
    total = hashlib.sha256()
    for name, value in sorted(_flat(tree)):
        total.update(name.encode())
        total.update(_bytes(value))
    return total.hexdigest()


def _bytes(value: Any) -> bytes:
    if isinstance(value, Tensor):
        return value.detach().cpu().contiguous().numpy().tobytes()  # the memory layout is no part of the value
    return repr(value).encode()


def _flat(tree: Any, prefix: str = "") -> list[tuple[str, Any]]:
    if isinstance(tree, dict):
        return [pair for key, value in tree.items() for pair in _flat(value, f"{prefix}/{key}")]
    if isinstance(tree, (list, tuple)):
        return [pair for i, value in enumerate(tree) for pair in _flat(value, f"{prefix}/{i}")]
    return [(prefix, tree)]
