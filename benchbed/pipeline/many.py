"""Any list of runs on the pool: in this process, in workers of this machine, on a cluster."""

from collections.abc import Sequence

from ..runtime.options import RunOptions
from ..runtime.workers import HERE, Pool
from .config import RunConfig
from .record import Record
from .run import run_all


def records_of(configs: Sequence[RunConfig], options: RunOptions, pool: Pool = HERE) -> list[Record]:
    """The record of each run, in order; a search that several share is made once, by one worker, with all selections.

    What is done in `options.out` is read. Whatever can be refused in any run is refused before the first begins. With a
    shard: the records of its runs alone. A run that fails is noted in OUT/failures.jsonl and the others go on; then
    BenchbedError names it.
    """
    return run_all(list(configs), options)
