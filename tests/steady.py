"""Results without what differs from one making to the next, to be compared bit for bit."""

from collections.abc import Collection
from typing import Any

import torch

CHANGES = {"seconds", "peak_memory_bytes", "versions", "commit", "machine", "finished", "segments"}


def steady(value: Any, changes: Collection[str] = CHANGES) -> Any:
    """A record, history line or checkpoint without the keys that may differ; tensors as bytes."""
    if isinstance(value, dict):
        return {key: steady(v, changes) for key, v in value.items() if key not in changes}
    if isinstance(value, list | tuple):
        return [steady(v, changes) for v in value]
    if isinstance(value, torch.Tensor):
        return str(value.dtype), tuple(value.shape), value.contiguous().numpy().tobytes()
    return value
