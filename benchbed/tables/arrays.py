"""What an array of a table must be to be what its name says."""

import numpy as np

from ..errors import BenchbedError


def check_array(table: str, name: str, array: np.ndarray, shape: tuple[int, ...]) -> None:
    """Raises BenchbedError if an array cannot be what its name says; NaN stands for what is missing.

    shape: that of its space, of its seeds, or of its order. A fingerprint that fits does not make this needless: it
    says that the content is as it was made, not that it was made from figures that can be.
    """
    if array.shape != shape or array.dtype.kind not in "iuf":
        damage = f"{name} holds {array.dtype} {array.shape}, expected numbers {shape}"
    elif name.startswith("accuracy/") and np.isnan(array).all():
        damage = f"{name} holds no value"
    elif array.dtype.kind == "f" and np.isinf(array).any():
        damage = f"{name} holds an infinite value, expected finite ones"
    elif name.startswith(("accuracy/", "seeds/")) and (wrong := no_percentage(array)) is not None:
        damage = f"{name} holds {wrong:g}, expected percentages from 0 to 100"
    else:
        return
    raise BenchbedError(f"table {table} is damaged ({damage}): import its source again")


def no_percentage(values: np.ndarray) -> float | None:
    """The first value, NaN apart, that is not a percentage."""
    wrong = (values < 0) | (values > 100)
    return float(values[wrong][0]) if wrong.any() else None


def check_percent(values: np.ndarray, source: str, what: str) -> None:
    """Raises BenchbedError that names the source if a value, NaN apart, is not a percentage."""
    if (wrong := no_percentage(values)) is not None:
        raise BenchbedError(f"{source}: {what} holds {wrong:g}, which is not a percentage: expected 0 to 100")
