"""The benchmarks whose own files are imported: NATS-Bench's two spaces, of which NAS-Bench-201's is one.

Dong et al., "NATS-Bench", TPAMI 2021: files of one form, on the same data sets, over cells and over widths.
"""

from collections.abc import Callable
from functools import cache
from typing import NamedTuple

import numpy as np

from ..space import Architecture
from ..spaces.nats_sss import space as sizes
from ..spaces.nb201 import space as cells
from .figures import CLASSES, IMAGE_SIZE


class Benchmark(NamedTuple):
    """What an import knows of a benchmark. A place is a position in a table's flattened arrays."""

    space: str  # the registered space's name
    title: str  # in sentences
    size: int  # the number of architectures
    hps: tuple[str, ...]  # the official names of the trainings: their numbers of epochs
    costs: Callable[[str, str], np.ndarray]  # 'params' or 'flops', data set -> int64 by place, of the published network
    ordered: bool  # whether the official index is the place


@cache
def costs_of_cells(kind: str, dataset: str) -> np.ndarray:
    """int64 (15,625,): parameters or FLOPs of every cell. They depend on the numbers of convolutions alone."""
    shape = (len(cells.OPERATIONS),) * len(cells.EDGES)
    numbers = np.indices(shape).reshape(len(shape), -1)
    ones, threes = (numbers == cells.CONV1).sum(0), (numbers == cells.CONV3).sum(0)
    found = np.zeros(numbers.shape[1], dtype=np.int64)
    for n1, n3 in ((a, b) for a in range(len(shape) + 1) for b in range(len(shape) + 1 - a)):
        cell = Architecture("", (cells.CONV1,) * n1 + (cells.CONV3,) * n3)
        if kind == "params":
            value = cells.parameters(cell, classes=CLASSES[dataset])
        else:
            value = cells.flops(cell, classes=CLASSES[dataset], size=IMAGE_SIZE[dataset])
        found[(ones == n1) & (threes == n3)] = value
    found.flags.writeable = False  # it is shared
    return found


@cache
def costs_of_widths(kind: str, dataset: str) -> np.ndarray:
    """int64 (32,768,): parameters or FLOPs of every network of the size space."""
    shape = (len(sizes.CANDIDATES),) * len(sizes.BLOCKS)
    widths = np.array(sizes.CANDIDATES)[np.indices(shape).reshape(len(shape), -1)]
    if kind == "params":
        found: np.ndarray = sizes.count_parameters(widths, CLASSES[dataset], 3)
    else:
        found = sizes.count_flops(widths, CLASSES[dataset], 3, IMAGE_SIZE[dataset])
    found.flags.writeable = False  # it is shared
    return found


TOPOLOGY = Benchmark("nb201", "NAS-Bench-201", 15625, ("12", "200"), costs_of_cells, ordered=False)
SIZES = Benchmark("nats-sss", "NATS-Bench's size space", 32768, ("01", "12", "90"), costs_of_widths, ordered=True)
BENCHMARKS = {benchmark.space: benchmark for benchmark in (TOPOLOGY, SIZES)}
