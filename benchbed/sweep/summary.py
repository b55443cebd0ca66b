"""What a sweep prints on stdout: its figures when it is done, and how far it is."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ..pipeline.many import Run, in_words
from ..pipeline.record import Record
from ..report.plugins import console
from ..report.terminal import grid_summary
from ..runtime.failures import failures
from ..runtime.typed_command import typed_command
from .state import Standing, mixed_versions, saved_runs, standing
from .study import Study, place


def summary(runs: Sequence[Run], records: Mapping[str, Record]) -> None:
    """For each part of the grid whose methods can be compared, and each set of options, the table of `run`."""
    out = console()
    parts: dict[tuple[Any, ...], list[Run]] = {}
    for run in runs:
        options = tuple((k, str(v)) for k, v in run.point.items() if k.startswith(("searcher.", "selector.")))
        parts.setdefault((*place(run.point), *options), []).append(run)
    for part, group in parts.items():
        if part:
            out.print("\n" + ", ".join(f"{key} {value}" for key, value in part), markup=False)
        grid_summary([records[run.id] for run in group], out)


def status_facts(saved: Mapping[str, Any], now: Standing) -> dict[str, Any]:
    """How far a sweep is: the ids of the runs in each state, with what is known of them."""
    return {
        "study": saved["name"],
        "runs": len(now.runs),
        "done": list(now.records),
        "at_work": {id_: str(owner) for id_, owner in now.at_work.items()},
        "damaged": dict(now.damaged),
        "failed": {id_: f.reason for id_, f in now.failures.items() if id_ not in now.damaged},
        "left": len(now.runs) - len(now.records),
    }


def status_lines(saved: Mapping[str, Any], now: Standing, out: Path) -> list[str]:
    """How far a sweep is: counts, then a line for each run that is at work, damaged or failed."""
    searches, points = {run["search"] for run in saved["runs"]}, {run["id"]: run["point"] for run in saved["runs"]}
    left = len(now.runs) - len(now.records)
    lines = [
        f"study {saved['name']} in {out}: {len(searches):,} searches, {len(now.runs):,} selections",
        f"done {len(now.records):,}, at work {len(now.at_work):,}, failed {len(now.failures.keys() - now.damaged):,}, "
        f"damaged {len(now.damaged):,}, left {left:,}; {now.searches_done:,} searches have a finished selection",
    ]
    lines += [f"at work: {id_} ({in_words(points[id_])}), {owner}" for id_, owner in now.at_work.items()]
    lines += [f"damaged: {id_}: {reason}" for id_, reason in now.damaged.items()]
    for id_, failure in now.failures.items():
        if id_ not in now.damaged and id_ not in now.at_work:
            lines.append(f"failed: {id_}: {failure.reason} (tried {failure.attempts} times)")
    if (mixed := mixed_versions(now.records.values())) is not None:
        lines.append(f"warning: {mixed}")
    if (lost := failures(out)[1]) is not None:
        lines.append(f"warning: {lost}")
    return lines


def report_line(out: Path, study: Study) -> str | None:
    """Writes the report of the study's folder, once every run has a record or has failed, and says where it is.

    Where other shards are still at it: says how the report is made later. None where no run has a record.
    """
    now = standing(out, saved_runs(study.runs), look_for_work=False)
    ended = now.records.keys() | now.damaged.keys() | now.failures.keys()
    if left := len(study.runs) - len(ended):
        return f"report: not yet, {left:,} runs of the study are left; then: {typed_command('report', out)}"
    if not now.records:
        return None
    from ..report.write import Report

    written = Report(out, out / "report").write()
    return f"report: {', '.join(map(str, written))}"
