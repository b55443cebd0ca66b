"""What a study came to: a table, `trials.csv`, and the best configuration as a file that `run` takes."""

import csv
import io
import json
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from optuna.trial import FrozenTrial, TrialState
from rich.console import Console

from .. import registry
from ..errors import BenchbedError
from ..report.columns import Column, fitted, put
from ..report.markdown import write_files
from ..runtime.files import make_folder, one_line, toml_text
from ..runtime.reading import LIMITS, csv_cell, read_bytes
from ..tables.figures import in_epochs
from .options import OBJECTIVES
from .slots import ERROR, RETRIED, SLOT, STOPPED, SUPERSEDED, Slot
from .study import Study

ROWS = 10  # of the printed table


def ranked(study: Study, slots: Sequence[Slot]) -> list[FrozenTrial]:
    """The complete trials, best first by the first objective; ties by the next ones, then the earlier trial."""
    done = [slot.done for slot in slots if slot.done is not None and slot.done.state == TrialState.COMPLETE]
    return sorted(done, key=lambda trial: (_costs(study, trial).tolist(), trial.number))


def _costs(study: Study, trial: FrozenTrial) -> np.ndarray:
    """(objectives,): the less the better."""
    return np.array([-v if OBJECTIVES[name] == "maximize" else v
                     for name, v in zip(study.options.objectives, trial.values, strict=True)])  # fmt: skip


def pareto(study: Study, slots: Sequence[Slot]) -> list[FrozenTrial]:
    """Of several objectives, the trials that none beats in all."""
    trials = ranked(study, slots)
    costs = [_costs(study, trial) for trial in trials]
    return [t for t, own in zip(trials, costs, strict=True)
            if not any((other <= own).all() and (other < own).any() for other in costs)]  # fmt: skip


def short(study: Study, trial: FrozenTrial) -> str:
    """A trial in one line."""
    if trial.state == TrialState.COMPLETE:
        named = zip(study.options.objectives, trial.values, strict=True)
        came_to = "  ".join(f"{name} {value:.6g}" for name, value in named)
    else:
        came_to = f"{trial.state.name.lower()} after {in_epochs(len(trial.intermediate_values))}"
    parameters = "  ".join(f"{name}={_short(value)}" for name, value in trial.params.items())
    return f"trial {trial.number}: {came_to}  {parameters}"


