"""One training as the originals give it: `ResultsCount`.

What a table holds stays in its bytes until a script asks for a whole field, such as `train_losses`; from then on that
field is a plain dict or list that the script may change, and the answers are made from it.
"""

import copy
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ..tables.trials import EVAL, TRAIN, Trial
from .means import SHAPED
from .refusals import DropinError

_FIELDS = ("name", "net_state_dict", *TRAIN, "arch_config", "params", "flop", "seed", "epochs", "latency",
           "eval_names", *EVAL)  # fmt: skip


def mean(values: Sequence[Any]) -> Any:
    """nats_bench's: Python's sum, divided."""
    return sum(values) / len(values)


class ResultsCount:
    """One training of one architecture. Accuracies in percent, times and latency in seconds, epochs from 0.

    `_mean` and `_total` are how the mirrored package adds up seconds: sums are rounded as theirs.
    """

    _mean: Callable[[Sequence[Any]], Any] = staticmethod(mean)
    _total: Callable[[Sequence[Any]], Any] = staticmethod(sum)
    _trial: Trial | None = None

    def __init__(
        self, name: object, state_dict: object, train_accs: object, train_losses: object, params: object, flop: object,
        arch_config: Any, seed: object, epochs: Any, latency: Any,
    ) -> None:  # fmt: skip
        self._memo: dict[Any, Any] = {}
        self.name, self.net_state_dict = name, state_dict
        self.train_acc1es, self.train_losses = copy.deepcopy(train_accs), copy.deepcopy(train_losses)
        self.train_acc5es: object = None
        self.train_times: object = None
        self.arch_config, self.params, self.flop = copy.deepcopy(arch_config), params, flop
        self.seed, self.epochs, self.latency = seed, epochs, latency
        self.reset_eval()

    @classmethod
    def of(cls, trial: Trial) -> "ResultsCount":
        """A table's."""
        made = cls.__new__(cls)
        made._trial, made._memo = trial, {}
        return made

    def __getattr__(self, name: str) -> Any:
        """A field of the record, as a value of its own: asked for once, then an attribute like any other."""
        trial = self.__dict__.get("_trial")
        if trial is None or name not in _FIELDS:
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
        value = _field(trial, name)
        if not isinstance(value, int | float | str | None):  # what cannot be changed in place stays the table's
            self.__dict__[name] = value
        return value

    def __deepcopy__(self, memo: dict[int, Any]) -> "ResultsCount":
        made = type(self).__new__(type(self))
        made.__dict__.update({k: copy.deepcopy(v, memo) for k, v in self.__dict__.items() if k not in _SHARED})
        made._trial, made._memo = self._trial, {}
        return made

    # -- what is asked for ---------------------------------------------------------------------------------------------

    def get_train(self, iepoch: int | None = None) -> dict[str, Any]:
        """Loss, accuracy, seconds of this epoch and up to it; DropinError for an epoch that there is not."""
        epoch = self._checked(iepoch)
        try:
            now, total = self._times("train_times", None, epoch)
            if len(self.__dict__) == _UNTOUCHED and self._trial is not None:
                loss, accuracy = self._trial.pair("train_losses", "train_acc1es", None, epoch)
            else:
                loss, accuracy = self._at("train_losses", None, epoch), self._at("train_acc1es", None, epoch)
        except (KeyError, TypeError):
            raise DropinError(f"{self._words} has no training figures after epoch {epoch} (the first is 0)") from None
        return {"iepoch": epoch, "loss": loss, "accuracy": accuracy, "cur_time": now, "all_time": total}

    def get_eval(self, name: str, iepoch: int | None = None) -> dict[str, Any]:
        """The same on an evaluation set; 'valid' is 'x-valid'."""
        epoch, name = self._checked(iepoch), "x-valid" if name == "valid" else name
        try:
            now, total = self._times("eval_times", name, epoch)
            if len(self.__dict__) == _UNTOUCHED and self._trial is not None:
                loss, accuracy = self._trial.pair("eval_losses", "eval_acc1es", name, epoch)
            else:
                loss, accuracy = self._at("eval_losses", name, epoch), self._at("eval_acc1es", name, epoch)
        except (KeyError, TypeError):
            raise DropinError(
                f"{self._words} has no figures on '{name}' after epoch {epoch} (the first is 0); its sets are "
                f"{', '.join(self._names)}, some after the last epoch alone"
            ) from None
        return {"iepoch": epoch, "loss": loss, "accuracy": accuracy, "cur_time": now, "all_time": total}

    def get_times(self) -> dict[str, Any]:
        """Seconds of training and of each evaluation set: 'T-...@epoch' on average, 'T-...@total'; None: not kept."""
        if "times" in self._memo and self._pristine("train_times", "eval_times", "eval_names", "epochs"):
            return dict(self._memo["times"])
        found: dict[str, Any] = {}
        trained = None
        if self._has_train_times():
            trained = self._first("train_times", None, None)
        found["T-train@epoch"] = None if trained is None else self._mean(trained)
        found["T-train@total"] = None if trained is None else self._total(trained)
        for name in self._names:
            try:
                seconds = self._first("eval_times", name, self._epochs)
                found[f"T-{name}@epoch"], found[f"T-{name}@total"] = self._mean(seconds), self._total(seconds)
            except (KeyError, TypeError):
                found[f"T-{name}@epoch"] = found[f"T-{name}@total"] = None
        self._memo["times"] = found
        return dict(found)

    def get_latency(self) -> Any:
        """Seconds a batch of 256, the mean of what was measured; -1.0 if it was not."""
        latency = self._trial.latency() if self._trial and self._pristine("latency") else self.latency
        return -1.0 if latency is None else sum(latency) / len(latency)

    def get_total_epoch(self) -> int:
        return self._epochs

    def get_eval_set(self) -> list[str]:
        return self.eval_names

    def get_net_param(self, clone: bool = False) -> object:
        """None: a table keeps no weights."""
        return copy.deepcopy(self.net_state_dict) if clone else self.net_state_dict

    def get_config(self, str2structure: Callable[[str], object] | None) -> dict[str, Any]:
        """The network's: name, C channels, N cells a stage, the cell (`str2structure` of its string, if given).

        In the size space the channels of each layer, and the fixed cell.
        """
        own = self.arch_config
        if own.get("name") == SHAPED:
            cell = own["genotype"] if str2structure is None else str2structure(own["genotype"])
            return {"name": SHAPED, "channels": own["channels"], "genotype": cell, "num_classes": own["class_num"]}
        text = own["arch_str"]
        named = {"arch_str": text} if str2structure is None else {"genotype": str2structure(text)}
        size = {"name": "infer.tiny", "C": own["channel"], "N": own["num_cells"]}
        return {**size, **named, "num_classes": own["class_num"]}

    # -- what a script may change --------------------------------------------------------------------------------------

    def update_train_info(
        self, train_acc1es: object, train_acc5es: object, train_losses: object, train_times: object
    ) -> None:
        self.train_acc1es, self.train_acc5es = train_acc1es, train_acc5es
        self.train_losses, self.train_times = train_losses, train_times

    def reset_pseudo_train_times(self, estimated_per_epoch_time: float) -> None:
        self.train_times = OrderedDict.fromkeys(range(self._epochs), estimated_per_epoch_time)

    def reset_pseudo_eval_times(self, eval_name: str, estimated_per_epoch_time: float) -> None:
        if eval_name not in self._names:
            raise DropinError(f"unknown evaluation set '{eval_name}': known: {', '.join(self._names)}")
        self.eval_times.update({f"{eval_name}@{i}": estimated_per_epoch_time for i in range(self._epochs)})

    def reset_eval(self) -> None:
        self.eval_names: list[str] = []
        self.eval_acc1es: dict[str, Any] = {}
        self.eval_times: dict[str, Any] = {}
        self.eval_losses: dict[str, Any] = {}

    def update_latency(self, latency: object) -> None:
        self.latency = copy.deepcopy(latency)

    def update_eval(self, accs: Mapping[str, Any], losses: Mapping[str, Any], times: Mapping[str, Any]) -> None:
        """Adds evaluation sets, each complete, from dicts keyed '<set>@<epoch>'."""
        for name in {key.split("@")[0] for key in accs}:
            self._add_set(name)
            for key in (f"{name}@{i}" for i in range(self._epochs)):
                self.eval_acc1es[key], self.eval_losses[key] = accs[key], losses[key]
                self.eval_times[key] = times[key]

    def update_OLD_eval(self, name: str, accs: Mapping[int, Any], losses: Mapping[int, Any]) -> None:
        """Adds an evaluation set from dicts keyed by epoch, without times."""
        self._add_set(name)
        for i in range(self._epochs):
            if i in accs:
                self.eval_acc1es[f"{name}@{i}"], self.eval_losses[f"{name}@{i}"] = accs[i], losses[i]

    def _add_set(self, name: str) -> None:
        if name in self._names:
            raise DropinError(f"evaluation set '{name}' is there already")
        self.eval_names.append(name)

    def state_dict(self) -> dict[str, Any]:
        """The record in the official files' form."""
        return {name: getattr(self, name) for name in _FIELDS}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.__dict__.update(state_dict)

    @classmethod
    def create_from_state_dict(cls, state_dict: dict[str, Any]) -> "ResultsCount":
        made = cls(*[None] * 10)
        made.load_state_dict(state_dict)
        return made

    def __repr__(self) -> str:
        sets = ", ".join(self._names)
        return (f"{type(self).__name__}({self.name}, arch={self.arch_config['arch_str']}, FLOP={self.flop:.2f}M, "
                f"Param={self.params:.3f}MB, seed={self.seed}, {len(self._names)} eval-sets: [{sets}])")  # fmt: skip

    # -- inside --------------------------------------------------------------------------------------------------------

    def _pristine(self, *fields: str) -> bool:
        """Whether the table's bytes still answer for these fields: no script holds or has set one."""
        if self._trial is None:
            return False
        return len(self.__dict__) == _UNTOUCHED or not any(field in self.__dict__ for field in fields)

    @property
    def _epochs(self) -> int:
        epochs: int = self._trial.layout.epochs if self._trial and self._pristine("epochs") else self.epochs
        return epochs

    @property
    def _names(self) -> list[str]:
        return self._trial.layout.eval_names if self._trial and self._pristine("eval_names") else self.eval_names

    @property
    def _words(self) -> str:
        return f"{self.name} of seed {self.seed}, {self.epochs} epochs,"

    def _checked(self, iepoch: int | None) -> int:
        epochs = self._epochs
        epoch: int = epochs - 1 if iepoch is None else iepoch
        if not 0 <= epoch < epochs:
            raise DropinError(f"invalid iepoch={iepoch}: {self._words} has epochs 0 to {epochs - 1}")
        return epoch

    def _at(self, field: str, evaluated: str | None, epoch: int) -> object:
        if self._trial is not None and field not in self.__dict__:
            return self._trial.number(field, evaluated, epoch)
        return getattr(self, field)[epoch if evaluated is None else f"{evaluated}@{epoch}"]

    def _first(self, field: str, evaluated: str | None, count: int | None) -> list[Any]:
        """The values after the first epochs; None: after all that there are, in their order."""
        if self._trial is not None and field not in self.__dict__ and count is not None:
            return self._trial.numbers(field, evaluated, count)
        held = getattr(self, field)
        if count is None:
            return list(held.values())
        return [held[i if evaluated is None else f"{evaluated}@{i}"] for i in range(count)]

    def _has_train_times(self) -> bool:
        if self._trial is not None and "train_times" not in self.__dict__:
            return self._trial.layout.train["train_times"] is not None
        return isinstance(self.train_times, dict)

    def _times(self, field: str, evaluated: str | None, epoch: int) -> tuple[Any, Any]:
        """Seconds of an epoch, and of all up to it. The sum is remembered while the table's bytes answer."""
        if self._trial is not None and field not in self.__dict__:
            found: tuple[Any, Any] | None = self._memo.get((evaluated, epoch))
            if found is None:
                layout = self._trial.layout
                if layout.train[field] is None if evaluated is None else not layout.eval[field]:
                    return None, None
                seconds = self._trial.numbers(field, evaluated, epoch + 1)
                self._memo[evaluated, epoch] = found = seconds[-1], sum(seconds)
            return found
        if field == "train_times" and not self._has_train_times():
            return None, None
        held = getattr(self, field)
        if field == "eval_times" and not held:
            return None, None
        return self._at(field, evaluated, epoch), sum(self._first(field, evaluated, epoch + 1))


_SHARED = ("_trial", "_memo")
_UNTOUCHED = len(_SHARED)  # entries of an instance of a table's that no script has taken a field of


def _field(trial: Trial, name: str) -> object:
    """A field of the official record, as a new value."""
    if name in TRAIN:
        content = trial.by_epoch(name)
        return OrderedDict(content) if name == "train_times" and content is not None else content
    if name in EVAL:
        return trial.by_set(name)
    if name in ("params", "flop"):
        return trial.scalar(name)
    if name == "latency":
        return trial.latency()
    if name == "arch_config":
        return trial.config()
    if name == "eval_names":
        return list(trial.layout.eval_names)
    return None if name == "net_state_dict" else getattr(trial.layout, name)
