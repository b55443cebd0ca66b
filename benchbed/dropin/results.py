"""One architecture's trainings under one set of hyperparameters, as the originals give them: `ArchResults`."""

import random
from collections.abc import Callable, Iterable, Sequence
from typing import Any, SupportsInt

from ..errors import unknown
from ..tables.trials import Record
from .refusals import DropinError
from .trial import ResultsCount, mean


class ArchResults:
    """`all_results`: trainings by (data set, seed); `dataset_seed`: seeds by data set, in the official names.

    `_mean` and `_costs` are how the mirrored package averages over seeds, and which FLOPs and parameters it averages.
    """

    _mean: Callable[[Sequence[Any]], Any] = staticmethod(mean)
    _trials: type[ResultsCount] = ResultsCount

    def __init__(self, arch_index: SupportsInt, arch_str: str) -> None:
        self.arch_index, self.arch_str = int(arch_index), arch_str
        self.all_results: dict[tuple[str, Any], ResultsCount] = {}
        self.dataset_seed: dict[str, list[Any]] = {}
        self.clear_net_done = False

    @classmethod
    def of(cls, record: Record) -> "ArchResults":
        """A table's."""
        made = cls(record.arch_index, record.text)
        made.all_results = {key: cls._trials.of(trial) for key, trial in record.trials.items()}
        made.dataset_seed, made.clear_net_done = record.seeds, record.cleared
        return made

    # -- figures -------------------------------------------------------------------------------------------------------

    def get_metrics(self, dataset: str, setname: str, iepoch: int | None = None, is_random: object = False) -> Any:
        """iepoch, loss, accuracy, cur_time, all_time of 'train' or an evaluation set, after epoch `iepoch` (the last).

        is_random: False, the mean over seeds; True, a seed drawn with Python's `random`; a number, that seed.
        """
        seeds, trials = self._seeds(dataset), self._all(dataset)
        infos = [t.get_train(iepoch) if setname == "train" else t.get_eval(setname, iepoch) for t in trials]
        if isinstance(is_random, bool) and is_random:
            return infos[random.randint(0, len(infos) - 1)]
        if isinstance(is_random, bool):
            return self._averaged(infos)
        if not isinstance(is_random, int):
            raise DropinError(f"invalid is_random {is_random!r}: expected True, False or a seed")
        if is_random not in seeds:
            raise DropinError(f"no seed {is_random} of {dataset}: there are {', '.join(map(str, seeds))}")
        return infos[seeds.index(is_random)]

    def get_compute_costs(self, dataset: str) -> dict[str, Any]:
        """flops and params (millions), latency (seconds a batch of 256), and `ResultsCount.get_times`, averaged."""
        trials = self._all(dataset)
        latencies = [value for value in (t.get_latency() for t in trials) if value > 0]
        found = {
            "flops": self._cost([t.flop for t in trials], dataset),
            "params": self._cost([t.params for t in trials], dataset),
            "latency": self._mean(latencies) if latencies else None,
        }
        return {**found, **self._averaged([t.get_times() for t in trials])}

    def _cost(self, values: list[Any], dataset: str) -> Any:
        return self._mean(values)

    def _averaged(self, infos: list[dict[str, Any]]) -> dict[str, Any]:
        gathered: dict[str, list[Any]] = {}
        for info in infos:
            for key, value in info.items():
                gathered.setdefault(key, []).append(value)
        return {key: None if values[0] is None else self._mean(values) for key, values in gathered.items()}

    def get_latency(self, dataset: str) -> float:
        """Seconds a batch of 256, the mean over seeds. DropinError if a seed has none."""
        found = []
        for seed, trial in zip(self._seeds(dataset), self._all(dataset), strict=True):
            latency = trial.get_latency()
            if not isinstance(latency, float) or latency <= 0:
                raise DropinError(f"invalid latency of {dataset} with seed {seed}: {latency}")
            found.append(latency)
        return sum(found) / len(found)

    def get_total_epoch(self, dataset: str | None = None) -> int:
        names: Iterable[str] = self.dataset_seed if dataset is None else [dataset]
        epochs = [trial.get_total_epoch() for name in names for trial in self._all(name)]
        if len(set(epochs)) != 1:
            raise DropinError(f"trainings of different numbers of epochs: {epochs}")
        return epochs[-1]

    # -- what there is -------------------------------------------------------------------------------------------------

    def get_dataset_names(self) -> list[str]:
        return list(self.dataset_seed)

    def get_dataset_seeds(self, dataset: str) -> list[Any]:
        return list(self._seeds(dataset))

    def query(self, dataset: str, seed: object = None) -> Any:
        """The training of a seed; without one, all of the data set by seed."""
        if seed is None:
            return dict(zip(self._seeds(dataset), self._all(dataset), strict=True))
        return self._one(dataset, seed)

    def get_net_param(self, dataset: str, seed: object = None) -> object:
        """None, or None by seed: a table keeps no weights."""
        if seed is None:
            return {s: t.get_net_param() for s, t in self.query(dataset).items()}
        return self._one(dataset, seed).get_net_param()

    def arch_idx_str(self) -> str:
        return f"{self.arch_index:06d}"

    def _seeds(self, dataset: str) -> list[Any]:
        if dataset not in self.dataset_seed:
            raise DropinError(str(unknown(f"data set of architecture {self.arch_index}", dataset, self.dataset_seed)))
        return self.dataset_seed[dataset]

    def _all(self, dataset: str) -> list[ResultsCount]:
        return [self._one(dataset, seed) for seed in self._seeds(dataset)]

    def _one(self, dataset: str, seed: object) -> ResultsCount:
        found = self.all_results.get((dataset, seed))
        if found is None:
            raise DropinError(f"no training of architecture {self.arch_index} on {dataset} with seed {seed!r}: there "
                              f"are {', '.join(map(str, self._seeds(dataset)))}")  # fmt: skip
        return found

    # -- what a script may change --------------------------------------------------------------------------------------

    def reset_latency(self, dataset: str, seed: object, latency: float) -> None:
        for trial in self._chosen(dataset, seed):
            trial.update_latency([latency])

    def reset_pseudo_train_times(self, dataset: str, seed: object, estimated_per_epoch_time: float) -> None:
        for trial in self._chosen(dataset, seed):
            trial.reset_pseudo_train_times(estimated_per_epoch_time)

    def reset_pseudo_eval_times(
        self, dataset: str, seed: object, eval_name: str, estimated_per_epoch_time: float
    ) -> None:
        for trial in self._chosen(dataset, seed):
            trial.reset_pseudo_eval_times(eval_name, estimated_per_epoch_time)

    def _chosen(self, dataset: str, seed: object) -> list[ResultsCount]:
        return self._all(dataset) if seed is None else [self._one(dataset, seed)]

    def update(self, dataset_name: str, seed: object, result: ResultsCount) -> None:
        """Adds a training."""
        if seed in self.dataset_seed.get(dataset_name, ()) or (dataset_name, seed) in self.all_results:
            raise DropinError(f"architecture {self.arch_index} has seed {seed} on {dataset_name} already")
        self.dataset_seed[dataset_name] = sorted([*self.dataset_seed.get(dataset_name, ()), seed])
        self.all_results[dataset_name, seed] = result
        self.clear_net_done = False

    def clear_params(self) -> None:
        for trial in self.all_results.values():
            trial.net_state_dict = None
        self.clear_net_done = True

    def state_dict(self) -> dict[str, Any]:
        """The record in the official files' form."""
        trials = {key: trial.state_dict() for key, trial in self.all_results.items()}
        return {**self.__dict__, "all_results": trials}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        trials = {k: self._trials.create_from_state_dict(v) for k, v in state_dict["all_results"].items()}
        self.__dict__.update({**state_dict, "all_results": trials})

    @classmethod
    def create_from_state_dict(cls, state_dict_or_file: object) -> "ArchResults":
        if not isinstance(state_dict_or_file, dict):
            raise DropinError(
                f"a record is made from a dict, not from {state_dict_or_file!r}: 'table import' reads files"
            )
        made = cls(-1, "")
        made.load_state_dict(state_dict_or_file)
        return made

    def debug_test(self) -> None:
        """Prints latency and times of everything that there is."""
        for dataset in self.get_dataset_names():
            print(f"---->>>> {dataset}")
            print(f"The latency on {dataset} is {self.get_latency(dataset)} s")
            for trial in self._all(dataset):
                print(f"  ==>> result = {trial}")
                print(f"  ==>> cost = {trial.get_times()}")

    def __repr__(self) -> str:
        return (f"{type(self).__name__}(arch-index={self.arch_index}, arch={self.arch_str}, "
                f"{len(self.all_results)} runs, clear={self.clear_net_done})")  # fmt: skip
