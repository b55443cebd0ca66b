"""The runs of a study made by the pool, one shard of them: what is left is handed out, what failed is noted."""

from pathlib import Path
from typing import NamedTuple

from ..pipeline.many import Run, job_of, maker
from ..pipeline.record import Record
from ..runtime.board import Board
from ..runtime.failures import Failure, note_failure
from ..runtime.progress import Reporter
from ..runtime.watch import Track
from ..runtime.workers import Pool, Scheduler, hired
from .plan import counts
from .state import claim, saved_runs, standing
from .study import Study


class Swept(NamedTuple):
    """The shard's runs, and by id what each of them came to: a record or a failure."""

    runs: list[Run]
    records: dict[str, Record]
    failures: dict[str, Failure]


def swept(
    study: Study, out: Path, pool: Pool, extend: bool, mixed: bool, reporter: Reporter, track: Track | None = None
) -> Swept:
    """Makes the shard's runs in workers; what is done in `out` is read, a damaged record is a failure.

    Raises BenchbedError, before anything is made, where the machine or the folder is not for this study.
    """
    runs = study.shard(pool)
    before = standing(out, saved_runs(runs), look_for_work=False)
    left = [run for run in runs if run.id not in before.records and run.id not in before.damaged]
    executor, size = None, 0
    if left:  # refuses before anything is made
        executor, size = hired(maker(track), out, pool, study.device)
    try:
        claim(out, study, extend)
    except BaseException:
        if executor is not None:
            executor.close()
        raise
    done = f"; done before: {len(before.records):,}" if before.records else ""
    reporter.line(f"{counts(study, runs)}{done}, in {out}")
    failures = {id_: Failure(id_, reason) for id_, reason in before.damaged.items()}
    for failure in failures.values():
        note_failure(out, failure)
    records = dict(before.records)
    if executor is not None:
        with Board(reporter, len(runs), len(before.records), size) as board:
            scheduler = Scheduler(executor, size, board, pool.retries, pool.stall, out)
            made = scheduler.run([job_of(run, mixed=mixed, track=track) for run in left])
            reporter.line(board.words)
        records |= {id_: Record.model_validate(result) for id_, result in made.results.items()}
        failures |= made.failures
    return Swept(runs, records, failures)
