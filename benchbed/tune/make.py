"""A study from its storage to its files: what the command `tune` and `benchbed.tune` share."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from optuna.trial import FrozenTrial

from ..errors import BenchbedError
from ..runtime.options import RunOptions
from ..runtime.reading import parse_toml
from .report import claim, write
from .slots import Slot
from .storage import opened, shared
from .study import Study
from .trial import Runner
from .worker import Worker, given_up, prepare, queue_of, run_workers

if TYPE_CHECKING:
    import pandas as pd


class Tuned(NamedTuple):
    """What a study came to. files: trials.csv, best.toml where a trial is complete, and those of the front."""

    study: Study
    slots: Sequence[Slot]
    trials: Sequence[FrozenTrial]
    files: tuple[Path, ...]

    @property
    def best(self) -> dict[str, Any] | None:
        """The configuration of the best trial, as `benchbed.run(config=...)` takes it; None where none is complete."""
        found = [file for file in self.files if file.name == "best.toml"]
        return parse_toml(found[0].read_text()) if found else None

    @property
    def unfinished(self) -> str:
        """Why the study is not over, in one line; '' where it is."""
        most, count = self.study.options.retries + 1, len(self.slots)
        missing = sum(slot.done is None for slot in self.slots)
        if lost := given_up(self.slots, self.study.options.retries):
            return f"{len(lost)} of {count} trials were given up after {most} attempts each; trials.csv says why"
        return f"{missing} of {count} trials are missing: the same command goes on" if missing else ""

    def frame(self) -> "pd.DataFrame":
        """A row a trial, as in trials.csv."""
        import pandas as pd

        return pd.read_csv(self.files[0])

    def __repr__(self) -> str:
        name, more = self.study.options.name, f" ({self.unfinished})" if self.unfinished else ""
        return f"Tuned '{name}': {len(self.slots)} trials{more}, in {self.files[0].parent}"


def tuned(study: Study, options: RunOptions, workers: int, dry: bool = False) -> Tuned:
    """Makes the trials that are left, here or in `workers` processes, and writes the files to options.out.

    Raises BenchbedError where the storage holds another study, and where workers cannot share it.
    """
    if workers > 1 and not shared(study.options.storage):
        raise BenchbedError(
            f"--workers {workers} share no storage 'memory': add --storage journal:FILE, or a database (from Python "
            "storage='journal:FILE')"
        )
    with opened(study.options.storage, study.options.heartbeat, study.options.grace) as storage:
        made = prepare(study, storage)
        if not dry:
            claim(study, options.out)
        try:
            if workers > 1:
                run_workers(study, workers, options)
            else:
                Worker(study, storage, Runner(study, options, dry=dry), options.reporter).work()
        finally:  # what there is, is written where the rest is given up too
            slots, trials = queue_of(study, storage, made).look(), made.get_trials(deepcopy=False)
            files = tuple(write(study, slots, trials, options.out))
    return Tuned(study, slots, trials, files)
