"""Whether numbers are finite, asked of a device once for all of them."""

import math
from collections.abc import Iterable

from torch import Tensor, nn


def all_finite(tensors: Iterable[Tensor]) -> bool:
    """Whether no value is NaN or infinite: the greatest size of all values, one number, then is neither."""
    some = [t.detach() for t in tensors if t.is_floating_point() and t.numel()]
    return bool(nn.utils.get_total_norm(some, math.inf).isfinite())
