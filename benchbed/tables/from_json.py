"""A JSON object with a number a cell of NAS-Bench-201, such as the accuracies by one trained supernet.

    {"[(('avg_pool_3x3', 0),), (('none', 0), ('none', 1)), ...]": 10.0, ...}

Cells are written as `notations` says, or as the benchmark's own strings. The numbers are one further figure, by the
file's name. (`fewshot_one-shot-supernet.json` of aoiang/few-shot-NAS at ec366c1 is such a file.)
"""

import math
import re
from pathlib import Path

import numpy as np

from ..errors import BenchbedError
from ..runtime.reading import LIMITS, parse_json, read_bytes
from .table import FURTHER
from .table_builder import Draft

_START = re.compile(rb'\s*\{\s*"[\[(|][^"]*"\s*:\s*-?[0-9]')


def starts_by_cell(head: bytes) -> bool:
    """Whether a file that begins so is such a file."""
    return _START.match(head) is not None


def read_by_cell(path: Path, draft: Draft) -> None:
    """Adds the further figure. Raises BenchbedError, one line, for what is no such file, and names a bad cell."""
    content = read_bytes(path, LIMITS.json_bytes)
    try:
        found = parse_json(content)
    except ValueError as error:
        raise BenchbedError(f"{path} is cut off or damaged ({error})") from None
    if not isinstance(found, dict):
        raise BenchbedError(f"{path}: expected a JSON object with a number a cell")
    texts = list(found)
    for text, value in found.items():
        if type(value) not in (int, float) or not math.isfinite(value):
            raise BenchbedError(f"{path}: cell {text[:80]} has {str(value)[:40]}, expected a number")
    places = draft.places(texts, lambda i: f"{path} entry {i + 1}")
    if len(set(places.tolist())) < len(places):
        raise BenchbedError(f"{path}: a cell is there twice, under two notations")
    draft.add(FURTHER + path.stem, places, np.array(list(found.values()), dtype=np.float64), path.name)
