"""`nats_bench` 1.8 over tables: the topology space and the size space."""

from typing import Any

from ..tables.benchmarks import SIZES, TOPOLOGY
from ..tables.benchmarks import Benchmark as Published
from .api import Benchmark
from .refusals import HP, DropinError
from .results import ArchResults as Results
from .topology import Cells201
from .trial import ResultsCount as Trial

NATS_BENCH_API_VERSIONs = ["v1.0", "v1.1", "v1.2", "v1.3", "v1.4", "v1.5", "v1.6", "v1.7", "v1.8"]
NATS_BENCH_SSS_NAMEs = ("sss", "size")
NATS_BENCH_TSS_NAMEs = ("tss", "topology")
ALL_BASE_NAMES = ["NATS-tss-v1_0-3ffb9"]
SIZE_BASE_NAMES = ["NATS-sss-v1_0-50262"]
PICKLE_EXT = "pickle.pbz2"

_COMMENT = (
    "In this dict, train-loss/accuracy/time is the metric on the {sets} of CIFAR-10. The test-loss/accuracy/time is "
    "the performance of the CIFAR-10 test set after training on the {sets} by {hp} epochs. The per-time and total-time "
    "indicate the per epoch and total time costs, respectively."
)
_TRAINED_ON = {"cifar10-valid": "train set", "cifar10": "train+valid sets"}


class ResultsCount(Trial):
    """A training; averages and totals as Python's sum makes them."""

    def judge_valid(self, iepoch: int) -> None:
        """Raises DropinError for an epoch that there is not."""
        self._checked(iepoch)


class ArchResults(Results):
    """A cell's trainings; averages as Python's sum makes them."""

    _trials = ResultsCount

    def _cost(self, values: list[Any], dataset: str) -> Any:
        """Where seeds disagree at five decimals, which an error of some records made, seed 888's stands for all."""
        if len({f"{value:.5f}" for value in values}) < 2:
            return self._mean(values)
        seeds = self._seeds(dataset)
        if 888 not in seeds:
            raise DropinError(f"costs on {dataset} differ between seeds, and there is no seed 888 to decide: {values}")
        return self._mean([values[seeds.index(888)]])


class Nats(Benchmark):
    """What the interfaces of both spaces share."""

    _results = ArchResults
    _join = " & "

    def __init__(self, table: object = None, fast_mode: bool = False, verbose: bool = True) -> None:
        super().__init__(table, verbose)
        self.fast_mode, self.archive_dir = fast_mode, None
        self.evaluated_indexes = set(self._indexes)

    def _comment(self, dataset: str, hp: str) -> dict[str, str]:
        if dataset not in _TRAINED_ON:
            return {}
        return {"comment": _COMMENT.format(sets=_TRAINED_ON[dataset], hp=hp)}

    def simulate_train_eval(
        self, arch: object, dataset: str, iepoch: int | None = None, hp: object = HP, account_time: bool = True
    ) -> tuple[Any, Any, Any, Any]:
        """(validation accuracy, latency, seconds, `used_time`) of a random seed; of a table of means see `MeanClock`.

        Before the last epoch cifar100 and ImageNet16-120 were scored on validation and test images together, and that
        accuracy is given, as in the original.
        """
        return self._simulate(arch, dataset, iepoch, hp, account_time)

    def find_best(
        self, dataset: str, metric_on_set: str, flop_max: object = None, param_max: object = None, hp: object = HP,
        enforce_all: bool | None = None,
    ) -> tuple[int, Any]:  # fmt: skip
        """(index, accuracy) of the highest mean over seeds within limits in millions; (-1, None) if none is."""
        if enforce_all and not self.fast_mode:
            raise DropinError("enforce_all is for fast_mode=True alone")
        return self._best(dataset, metric_on_set, flop_max, param_max, hp)

    def reset_archive_dir(self, archive_dir: Any) -> None:
        """Remembered and not read: the table answers."""
        self.archive_dir = archive_dir

    def reset_fast_mode(self, fast_mode: bool) -> None:
        self.fast_mode = fast_mode

    def reload(self, archive_root: object = None, index: object = None) -> None:
        """Refused: a table does not change."""
        raise DropinError(f"reload: table {self.table.name} is read as it is; 'table import' makes another")

    def __repr__(self) -> str:
        return (f"{type(self).__name__}({len(self.evaluated_indexes)}/{len(self)} architectures, "
                f"fast_mode={self.fast_mode}, file={self.filename})")  # fmt: skip


class NATStopology(Cells201, Nats):
    """The interface of NATS-Bench's topology space. `table`: a name (nb201 if None), an .npz file or a Table."""

    is_size, is_topology = False, True
    full_epochs_in_paper = full_train_epochs = 200
    search_space_name = "topology"


class NATSsize(Nats):
    """The interface of NATS-Bench's size space. `table`: a name (nats-sss if None), an .npz file or a Table."""

    _benchmark = SIZES
    is_size, is_topology = True, False
    full_epochs_in_paper = full_train_epochs = 90
    search_space_name = "size"


def create(
    table: object = None, search_space: object = "tss", fast_mode: bool = False, verbose: bool = True
) -> NATStopology | NATSsize:
    """The interface of the search space 'tss' or 'topology', 'sss' or 'size'. `table`: a name, an .npz file or a Table.

    Without one it is the table named as the space, nb201 or nats-sss. DropinError for any other search space, and where
    the table is of another.
    """
    made = NATSsize if benchmark_of(search_space) is SIZES else NATStopology
    return made(table, fast_mode, verbose)


def benchmark_of(search_space: object) -> Published:
    """The benchmark of the official name of a search space. Raises DropinError for what is none."""
    if search_space in NATS_BENCH_SSS_NAMEs:
        return SIZES
    if search_space in NATS_BENCH_TSS_NAMEs:
        return TOPOLOGY
    raise DropinError(f"unknown search space {search_space!r}: expected 'tss' or 'topology', 'sss' or 'size'")


def version() -> str:
    """The mirrored package's."""
    return NATS_BENCH_API_VERSIONs[-1]


def search_space_info(main_tag: str, aux_tag: str | None) -> dict[str, Any]:
    """What the space is made of: of 'nats-bench' with 'tss' or 'sss', or of 'nas-bench-201' with None."""
    topology = {
        "op_names": ["none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3"],
        "num_nodes": 4,
    }
    if main_tag == "nats-bench" and aux_tag in NATS_BENCH_SSS_NAMEs:
        return {"candidates": list(range(8, 65, 8)), "num_layers": 5}
    if (main_tag == "nats-bench" and aux_tag in NATS_BENCH_TSS_NAMEs) or (main_tag, aux_tag) == ("nas-bench-201", None):
        return topology
    raise DropinError(f"unknown search space {main_tag!r} with {aux_tag!r}: expected 'nats-bench' with 'tss' or 'sss', "
                      "or 'nas-bench-201' with None")  # fmt: skip
