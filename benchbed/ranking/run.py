"""A run of proxies: jobs of a few architectures each, which are made once, and the scores of all."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float64

from ..errors import BenchbedError
from ..proxy import BatchOptions
from ..runtime.progress import Reporter
from ..runtime.workers import HERE, Pool, jobs_of
from ..space import Architecture, Space
from ..task import Task
from .asked import Asked
from .cells import stand_ins
from .measure import AT_ONCE, in_json
from .scores import Scores
from .setting import Setting, loaded

MEASURE = "benchbed.ranking.measure:measure"


class Ranked(NamedTuple):
    """The scores, how many networks each proxy was measured on, and the seconds that one of them took, by label."""

    scores: Scores
    measured: dict[str, int]
    seconds: dict[str, float]


def ready(setting: Setting, proxies: Sequence[Asked]) -> tuple[Space, Task]:
    """The space and the task; nothing is written yet. Raises BenchbedError for whatever a job would refuse."""
    _, space, task, _ = loaded(setting.model_dump_json(), "auto")
    for one in proxies:
        proxy = one.make()
        type(proxy).check(proxy.options, space, None)
        if isinstance(proxy.options, BatchOptions) and proxy.options.images > len(task.train):
            raise BenchbedError(
                f"proxy '{one.label}' looks at {proxy.options.images:,} training images, task '{task.name}' has "
                f"{len(task.train):,}: give {one.name}:batch=N, or a task of more images"
            )
    return space, task


def run(
    setting: Setting,
    proxies: Sequence[Asked],
    cells: Sequence[Architecture],
    out: Path,
    pool: Pool = HERE,
    device: str = "auto",
    reporter: Reporter | None = None,
) -> Ranked:
    """Every proxy's score of every architecture. Jobs that are done in `out` are read, not made again.

    Networks that differ in what reaches no output are scored once where the proxy says that they share a score.
    Raises BenchbedError where a job is refused; what is done is kept. The pool has no shard: a file holds all of it.
    """
    reporter = reporter or Reporter(quiet=True)
    space, task = ready(setting, proxies)
    instead = stand_ins(space, list(cells))
    each = {one.label: instead if one.make().of_function else list(cells) for one in proxies}
    parts = {label: in_parts([cell.text for cell in of]) for label, of in each.items()}
    shared = {"setting": setting.model_dump_json(), "task": task.fingerprint}
    payloads = [
        {**shared, "proxy": one.name, "options": one.options, "code": one.code, "cells": part}
        for one in proxies
        for part in parts[one.label]
    ]
    results = iter(_made(payloads, out, pool, device, reporter))
    ranked = Ranked(Scores(list(cells), {}), {}, {})
    for one in proxies:
        of, by_text, seconds = parts[one.label], dict[str, list[float]](), 0.0
        for part, result in zip(of, results):  # noqa: B905  (the results go on with the next proxy's)
            by_text.update((text, [float(x) for x in row]) for text, row in zip(part, result["scores"], strict=True))
            seconds += result["seconds"]
        rows = np.array([by_text[cell.text] for cell in each[one.label]])
        ranked.scores.columns.update(columns_of(one, rows))
        ranked.measured[one.label] = len(by_text)
        ranked.seconds[one.label] = seconds / len(by_text)
    return ranked


def in_parts(texts: list[str]) -> list[list[str]]:
    """The strings, each once, by job."""
    once = list(dict.fromkeys(texts))
    return [once[at : at + AT_ONCE] for at in range(0, len(once), AT_ONCE)]


def columns_of(one: Asked, measured: Float64[np.ndarray, "n parts"]) -> dict[str, Float64[np.ndarray, " n"]]:
    """A proxy's columns in a file of scores: its parts, where it has any, and the score."""
    proxy = one.make()
    if not proxy.parts:
        return {one.label: measured[:, 0]}
    found = {f"{one.label}.{part}": measured[:, k] for k, part in enumerate(proxy.parts)}
    return {**found, one.label: proxy.combine(measured)}


def _made(
    payloads: list[dict[str, Any]], out: Path, pool: Pool, device: str, reporter: Reporter
) -> list[dict[str, Any]]:
    """The jobs' results. This process tells how far it is job by job; workers tell it themselves."""
    if not pool.here:
        return jobs_of(MEASURE, payloads, out, pool, device, reporter)
    reporter.begin("scoring", len(payloads))
    results = []
    for number, payload in enumerate(payloads, 1):
        results += jobs_of(MEASURE, [payload], out, pool, device, reporter)
        reporter.advance(number, payload["proxy"])
    return results


def facts(setting: Setting, task: Task, ranked: Ranked) -> dict[str, Any]:
    """What a file of scores is of, as JSON: for the file beside it."""
    return {
        **setting.model_dump(),
        "fingerprint": task.fingerprint,
        "architectures": len(ranked.scores.cells),
        "networks": ranked.measured,
        "seconds": {label: in_json(value) for label, value in ranked.seconds.items()},
    }
