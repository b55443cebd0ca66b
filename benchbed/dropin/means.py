"""The same questions as `ArchResults`, of a table that has means over seeds and no single trainings."""

from typing import Any, NoReturn

from ..errors import BenchbedError
from ..spaces.nats_sss.space import CELL
from ..tables import Table
from ..tables.benchmarks import SIZES
from ..tables.figures import CLASSES, Figure
from ..tables.records import OFFICIAL
from .refusals import DropinError, only_means

DATASETS = ("cifar10-valid", "cifar10", "cifar100", "ImageNet16-120")
CHANNELS, CELLS = 16, 5  # of the published network of a cell, at its first stage and in each
SHAPED = "infer.shape.tiny"  # the official name of a network of given widths
HOW = "'table import' of NAS-Bench-201's .pth or of NATS-Bench's files brings it"


def ours(dataset: str) -> str:
    """The table's name of an official data set. DropinError if it is none."""
    if dataset not in DATASETS:
        raise DropinError(f"unknown data set {dataset!r}: known: {', '.join(DATASETS)}")
    return "cifar10" if dataset == "cifar10-valid" else dataset.lower()


class MeanResults:
    """One cell under one set of hyperparameters: what a table's columns say. `place`: in a flattened array."""

    def __init__(self, table: Table, place: int, arch_index: int, arch_str: str, epochs: int) -> None:
        self.table, self.place, self.epochs = table, place, epochs
        self.arch_index, self.arch_str = arch_index, arch_str

    def get_metrics(self, dataset: str, setname: str, iepoch: int | None = None, is_random: object = False) -> Any:
        """iepoch, and where the table has them accuracy (of an evaluation set) and all_time (of training).

        Of the last epoch alone, and means whatever `is_random` says but a seed, which no mean is of.
        """
        if iepoch is not None and not 0 <= iepoch < self.epochs:
            raise DropinError(f"invalid iepoch={iepoch}: epochs are 0 to {self.epochs - 1}")
        if iepoch not in (None, self.epochs - 1):
            self._lacks(f"figures after epoch {iepoch}, before the last")
        if is_random is True:
            only_means(self.table.name)
        elif is_random is not False:
            self._lacks(f"seed {is_random!r}, and no single training at all")
        found: dict[str, Any] = {"iepoch": self.epochs - 1}
        if setname == "train":
            if (seconds := self.train_seconds(dataset)) is not None:
                found["all_time"] = seconds
            return found
        return {**found, "accuracy": self._accuracy(dataset, "x-valid" if setname == "valid" else setname)}

    def _accuracy(self, dataset: str, setname: str) -> float:
        ours(dataset)
        if (dataset, setname) not in OFFICIAL:
            self._lacks(f"accuracy on '{setname}' of {dataset}")
        figure = Figure(*OFFICIAL[dataset, setname], self.epochs)
        try:
            return float(self.table.query(self.arch_str, *figure))
        except BenchbedError as error:
            raise DropinError(str(error)) from None

    def train_seconds(self, dataset: str) -> float | None:
        """Of the whole training; None where the table has no such column."""
        name, official = ours(dataset), [OFFICIAL[sets] for sets in OFFICIAL if sets[0] == dataset]
        for _, split in official:
            figure = Figure(name, split, self.epochs)
            if f"seconds/{figure}" in self.table.arrays:
                value = float(self.table.train_seconds(*figure).reshape(-1)[self.place])
                return value if value == value else None
        return None

    def get_compute_costs(self, dataset: str) -> dict[str, Any]:
        """flops, params (millions, by formula); latency, T-train@total, T-train@epoch where the table has them."""
        name = ours(dataset)
        found: dict[str, Any] = {"flops": self._cost("flops", name) / 1e6, "params": self._cost("params", name) / 1e6}
        if f"latency/{name}" in self.table.arrays:
            latency = self._cost("latency", name)
            found["latency"] = latency if latency == latency else None
        if (seconds := self.train_seconds(dataset)) is not None:
            found["T-train@total"], found["T-train@epoch"] = seconds, seconds / self.epochs
        return found

    def _cost(self, kind: str, name: str) -> float:
        try:
            return float(self.table.cost(kind, name).reshape(-1)[self.place])
        except BenchbedError as error:
            raise DropinError(str(error)) from None

    def get_latency(self, dataset: str) -> float:
        """Seconds a batch of 256. DropinError that names the missing column."""
        return self._cost("latency", ours(dataset))

    def known(self, dataset: str, setname: str) -> dict[str, Any]:
        """The accuracy on a set if the table has it; else nothing."""
        try:
            found: dict[str, Any] = self.get_metrics(dataset, setname)
        except DropinError:
            return {}
        return found

    def get_config(self, dataset: str) -> dict[str, Any]:
        """The network's, which is the same for the whole benchmark but for the cell or the widths."""
        classes = CLASSES[ours(dataset)]
        if self.table.meta["space"] == SIZES.space:
            return {"name": SHAPED, "channels": self.arch_str, "genotype": CELL, "num_classes": classes}
        return {"name": "infer.tiny", "C": CHANNELS, "N": CELLS, "arch_str": self.arch_str, "num_classes": classes}

    def get_dataset_names(self) -> list[str]:
        """The official data sets that the table has an accuracy of after these epochs."""
        there = {(f.dataset, f.split) for f in self.table.figures if f.epochs == self.epochs}
        return [d for d in DATASETS if any(OFFICIAL[sets] in there for sets in OFFICIAL if sets[0] == d)]

    def get_total_epoch(self, dataset: str | None = None) -> int:
        return self.epochs

    def get_dataset_seeds(self, dataset: str) -> NoReturn:
        ours(dataset)
        self._lacks("single trainings and their seeds")

    def query(self, dataset: str, seed: object = None) -> NoReturn:
        ours(dataset)
        self._lacks("single trainings")

    def get_net_param(self, dataset: str, seed: object = None) -> None:
        """None: a table keeps no weights."""

    def _lacks(self, what: str) -> NoReturn:
        raise DropinError(f"table {self.table.name} has no {what}: {HOW}")
