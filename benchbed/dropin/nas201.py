"""`nas_201_api` (nas-bench-201 2.1) over a table."""

from typing import Any

import numpy as np

from .refusals import HP, DropinError
from .results import ArchResults as Results
from .topology import Cells201
from .trial import ResultsCount as Trial
from .words import describe

NAS_BENCH_201_API_VERSION = "v2.0"  # what nas-bench-201 2.1 says of itself
ALL_BENCHMARK_FILES = ["NAS-Bench-201-v1_0-e61699.pth", "NAS-Bench-201-v1_1-096897.pth"]
ALL_ARCHIVE_DIRS = ["NAS-Bench-201-v1_1-archive"]


class ResultsCount(Trial):
    """A training; averages and totals as numpy makes them."""

    _mean = staticmethod(np.mean)
    _total = staticmethod(np.sum)


class ArchResults(Results):
    """A cell's trainings; averages as numpy makes them."""

    _mean = staticmethod(np.mean)
    _trials = ResultsCount

    def show(self, is_print: bool = False) -> list[str]:
        """The lines of `query_info_str_by_arch`, printed if wished. (The original's fails at a missing name.)"""
        lines = describe(self, None, ", ")
        if is_print:
            print("\n".join(lines))
        return lines


class NASBench201API(Cells201):
    """The interface of NAS-Bench-201. `table`: a name (nb201 if None), an .npz file or a Table."""

    _results = ArchResults

    def __init__(self, table: object = None, verbose: bool = True) -> None:
        super().__init__(table, verbose)
        self.evaluated_indexes = list(self._indexes)

    def simulate_train_eval(
        self, arch: object, dataset: str, hp: object = HP, account_time: bool = True
    ) -> tuple[Any, Any, Any, Any]:
        """(validation accuracy, latency, seconds, `used_time`) of a random seed; of a table of means see `MeanClock`.

        The latency is that of the 12-epoch record, whatever `hp`, as in the original.
        """
        return self._simulate(arch, dataset, None, hp, account_time, latency_hp="12")

    def find_best(
        self, dataset: str, metric_on_set: str, FLOP_max: object = None, Param_max: object = None, hp: object = HP
    ) -> tuple[int, Any]:
        """(index, accuracy) of the highest mean over seeds within limits in millions; (-1, None) if none is."""
        return self._best(dataset, metric_on_set, FLOP_max, Param_max, hp)

    def reload(self, archive_root: object = None, index: object = None) -> None:
        """Refused: a table does not change."""
        raise DropinError(f"reload: table {self.table.name} is read as it is; 'table import' makes another")

    def __repr__(self) -> str:
        return (f"{type(self).__name__}({len(self.evaluated_indexes)}/{len(self)} architectures, "
                f"file={self.filename})")  # fmt: skip
