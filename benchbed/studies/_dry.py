"""The dry run of a study: runs, measurements, rows and figures in a few steps, in a folder that is removed again."""

import tempfile
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from ..pipeline.build import Parts, build_parts, task_in
from ..pipeline.config import RunConfig
from ..pipeline.dry import Glancing, cut, in_words, shortened, walked
from ..pipeline.record import Record
from ..runtime.options import RunOptions
from ..runtime.workers import Pool
from ..space import Architecture
from ..study import Lab, finish, prepared
from ..task import Task

MOST = 2  # of a list of options


class Dry(Lab):
    """Whatever is asked of it is made of few images, and in few steps."""

    whole: Sequence[RunConfig] = ()  # the runs, before they were cut down
    made: Sequence[Record] = ()
    build = staticmethod(partial(build_parts, supernet=partial(Glancing, Counter[str]())))

    def task(self, config: RunConfig) -> Task:
        return cut(super().task(config), config)

    def records(self, configs: Sequence[RunConfig], pool: Pool) -> list[Record]:
        self.made = [walked(config, task_in(self._tasks, config), self.options, keep=True) for config in self.whole]
        return list(self.made)

    def parts(self, config: RunConfig, search: str | None = None) -> Parts:
        return super().parts(shortened(config, config.epochs), search)

    def test_accuracy(self, config: RunConfig, chosen: Architecture, dataset: str | None = None) -> float:
        return super().test_accuracy(shortened(config, config.epochs), chosen, dataset)


def walk(name: str, values: Mapping[str, Any], options: RunOptions) -> str:
    """Walks the study on its first seed; a line on what was walked. Raises BenchbedError as `prepared` does."""
    whole = prepared(name, values, options)
    given = {key: getattr(whole.options, key) for key in type(whole.options).model_fields if key != "set"}
    few: dict[str, Any] = {key: value[:MOST] for key, value in given.items() if isinstance(value, list | tuple)}
    few |= {key: value for key, value in (("full_cost", False), ("seeds", given.get("seeds", ())[:1])) if key in given}
    with tempfile.TemporaryDirectory(prefix="benchbed-dry-") as scratch:
        lab = Dry(options._replace(out=Path(scratch)))
        lab._tasks = whole.lab._tasks
        study = type(whole)(whole.options.model_copy(update=few | whole.few), lab)
        study.name, study.base = name, whole.base
        study.check()
        epochs = max([1, *(epoch + 1 for epoch in study.snapshots())])
        runs = study.runs(study.base)
        lab.whole = list(runs.values())
        study.configs = {key: shortened(config, epochs) for key, config in runs.items()}
        lab.options = lab.options._replace(snapshots=study.snapshots())
        done = finish(study)
    files = ", ".join(file.name for file in done.files)
    return in_words(lab.made, f"study {name} went from {len(lab.made)} run(s) to {len(done.rows)} row(s) and {files}")
