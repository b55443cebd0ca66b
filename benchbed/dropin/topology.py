"""What both packages' interfaces answer of cells alone, beside `Benchmark`."""

from collections.abc import Iterable

import numpy as np

from ..spaces.nb201.space import OPERATIONS, unique_string
from .api import Benchmark
from .refusals import DropinError
from .structure import read_nodes


class Cells201(Benchmark):
    """An interface over a table of NAS-Bench-201's cells."""

    def get_unique_str(self, arch: object) -> str:
        """The benchmark's isomorphism string."""
        return unique_string(self.table.arch(self._index(arch)))

    @staticmethod
    def str2lists(arch_str: str) -> list[tuple[tuple[str, int], ...]]:
        """By node from 1: its (operation, source)."""
        return read_nodes(arch_str)

    @staticmethod
    def str2matrix(arch_str: str, search_space: Iterable[str] = OPERATIONS) -> np.ndarray:
        """float64 (nodes, nodes): entry [i, j] is the number of the operation from node j to node i, 0 if none."""
        nodes, names = read_nodes(arch_str), list(search_space)
        matrix = np.zeros((len(nodes) + 1, len(nodes) + 1))
        for i, node in enumerate(nodes, 1):
            for operation, source in node:
                if operation not in names:
                    raise DropinError(f"operation '{operation}' is not one of {', '.join(names)}")
                matrix[i, source] = names.index(operation)
        return matrix
