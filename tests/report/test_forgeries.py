"""A finished run, changed in one place: refused, found by `verify`, or in a place that it says it cannot verify."""

import random
import re
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import torch

from benchbed import registry
from benchbed.errors import BenchbedError
from benchbed.pipeline.resolve import expand
from benchbed.pipeline.run import run_all
from benchbed.report.verify import verified
from benchbed.runtime.options import RunOptions
from benchbed.tables import trusted

from . import forge

PLUGIN = '''"""DARTS, its figures scaled by a helper's number."""

import forged_helper

from benchbed.searchers.darts import DARTS


class Scaled(DARTS):
    def arch_step(self, problem, batch, clock):
        return {key: value * forged_helper.SCALE for key, value in super().arch_step(problem, batch, clock).items()}
'''
# What `verify` says that it cannot verify, and how its lines name it.
UNVERIFIABLE = (
    (r"(seconds|peak_memory_bytes)\b", "seconds and memory"),
    (r"\b(segments|versions|machine|commit|finished)\b", "segments, versions, machine, commit, finished"),
    (r"^record: format$", "format, segments"),
    (r"config[:.] ?(origins|data|splits|protocol|processes)\b", "config.origins, config.protocol, config.processes, "),
    (r"\btable\.name$|task_facts\.table$", "names of tables"),
    (r"^search's config: (table|scoring)\.", "the search's config.json beyond the search"),
    (r"^table: metadata (seeds|sources|notes)\b", "names of seeds, sources, notes"),
)


class Run(NamedTuple):
    run: Path
    search: Path
    table: Path
    helper: Path
    plugin: Path


@pytest.fixture
def made(tmp_path: Path, table_file: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Run]:
    """A run of a plug-in with a helper, selected by perturbation on a table of its own."""
    table, helper, plugin = tmp_path / "own.npz", tmp_path / "forged_helper.py", tmp_path / "scaled.py"
    table.write_bytes(table_file.read_bytes())
    helper.write_text("SCALE = 1.0\n")
    plugin.write_text(PLUGIN)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(registry, "_USER_FILES", {})
    registry.add_file(plugin)
    raw: dict[str, Any] = {"objective": "table", "table": str(table), "dataset": "cifar10", "epochs": 2, "steps": 4,
                           "selector": {"draws": 2}}  # fmt: skip
    (one,) = run_all(expand(raw, ["scaled"], ["perturb"], [0]), RunOptions(tmp_path / "runs", torch.device("cpu")))
    yield Run(tmp_path / "runs" / one.id, tmp_path / "runs" / "searches" / one.search, table, helper, plugin)
    sys.modules.pop("forged_helper", None)


def forgeries(made: Run, rng: random.Random, tables: int) -> Iterator[tuple[Path, forge.Forgery]]:
    """Every leaf of every file of the run changed once, so many changes of the table, and of the plug-in's files."""
    files = (
        (made.run / "record.json", "record", forge.of_json),
        (made.run / "config.json", "config", forge.of_json),
        (made.run / "history.jsonl", "history", forge.of_lines),
        (made.run / "checkpoint.pt", "checkpoint", forge.of_checkpoint),
        (made.search / "record.json", "search's record", forge.of_json),
        (made.search / "config.json", "search's config", forge.of_json),
        (made.search / "history.jsonl", "search's history", forge.of_lines),
        (made.search / "checkpoint.pt", "search's checkpoint", forge.of_checkpoint),
        (made.table, "table", lambda file, _, r: forge.of_table(file, tables, r)),
        (made.helper, "helper", lambda file, what, r: forge.of_source(file, what, 20, r)),
        (made.plugin, "plug-in", lambda file, what, r: forge.of_source(file, what, 20, r)),
    )
    for file, what, kind in files:
        for one in kind(file, what, rng):
            yield file, one


def outcome(made: Run, file: Path, forgery: forge.Forgery) -> str:
    """What `verify` says of it; the file is put back."""
    kept = file.read_bytes()
    forgery.make()
    assert file.read_bytes() != kept, forgery.where
    trusted._here.clear()  # a table is looked at once a process
    try:
        found = verified(made.run)
    except BenchbedError:
        return "refused"
    finally:
        file.write_bytes(kept)
    last = re.split(r"[ .]", forgery.where)[-1]
    if found.differences or found.incomparable:
        return "found"
    if any(last in line for line in found.notes):
        return "named as not compared"
    said = "\n".join(line for line in found.lines() if line.startswith("cannot be verified: "))
    if any(re.search(pattern, forgery.where) and words in said for pattern, words in UNVERIFIABLE):
        return "named as unverifiable"
    return "MISSED"


def check(made: Run, tried: list[tuple[Path, forge.Forgery]]) -> Counter[str]:
    assert verified(made.run).status == 0
    found = [(one.where, outcome(made, file, one)) for file, one in tried]
    assert [where for where, what in found if what == "MISSED"] == []
    assert verified(made.run).status == 0  # all is as it was
    return Counter(what for _, what in found)


def test_forgeries_are_refused_found_or_named(made: Run) -> None:
    """Forty of them, drawn from all."""
    rng = random.Random(1)
    counts = check(made, rng.sample(list(forgeries(made, rng, 20)), 40))
    assert counts["refused"] + counts["found"] >= 15


@pytest.mark.slow
def test_a_thousand_forgeries(made: Run) -> None:
    rng = random.Random(2)
    tried = [*forgeries(made, rng, 150), *forgeries(made, rng, 150)]
    assert len(tried) >= 1000
    print(f"{len(tried)} forgeries: {dict(check(made, tried))}")
