"""What both packages' interfaces have in common, over a table."""

import copy
import operator
import random
from collections import OrderedDict
from functools import cached_property
from typing import Any, SupportsIndex

import numpy as np

from ..errors import BenchbedError
from ..tables.benchmarks import SIZES, TOPOLOGY
from .best import best_cell, trial_counts
from .cells import Cell, Cells, Results, Strings, open_table
from .clock import MeanClock
from .means import DATASETS, HOW, MeanResults
from .refusals import HP, RANDOM, DropinError, given_hp, given_seed
from .results import ArchResults
from .words import describe, named, remap_dataset_set_names

HELD = 256  # cells whose trainings stay in memory, up to 0.1 MB each; and answers of each
_SETS = {  # figure -> evaluation set, in the order of the answer; of the other data sets as of cifar100
    "cifar10-valid": (("valid", "x-valid"), ("test", "ori-test")),
    "cifar10": (("valid", "x-valid"), ("test", "ori-test")),
    "cifar100": (("valid", "x-valid"), ("test", "x-test"), ("valtest", "ori-test")),
}


class Benchmark:
    """The shared half of `NASBench201API`, `NATStopology` and `NATSsize`; `table` is a name, an .npz file or a Table.

    Raises DropinError, one line, for what the table cannot answer.
    """

    _results: type[ArchResults] = ArchResults
    _join = ", "  # between a loss and an accuracy in printed text
    _benchmark = TOPOLOGY

    def __init__(self, table: object = None, verbose: bool = True) -> None:
        self.table = open_table(table, self._benchmark)
        self.verbose, self.filename = verbose, f"{self.table.name}.npz"
        self._pinned: dict[int, Cell] = {}
        self._held: OrderedDict[int, Cell] = OrderedDict()
        self._answers: dict[int, dict[Any, dict[str, Any]]] = {}  # of the cells held: what has been asked before
        self._clock = MeanClock(self.table)
        self.reset_time()

    # -- architectures -------------------------------------------------------------------------------------------------

    @cached_property
    def meta_archs(self) -> Strings:
        strings = self.table.strings
        assert self.table.order is not None
        return Strings(strings[place] for place in self.table.order.tolist())

    @cached_property
    def archstr2index(self) -> dict[str, int]:
        return {text: index for index, text in enumerate(self.meta_archs)}

    @cached_property
    def arch2infos_dict(self) -> Cells:
        return Cells(self)

    def __len__(self) -> int:
        return 0 if self.table.order is None else len(self.table.order)

    def __getitem__(self, index: SupportsIndex | slice) -> Any:
        return self.meta_archs[index]

    def arch(self, index: SupportsIndex) -> str:
        """The string of an official index."""
        self._say("arch", index=index)
        try:
            return self.table.arch(operator.index(index)).text
        except BenchbedError as error:
            raise DropinError(str(error)) from None

    def query_index_by_arch(self, arch: object) -> int:
        """The official index of a string, an object with `tostr`, or an index; -1 for what is not in the space.

        DropinError for an index out of range, as theirs raises a ValueError. (An integer of numpy's is an index here;
        the originals give -1 for it.)
        """
        self._say("query_index_by_arch", arch=arch)
        if isinstance(arch, (int, np.integer)):
            if 0 <= arch < len(self):
                return int(arch)
            raise DropinError(f"architecture index {arch} is out of range: expected 0 to {len(self) - 1}")
        text = arch.tostr() if not isinstance(arch, str) and hasattr(arch, "tostr") else arch
        try:
            return self.table.index(text) if isinstance(text, str) else -1
        except BenchbedError:
            return -1

    def random(self) -> int:
        """An index drawn with Python's `random`."""
        return random.randint(0, len(self) - 1)

    # -- figures -------------------------------------------------------------------------------------------------------

    def get_more_info(
        self, index: object, dataset: str, iepoch: int | None = None, hp: object = HP, is_random: object = RANDOM
    ) -> dict[str, Any]:
        """train-, valid-, test- and valtest- {loss, accuracy, per-time, all-time}, in percent and seconds.

        Keys of what there is nothing for are left out. `is_random`: see `ArchResults.get_metrics`.
        """
        hp, is_random = given_hp(hp), given_seed(is_random)
        self._say("get_more_info", index=index, dataset=dataset, iepoch=iepoch, hp=hp, is_random=is_random)
        index = self._index(index)
        results = self._of(index, hp)
        if is_random is True and isinstance(results, ArchResults):  # one draw for all sets of this answer
            is_random = random.choice(results.get_dataset_seeds(dataset))
        if index in self._pinned:  # a script may have changed it
            return self._info(results, dataset, iepoch, hp, is_random)
        answers, key = self._answers.setdefault(index, {}), (dataset, iepoch, hp, type(is_random), is_random)
        if key not in answers:
            if len(answers) >= HELD:
                answers.clear()
            answers[key] = self._info(results, dataset, iepoch, hp, is_random)
        return dict(answers[key])

    def _info(self, results: Results, dataset: str, iepoch: int | None, hp: str, is_random: object) -> dict[str, Any]:
        train = results.get_metrics(dataset, "train", iepoch=iepoch, is_random=is_random)
        info = named("train", train, train["iepoch"] + 1)
        info.update(self._comment(dataset, hp))
        missing: DropinError | None = None
        for name, evaluated in _SETS.get(dataset, _SETS["cifar100"]):
            try:
                found = results.get_metrics(dataset, evaluated, iepoch=iepoch, is_random=is_random)
            except DropinError as error:
                if (dataset, name) == ("cifar10-valid", "valid"):  # the one set that the originals insist on
                    raise
                missing = missing or error
            else:
                info.update(named(name, found, train["iepoch"] + 1))
        if missing and isinstance(results, MeanResults) and not any(key.endswith("accuracy") for key in info):
            raise missing
        return info

    def _comment(self, dataset: str, hp: str) -> dict[str, str]:
        return {}

    def get_cost_info(self, index: object, dataset: str, hp: object = HP) -> dict[str, Any]:
        """flops, params (millions), latency (seconds a batch of 256), T-<set>@epoch and @total (seconds)."""
        hp = given_hp(hp)
        self._say("get_cost_info", index=index, dataset=dataset, hp=hp)
        return self._of(self._index(index), hp).get_compute_costs(dataset)

    def get_latency(self, index: object, dataset: str, hp: object = HP) -> Any:
        """Seconds a batch of 256; None where the source has none of the cell."""
        hp = given_hp(hp)
        self._say("get_latency", index=index, dataset=dataset, hp=hp)
        results = self._of(self._index(index), hp)
        if isinstance(results, MeanResults):
            return results.get_latency(dataset)
        return results.get_compute_costs(dataset)["latency"]

    def _simulate(
        self, arch: object, dataset: str, iepoch: int | None, hp: object, account_time: bool, latency_hp: object = None
    ) -> tuple[Any, Any, Any, Any]:
        """(validation accuracy, latency, seconds, `used_time`); of a random seed where there are single trainings."""
        hp, index = given_hp(hp), self._index(arch)
        if dataset not in DATASETS[1:]:
            raise DropinError(f"unknown data set {dataset!r}: expected {', '.join(DATASETS[1:])}")
        results = self._of(index, hp)
        if isinstance(results, MeanResults):
            accuracy, latency, seconds = self._clock.simulate(results, dataset, iepoch)
        else:
            accuracy, seconds = self._simulated(index, dataset, iepoch, hp)
            latency = self.get_latency(index, dataset, latency_hp or hp)
        if account_time:
            self._used_time += seconds
        return accuracy, latency, seconds, self._used_time

    def _simulated(self, index: int, dataset: str, iepoch: int | None, hp: str) -> tuple[Any, Any]:
        """Validation accuracy and seconds (training, and one pass over validation) of a random seed."""
        own = "cifar10-valid" if dataset == "cifar10" else dataset
        info = self.get_more_info(index, own, iepoch=iepoch, hp=hp, is_random=True)
        passes = info
        if "valid-accuracy" not in info:  # before the last epoch only both halves together were scored
            passes = self.get_more_info(index, own, iepoch=None, hp=hp, is_random=True)
        for name, where in (("train-all-time", info), ("valid-per-time", passes)):
            if where.get(name) is None:
                raise DropinError(f"table {self.table.name} has no {name} of {own} after {hp} epochs, which the "
                                  f"simulated seconds need: {HOW}")  # fmt: skip
        accuracy = info["valid-accuracy" if passes is info else "valtest-accuracy"]
        return accuracy, info["train-all-time"] + passes["valid-per-time"]

    @property
    def used_time(self) -> Any:
        """Simulated seconds since the last `reset_time`."""
        return self._used_time

    def reset_time(self) -> None:
        self._used_time: Any = 0

    def _best(self, dataset: str, metric_on_set: str, flops: object, params: object, hp: object) -> tuple[int, Any]:
        hp = given_hp(hp)
        self._say("find_best", dataset=dataset, metric_on_set=metric_on_set, hp=hp, flops=flops, params=params)
        index, accuracy = best_cell(self, *remap_dataset_set_names(dataset, metric_on_set), flops, params, hp)
        if self.verbose:
            text = self[index] if index >= 0 else None
            print(f"  the best architecture : [{index}] {text} with accuracy={accuracy}%")
        return index, accuracy

    def statistics(self, dataset: str, hp: object) -> dict[int, int]:
        """How many architectures have how many seeds; of those that the table has."""
        self._say("statistics", dataset=dataset, hp=hp)
        return trial_counts(self, dataset, str(hp))

    # -- records -------------------------------------------------------------------------------------------------------

    def query_meta_info_by_index(self, arch_index: object, hp: object = HP) -> Results:
        """The `ArchResults` of a cell, a copy."""
        hp = given_hp(hp)
        self._say("query_meta_info_by_index", arch_index=arch_index, hp=hp)
        results = self._of(self._index(arch_index), hp)
        return copy.deepcopy(results) if isinstance(results, ArchResults) else results

    def query_by_index(self, arch_index: object, dataname: str | None = None, hp: object = HP) -> Any:
        """The trainings on a data set by seed (`ResultsCount`); without one, the `ArchResults`. Copies."""
        info = self.query_meta_info_by_index(arch_index, hp)
        return info if dataname is None else info.query(dataname)

    def get_net_param(self, index: object, dataset: str, seed: int | None, hp: object = HP) -> object:
        """None, or without a seed None by seed: a table keeps no weights."""
        return self._of(self._index(index), given_hp(hp)).get_net_param(dataset, seed)

    def get_net_config(self, index: object, dataset: str) -> dict[str, Any]:
        """name, C channels, N cells a stage, arch_str, num_classes."""
        self._say("get_net_config", index=index, dataset=dataset)
        results = next(iter(self._present(self._index(index)).values()))
        if isinstance(results, MeanResults):
            return results.get_config(dataset)
        return results._all(dataset)[0].get_config(None)

    def clear_params(self, index: object, hp: object = None) -> None:
        """Nothing to clear: a table keeps no weights. DropinError for an unknown architecture or `hp`."""
        cell = self._index(index)
        for results in self._present(cell).values() if hp is None else [self._of(cell, str(hp))]:
            if isinstance(results, ArchResults):
                results.clear_params()

    # -- text ----------------------------------------------------------------------------------------------------------

    def query_info_str_by_arch(self, arch: object, hp: object = HP) -> str:
        """Two lines for the cell and two a data set, in the mirrored package's words."""
        hp = given_hp(hp)
        self._say("query_info_str_by_arch", arch=arch, hp=hp)
        index = self._index(arch)
        return "\n".join(self._lines(self._of(index, hp), f"arch-index={index}"))

    def query_by_arch(self, arch: object, hp: object) -> str:
        """`query_info_str_by_arch`, under its old name."""
        return self.query_info_str_by_arch(arch, hp)

    def show(self, index: int = -1) -> None:
        """Prints one architecture; all of them for a negative index."""
        if index < 0:
            print(self)
            for i, each in enumerate(self._indexes):
                print(f"\n{'-' * 10} The ({i:5d}/{len(self._indexes):5d}) {each:06d}-th architecture! {'-' * 10}")
                print(f"arch : {self.meta_archs[each]}")
                self._show_one(each)
        elif index >= len(self):
            print(f"This index ({index}) is out of range (0~{len(self)}).")
        elif index not in self._there:
            print(f"The {index}-th architecture has not been evaluated or not saved.")
        else:
            self._show_one(index)

    def _show_one(self, index: int) -> None:
        for results in self._present(index).values():
            lines = self._lines(results, None)
            print(f"{'>' * 40} {results.get_total_epoch():03d} epochs {'>' * 40}")
            print("\n".join(lines))
        print(f"{'<' * 40}------------{'<' * 40}")

    def _lines(self, results: Results, extra: str | None) -> list[str]:
        return describe(results, extra, self._join, self._benchmark is SIZES)

    def _say(self, method: str, **arguments: object) -> None:
        """The log that `verbose` asks for."""
        if self.verbose:
            print(f"Call {method} with {', '.join(f'{name}={value}' for name, value in arguments.items())}")

    # -- inside --------------------------------------------------------------------------------------------------------

    @cached_property
    def _indexes(self) -> list[int]:
        """The official indices of the cells that the table has, upwards."""
        there = np.zeros(len(self.table._index_at), dtype=bool)
        if self.table.trials is not None:
            there[self.table.trials.places] = True
        else:
            for figure in self.table.figures:
                there |= np.isfinite(self.table.values(*figure)).reshape(-1)
        found: list[int] = np.sort(self.table._index_at[there]).tolist()
        return found

    @cached_property
    def _there(self) -> frozenset[int]:
        return frozenset(self._indexes)

    @property
    def avaliable_hps(self) -> list[str]:
        """'12' and '200', or of widths '01', '12' and '90'; as far as the table has them."""
        return [f"{epochs:02d}" for epochs in sorted({figure.epochs for figure in self.table.figures})]

    def _index(self, arch: object) -> int:
        """The index of whatever names an architecture. DropinError where there is none."""
        if type(arch) is int and 0 <= arch < len(self):
            return arch
        verbose, self.verbose = self.verbose, False  # the caller has said already what it was asked
        try:
            index = self.query_index_by_arch(arch)
        finally:
            self.verbose = verbose
        if index < 0:
            raise DropinError(f"architecture {str(arch)[:100]!r} is not in {self._benchmark.title}")
        return index

    def _cell(self, index: int) -> Cell:
        """{hp: results} of a cell, remembered for a while; empty if the table has nothing of it."""
        if (pinned := self._pinned.get(index)) is not None:
            return pinned
        if (held := self._held.get(index)) is not None:
            self._held.move_to_end(index)
            return held
        self._held[index] = found = self._read(index)
        if len(self._held) > HELD:
            self._answers.pop(self._held.popitem(last=False)[0], None)
        return found

    def _read(self, index: int) -> Cell:
        architecture, trials = self.table.arch(index), self.table.trials
        place = int(self.table.place(architecture))
        if trials is not None:
            records = trials.cell(place, index, architecture.text)
            return OrderedDict((hp, self._results.of(record)) for hp, record in records.items())
        hps = self.avaliable_hps if index in self._there else []
        return OrderedDict((hp, MeanResults(self.table, place, index, architecture.text, int(hp))) for hp in hps)

    def _present(self, index: int) -> Cell:
        if not (cell := self._cell(index)):
            raise DropinError(f"table {self.table.name} has nothing of architecture {index}")
        return cell

    def _of(self, index: int, hp: object) -> Results:
        cell = self._present(index)
        if (found := cell.get(str(hp))) is None:
            raise DropinError(
                f"table {self.table.name} has nothing of hp={hp!r}: it has {', '.join(cell)} epochs ('table import' of "
                f"NAS-Bench-201's .pth or of NATS-Bench's files brings {', '.join(self._benchmark.hps[:-1])} and "
                f"{self._benchmark.hps[-1]})"
            )
        return found
