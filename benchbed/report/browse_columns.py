"""A table's numbers as a page holds them: each column in the smallest of five forms that gives back its very values.

A form is a JSON object; `data` is base64 of little-endian numbers, one an architecture.

- `codes8`, `codes16`: the place of a value among `values` (base64, float64); the highest code there is, is missing.
- `scaled16`, `scaled32`: (number + `offset`) / `divisor`; uint16 or int32, 65,535 and -2^31 are missing.
- `float32`, `float64`: the numbers, NaN is missing.
"""

from base64 import b64encode
from typing import Any

import numpy as np

_DIVISORS = [10**power for power in range(10)]
_MISSING = {"uint8": 255, "uint16": 65_535, "int32": -(2**31)}


def packed(values: np.ndarray) -> dict[str, Any]:
    """The smallest form of numbers (n,) of any real type; what is not finite is missing."""
    column = values.reshape(-1).astype(np.float64)
    there = np.isfinite(column)
    known = np.unique(column[there])
    forms = [form for form in (_scaled(column, there, known), _coded(column, there, known)) if form]
    with np.errstate(over="ignore"):
        single = known.astype(np.float32)
    if np.array_equal(single.astype(np.float64), known):
        forms.append({"as": "float32", "data": _base64(np.where(there, column, np.nan), "<f4")})
    forms.append({"as": "float64", "data": _base64(np.where(there, column, np.nan), "<f8")})
    return min(forms, key=lambda form: len(form["data"]) + len(form.get("values", "")))


def _coded(column: np.ndarray, there: np.ndarray, known: np.ndarray) -> dict[str, Any] | None:
    kind, name = ("uint8", "codes8") if len(known) < _MISSING["uint8"] else ("uint16", "codes16")
    if len(known) >= _MISSING[kind]:
        return None
    codes = np.where(there, np.searchsorted(known, np.where(there, column, 0.0)), _MISSING[kind])
    return {"as": name, "data": _base64(codes, np.dtype(kind).str), "values": _base64(known, "<f8")}


def _scaled(column: np.ndarray, there: np.ndarray, known: np.ndarray) -> dict[str, Any] | None:
    """Decimals of a few digits, such as accuracies of a printed table, as whole numbers."""
    for divisor in _DIVISORS:
        if not len(known) or np.abs(known).max() >= 2**31 / divisor:
            return None
        whole = np.rint(known * divisor)
        if not np.array_equal(whole / divisor, known):
            continue
        low = int(whole[0])
        small = int(whole[-1]) - low < _MISSING["uint16"]
        kind, offset = ("uint16", low) if small else ("int32", 0)
        numbers = np.where(there, np.rint(np.where(there, column, 0.0) * divisor) - offset, _MISSING[kind])
        data = _base64(numbers, np.dtype(kind).str)
        return {"as": "scaled16" if small else "scaled32", "data": data, "offset": offset, "divisor": divisor}
    return None


def _base64(numbers: np.ndarray, code: str) -> str:
    return b64encode(numbers.astype(np.dtype(code).newbyteorder("<")).tobytes()).decode()