def _short(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def counts(slots: Sequence[Slot], retries: int) -> dict[str, int]:
    """How many slots and attempts are in which state; one that is given up gets no more of the `retries`."""
    done = [slot.done for slot in slots if slot.done is not None]
    live = [slot.live for slot in slots if slot.live is not None]
    failed = [t for slot in slots for t in slot.failed]
    return {
        "asked for": len(slots),
        "complete": sum(t.state == TrialState.COMPLETE for t in done),
        "pruned": sum(t.state == TrialState.PRUNED for t in done),
        "running": sum(t.state == TrialState.RUNNING for t in live),
        "waiting": sum(slot.open(retries) for slot in slots) - sum(t.state == TrialState.RUNNING for t in live),
        "given up": sum(slot.done is None and not slot.open(retries) for slot in slots),
        "failed attempts": sum(ERROR in t.user_attrs for t in failed),
        "lost attempts": sum(ERROR not in t.user_attrs for t in failed),
    }


def print_page(study: Study, slots: Sequence[Slot], console: Console) -> None:
    """The counts, and the best trials; of several objectives those of the front."""
    put(console, ["  ".join(f"{name} {number}" for name, number in counts(slots, study.options.retries).items())])
    several = len(study.options.objectives) > 1
    rows = pareto(study, slots) if several else ranked(study, slots)
    if not rows:
        return
    title = f"the front, {len(rows)} trials" if several else f"the best {min(len(rows), ROWS)} of {len(rows)}"
    names = ("trial", *study.options.objectives, *study.distributions)
    columns = [Column(name, right=True, rank=max(0, n - len(study.options.objectives))) for n, name in enumerate(names)]
    table = []
    for trial in rows[:ROWS]:
        values = [f"{value:.6g}" for value in trial.values]
        parameters = [_short(trial.params[name]) for name in study.distributions]
        table.append([str(trial.number), *values, *parameters])
    put(console, [title, *fitted(columns, table, console.width)])


def in_json(study: Study, slots: Sequence[Slot]) -> dict[str, Any]:
    """The counts, and every complete trial, the best first; of several objectives those of the front."""
    rows = pareto(study, slots) if len(study.options.objectives) > 1 else ranked(study, slots)
    return {
        "study": study.options.name,
        "counts": counts(slots, study.options.retries),
        "trials": [
            {"trial": t.number, **dict(zip(study.options.objectives, t.values, strict=True)), "params": t.params}
            for t in rows
        ],
    }


def claim(study: Study, out: Path) -> None:
    """Refuses, before any trial, a folder that cannot be written to or holds another study's `best.toml`."""
    with one_line(out, "write to"):
        make_folder(out)
        with tempfile.TemporaryFile(dir=out):
            pass
    best = out / "best.toml"
    with one_line(best, "read"):
        text = read_bytes(best, LIMITS.toml_bytes).decode(errors="replace") if best.is_file() else ""
        begins = text.splitlines()[:1]
    own = f" of study {json.dumps(study.options.name)}: "
    if begins and own not in begins[0]:
        raise BenchbedError(
            f"{best} is of another study than {json.dumps(study.options.name)} ({begins[0][:80]}): give another --out"
        )


def write(study: Study, slots: Sequence[Slot], trials: Sequence[FrozenTrial], out: Path) -> list[Path]:
    """`trials.csv`, `best.toml` where a trial is complete, and of several objectives `front/TRIAL.toml`. The paths."""
    files, front, best = {"trials.csv": trials_csv(study, trials)}, {}, ranked(study, slots)
    if best:
        files["best.toml"] = best_toml(study, best[0], len(best))
    if best and len(study.options.objectives) > 1:
        front = {f"{trial.number}.toml": best_toml(study, trial, len(best)) for trial in pareto(study, slots)}
        write_files(out / "front", front)
    write_files(out, files)
    for old in (out / "front").glob("*.toml"):
        if old.name not in front and old.stem.isdecimal():  # a trial that has left the front
            with one_line(old, "remove"):
                old.unlink(missing_ok=True)
    return [*(out / name for name in files), *(out / "front" / name for name in front)]


def trials_csv(study: Study, trials: Sequence[FrozenTrial]) -> str:
    """A row for every attempt: its slot, state, values (means over the seeds), parameters, and each seed's figures."""
    objectives = study.options.objectives
    of_seeds = [f"{name} seed {seed}" for name in objectives for seed in study.seeds]
    head = ["trial", "slot", "state", *objectives, *study.distributions, *of_seeds]
    buffer = io.StringIO()
    sheet = csv.writer(buffer, lineterminator="\n")
    sheet.writerow(map(csv_cell, [*head, "epochs", "seconds", "worker", "retry_of", "why"]))
    for trial in sorted(trials, key=lambda t: t.number):
        if trial.state == TrialState.WAITING and trial.user_attrs.get(SLOT, -1) >= study.options.trials:
            continue  # asked for by an earlier start, and no longer
        own = trial.values if trial.state == TrialState.COMPLETE else [""] * len(objectives)
        by_seed = {run["seed"]: run for run in trial.user_attrs.get("runs", [])}
        seeds = [by_seed.get(seed, {}).get(name, "") for name in objectives for seed in study.seeds]
        seconds = "" if trial.duration is None else f"{trial.duration.total_seconds():.2f}"
        parameters = [trial.params.get(name, "") for name in study.distributions]
        state = [trial.number, trial.user_attrs.get(SLOT, ""), trial.state.name.lower()]
        last = [trial.user_attrs.get("worker", ""), trial.system_attrs.get(RETRIED, ""), why(trial)]
        row = [*state, *own, *parameters, *seeds, len(trial.intermediate_values), seconds, *last]
        sheet.writerow(map(csv_cell, row))
    return buffer.getvalue()


def why(trial: FrozenTrial) -> str:
    """Why a failed attempt did."""
    if trial.state != TrialState.FAIL:
        return ""
    given = trial.user_attrs
    named = {SUPERSEDED: "superseded", STOPPED: "interrupted"}
    return given.get(ERROR) or next((text for key, text in named.items() if key in given), "lost with its worker")


def best_toml(study: Study, trial: FrozenTrial, among: int) -> str:
    """The study's runs with a trial's parameters, as a file for `run --config`."""
    came_to = ", ".join(f"{n} {v:.6g}" for n, v in zip(study.options.objectives, trial.values, strict=True))
    name, seeds = json.dumps(study.options.name), len(study.seeds)
    lines = [
        f"# Trial {trial.number} of study {name}: {came_to} (validation, mean of {seeds} seed(s)).",
        f"# The best of {among} is better by luck as well: judge it by seeds that the study has not seen.",
    ]
    given = {key: value for key, value in study.with_parameters(trial.params).items() if key != "origins"}
    if files := [str(file) for file in registry.user_files()]:
        lines.append(f"plugins = {json.dumps(files)}")
    return "\n".join([*lines, toml_text(given)])
