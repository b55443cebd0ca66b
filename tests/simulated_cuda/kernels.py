"""How many kernels torch launches on a CUDA device for one operation.

By torch's own sources (aten/src/ATen/native/cuda of 2.11): an operation that is not named here is one kernel. Where the
number hangs on sizes, as in a reduction that needs two passes, the smaller one is taken.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch

# Tensors that one launch of a foreach kernel takes, by how many lists it works on (MultiTensorApply.cuh).
AT_ONCE = {1: 110, 2: 64, 3: 48, 4: 36, 5: 30}
CAT = 128  # inputs of one launch (Shape.cu)

NONE = {  # no kernel: views, memory that is not filled, questions
    "_local_scalar_dense", "_reshape_alias", "_unsafe_view", "alias", "as_strided", "chunk", "detach", "detach_",
    "diagonal", "empty", "empty_like", "empty_strided", "expand", "is_pinned", "is_same_size", "lift_fresh", "movedim",
    "narrow", "new_empty", "new_empty_strided", "permute", "prim", "record_stream", "resize_", "select", "set_",
    "slice", "split", "split_with_sizes", "squeeze", "squeeze_", "t", "t_", "transpose", "unbind", "unfold",
    "unsqueeze", "unsqueeze_", "view", "view_as_real",
}  # fmt: skip
SEVERAL: Mapping[str, int] = {
    "native_batch_norm": 2,  # statistics; normalise
    "native_batch_norm_backward": 2,  # two sums; the input's gradient
    "cudnn_batch_norm": 2,
    "cudnn_batch_norm_backward": 2,
    "linalg_vector_norm": 2,  # two passes
    "nonzero": 3,
    "sort": 2,
    "topk": 2,
    "randperm": 2,
}


def launches_of(name: str, args: Sequence[Any], out: Any) -> int:
    """Kernels of the operation `name` (without its overload) that was called with `args` and gave `out`."""
    if name in NONE:
        return 0
    if name.startswith("_foreach_"):
        return _foreach(name, args)
    if name in COUNTED:
        return COUNTED[name](args, out)
    return SEVERAL.get(name, 1)


def _foreach(name: str, args: Sequence[Any]) -> int:
    """Lists of tensors in as many launches as they need. The norm adds one that gathers what blocks have summed."""
    lists = [a for a in args if isinstance(a, (list, tuple)) and a and isinstance(a[0], torch.Tensor)]
    depth = len(lists) + (0 if name.endswith("_") else 1)
    launches = -(-len(lists[0]) // AT_ONCE[min(depth, 5)])
    return launches + 1 if name.startswith("_foreach_norm") else launches


def _convolution_backward(args: Sequence[Any], out: Any) -> int:
    """One for each gradient that is asked for: of the input, of the weight, of the bias."""
    return sum(gradient is not None for gradient in out)


def _cat(args: Sequence[Any], out: Any) -> int:
    return -(-len(args[0]) // CAT)


COUNTED: Mapping[str, Callable[[Sequence[Any], Any], int]] = {
    "convolution_backward": _convolution_backward,
    "cat": _cat,
    "stack": _cat,
}
