"""Trees of state: through a file and back, and compared bit for bit."""

import io
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from ..objective import Tree
from ..runtime.digest import bits


def require(holds: bool, text: str) -> None:
    """Raises AssertionError with the text unless it holds, also where `python -O` strips assert statements."""
    if not holds:
        raise AssertionError(text)


def checks_in(module: Mapping[str, Any], *others: str) -> tuple[Callable[..., None], ...]:
    """A suite's checks in the order in which they stand there: its functions check_..., but for those named.

    module: its `globals()`, asked for below the last check.
    """
    return tuple(found for name, found in module.items() if name.startswith("check_") and name not in others)


def require_same(a: object, b: object, text: str) -> None:
    """Raises AssertionError with the text, and where they differ, unless two trees are equal bit for bit."""
    found = difference(a, b)
    require(found is None, f"{text} ({found})")


def through_file(tree: Tree) -> Tree:
    """The tree as a checkpoint gives it back: torch.save, then torch.load with weights_only=True."""
    file = io.BytesIO()
    torch.save(tree, file)
    file.seek(0)
    back: Tree = torch.load(file, weights_only=True)
    return back


def difference(a: object, b: object, path: str = "") -> str | None:
    """Where two trees differ, or None where they are equal bit for bit (NaN equals NaN of the same bits)."""
    if isinstance(a, Tensor) and isinstance(b, Tensor):
        if a.dtype != b.dtype or a.shape != b.shape:
            return f"{path}: {a.dtype} {tuple(a.shape)} and {b.dtype} {tuple(b.shape)}"
        return None if bits(a) == bits(b) else f"{path}: other values"
    if type(a) is not type(b):
        return f"{path}: {type(a).__name__} and {type(b).__name__}"
    if isinstance(a, dict) and isinstance(b, dict):
        if list(a) != list(b):
            return f"{path}: keys {list(a)} and {list(b)}"
        return next((d for k in a if (d := difference(a[k], b[k], f"{path}/{k}"))), None)
    if isinstance(a, (list, tuple)) and isinstance(b, (list, tuple)):
        if len(a) != len(b):
            return f"{path}: {len(a)} and {len(b)} items"
        return next(
            (d for i, (x, y) in enumerate(zip(a, b, strict=True)) if (d := difference(x, y, f"{path}/{i}"))), None
        )
    return None if a == b or (a != a and b != b) else f"{path}: {a!r} and {b!r}"
