"""Trees of values: one number for a tree of tensors, equal for two that are the same bit for bit; what differs."""

import hashlib
from typing import Any

from torch import Tensor


def digest(tree: object) -> str:
    """SHA-256 over the paths and values of nested dicts, lists and tuples, whatever the order of the keys."""
    total = hashlib.sha256()
    for name, value in sorted(_flat(tree)):
        total.update(name.encode())
        total.update(bits(value) if isinstance(value, Tensor) else repr(value).encode())
    return total.hexdigest()


def first_difference(before: object, now: object, where: str = "") -> tuple[str, Any, Any] | None:
    """The first place where two trees of plain values differ, and what stands there; None where they are equal."""
    if isinstance(before, dict) and isinstance(now, dict):
        keys = dict.fromkeys([*before, *now])
        found = (first_difference(before.get(k), now.get(k), f"{where}.{k}" if where else k) for k in keys)
        return next(filter(None, found), None)
    return None if before == now else (where, before, now)


def bits(tensor: Tensor) -> bytes:
    """A tensor's values; its memory layout is no part of them."""
    return tensor.detach().cpu().contiguous().numpy().tobytes()


def _flat(tree: object, prefix: str = "") -> list[tuple[str, Any]]:
    if isinstance(tree, dict):
        return [pair for key, value in tree.items() for pair in _flat(value, f"{prefix}/{key}")]
    if isinstance(tree, (list, tuple)):
        return [pair for i, value in enumerate(tree) for pair in _flat(value, f"{prefix}/{i}")]
    return [(prefix, tree)]
