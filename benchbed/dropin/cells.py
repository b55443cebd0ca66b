"""The cells of a table by official index, as the originals' attributes give them."""

import operator
from collections.abc import Iterator, Mapping
from typing import Any, SupportsIndex

import numpy as np

from ..tables import Table
from ..tables.benchmarks import TOPOLOGY, Benchmark
from ..tables.trusted import trusted
from .means import MeanResults
from .refusals import DropinError
from .results import ArchResults

Results = ArchResults | MeanResults
Cell = dict[str, Results]  # by '12' and '200'


class Strings(list[str]):
    """The architectures by official index. A negative index is refused: it is how an unknown string is reported."""

    def __getitem__(self, index: SupportsIndex | slice) -> Any:
        if not isinstance(index, slice) and operator.index(index) < 0:
            raise DropinError(f"architecture index {index} is negative: query_index_by_arch gives -1 for a string that "
                              "is not in the space")  # fmt: skip
        return super().__getitem__(index)


class Cells(Mapping[int, Cell]):
    """`arch2infos_dict`: by official index {'12': results, '200': results}, read when asked for, and kept from then on.

    A script may change what it gets from here, and the interface answers accordingly.
    """

    def __init__(self, api: Any) -> None:
        self._api = api

    def __getitem__(self, index: int) -> Any:
        if index not in self:
            raise DropinError(f"table {self._api.table.name} has nothing of architecture {index}")
        return self._api._pinned.setdefault(int(index), self._api._cell(int(index)))

    def __contains__(self, index: object) -> bool:
        return isinstance(index, (int, np.integer)) and int(index) in self._api._there

    def __iter__(self) -> Iterator[int]:
        return iter(self._api._indexes)

    def __len__(self) -> int:
        return len(self._api._indexes)


def open_table(table: Any, benchmark: Benchmark = TOPOLOGY) -> Table:
    """The table of a name, an .npz file or nothing (the name of the benchmark's space).

    DropinError if it is of another space or has no official index.
    """
    if isinstance(table, dict):
        raise DropinError("the drop-in answers from a table and takes no dict: give a table's name or file")
    found = table if isinstance(table, Table) else trusted(benchmark.space if table is None else table)
    if found.meta["space"] != benchmark.space:
        raise DropinError(f"table {found.name} is of space {found.meta['space']}, not of {benchmark.space}")
    if found.order is None:
        raise DropinError(
            f"table {found.name} has no official index, by which these interfaces name architectures: 'table import' "
            "of NAS-Bench-201's .pth, of NATS-Bench or of a CSV file with the column index brings it"
        )
    return found
