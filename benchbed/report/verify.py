"""`verify`: a run's selection made again from its search, in a folder that is removed, and compared with its record."""

import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import torch
from pydantic import ValidationError

from .. import registry
from ..errors import BenchbedError
from ..pipeline.build import build_parts, check_config, run_id, search_id, task_of
from ..pipeline.config import RunConfig
from ..pipeline.kept import use_kept
from ..pipeline.record import RECORD_KEYS
from ..pipeline.resolve import file_sha256
from ..pipeline.run import in_json
from ..pipeline.score import score_by_table
from ..pipeline.select import run_selection
from ..runtime.folder import REMADE, Folder, read_json
from ..runtime.machine import made_with, pick_device
from ..runtime.progress import Reporter
from ..task import Task
from ..typed import typed

NEEDED = (*RECORD_KEYS, "config", "scores", "state_sha256")
TABLE_FIGURES = ("valid_accuracy", "test_accuracy", "rank")


class Verified(NamedTuple):
    """What came of it: a line each."""

    record: Path
    same: list[str]
    differences: list[str]
    elsewhere: list[str]  # how this machine and these versions are not the record's
    notes: list[str]

    def lines(self) -> list[str]:
        """For the terminal, the verdict last."""
        lines = [f"same: {line}" for line in self.same] + [f"not compared: {line}" for line in self.notes]
        lines += [f"made elsewhere: {line}" for line in self.elsewhere]
        lines += [f"DIFFERENT: {line}" for line in self.differences]
        count = len(self.differences)
        verdict = f"{count} difference(s)" if count else "the selection repeats, bit for bit"
        if count and self.elsewhere:
            verdict += ": figures repeat bit for bit only with the same versions, processor, device and threads"
        return [*lines, f"{self.record}: {verdict}"]


def verified(path: Path, device: str | None = None) -> Verified:
    """Repeats the selection that the record at `path` (or in that folder) is of.

    On the record's own kind of device unless one is named, with as many threads. A score by a table is looked up
    again; a training from scratch is not repeated. Nothing beside the record is touched. Raises BenchbedError where
    the record or its search is damaged or missing, or where code or data are not what they were.
    """
    path = path / "record.json" if path.is_dir() else path
    record = read_json(path, NEEDED, REMADE)
    search = path.resolve().parent.parent / "searches" / str(record["search"])
    use_kept(path.resolve().parent)
    use_kept(search)
    config = _config(path, record)
    if not (search / "record.json").exists():
        raise BenchbedError(f"{path} names the search {record['search']}, which is not finished in {search.parent}")
    check_config(config)
    task = task_of(config)
    _refuse_changed(path, record, config, task)
    made_on = (record.get("machine") or {}).get("device", "cpu")
    where = pick_device(device or ("cpu" if made_on == "cpu" else "cuda"))
    with _threads((record.get("machine") or {}).get("threads")), tempfile.TemporaryDirectory() as scratch:
        elsewhere = _elsewhere(record, made_with(where))
        parts = build_parts(config, task, where)
        parts.restore(search / "checkpoint.pt")
        again: dict[str, Any] = {"state_sha256": {"search": parts.digest()}}
        with Folder(Path(scratch) / "run") as folder:
            selection, figures = run_selection(parts, search / "checkpoint.pt", folder, Reporter(quiet=True))
    again["state_sha256"]["selection"] = figures["state_sha256"]
    again |= {"architecture": str(selection.architecture), "scores": in_json(selection.scores)}
    notes = []
    if config.table is not None:
        scored = score_by_table(config, selection, Reporter(quiet=True))
        again |= {name: scored[name] for name in TABLE_FIGURES}
    else:
        notes.append("the score: it was trained from scratch, which verify does not repeat")
    return Verified(path, *_compared(record, again), elsewhere, notes)


def _config(path: Path, record: Mapping[str, Any]) -> RunConfig:
    try:
        config = RunConfig.model_validate(record["config"])
    except ValidationError as error:
        first = error.errors()[0]
        name = ".".join(str(part) for part in first["loc"])
        raise BenchbedError(f"{path} is damaged, or of another version (config.{name}: {first['msg']})") from None
    for kind, plugin in (("searcher", config.searcher), ("selector", config.selector)):
        typed(registry.load(kind, plugin.name).Options, plugin.options, f"{kind} '{plugin.name}'")
    if config.processes > 1:
        raise BenchbedError(f"{path} was made by {config.processes} processes: verify repeats a selection in one")
    return config


def _refuse_changed(path: Path, record: Mapping[str, Any], config: RunConfig, task: Task) -> None:
    """Raises BenchbedError where code, data or table are not what they were, or the record contradicts itself."""
    changed = [
        f"the {kind}'s file"
        for kind, plugin in (("searcher", config.searcher), ("selector", config.selector))
        if file_sha256(kind, plugin.name) != plugin.sha256
    ]
    facts, table = record.get("task_facts"), record.get("table")
    if isinstance(facts, Mapping) and facts.get("fingerprint") != task.fingerprint:
        changed.append("the task's data")
    if config.table is not None and isinstance(table, Mapping):
        there, here = table.get("fingerprint"), config.table.open().fingerprint
        if there != here:
            changed.append(f"table {config.table.name} (fingerprint {there}, here {here})")
    if changed:
        raise BenchbedError(f"{path} was made with other code or data: changed: {', '.join(changed)}")
    if record.get("seed") != config.seed:
        raise BenchbedError(f"{path} contradicts itself: seed {record.get('seed')}, in its config {config.seed}")
    if (search := search_id(config, task)) != record["search"]:
        raise BenchbedError(
            f"{path} contradicts itself: with its config and this benchbed its search would be {search}, not "
            f"{record['search']}: the config was edited, or another version made it"
        )
    if (run := run_id(config, task)) != record["id"]:
        raise BenchbedError(
            f"{path} contradicts itself: with its config and this benchbed the run would be {run}, not {record['id']}: "
            "the config was edited, or another version made it"
        )


@contextmanager
def _threads(count: Any) -> Iterator[None]:
    """As many threads as the record was made with, where it says: sums are in another order with others."""
    before = torch.get_num_threads()
    if isinstance(count, int) and count > 0:
        torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _elsewhere(record: Mapping[str, Any], here: Mapping[str, Any]) -> list[str]:
    lines = []
    if record.get("commit") != here["commit"]:
        lines.append(f"commit {record.get('commit')}, here {here['commit']}")
    for section in ("versions", "machine"):
        there = record.get(section) or {}
        for key in dict.fromkeys([*there, *here[section]]):
            if there.get(key) != here[section].get(key):
                lines.append(f"{key} {there.get(key)}, here {here[section].get(key)}")
    return lines


def _compared(record: Mapping[str, Any], again: Mapping[str, Any]) -> tuple[list[str], list[str]]:
    """(what is the same, what is not): a line each."""
    same: list[str] = []
    different: list[str] = []
    for key in ("architecture", *TABLE_FIGURES):
        if key in again:
            text = f"{key.replace('_', ' ')} {record.get(key)}"
            (same if record.get(key) == again[key] else different).append(
                text if record.get(key) == again[key] else f"{text}, now {again[key]}"
            )
    if record["scores"] == again["scores"]:
        same.append("every score of the selection")
    else:
        different.append(_scores(record["scores"], again["scores"]))
    there = record["state_sha256"] if isinstance(record["state_sha256"], Mapping) else {}
    for stage, digest in again["state_sha256"].items():
        if there.get(stage) == digest:
            same.append(f"state after the {stage}, {digest[:12]}")
        else:
            different.append(f"state after the {stage} {str(there.get(stage))[:12]}, now {digest[:12]}")
    return same, different


def _scores(there: Any, here: list[list[float | None]]) -> str:
    """How many scores differ, and the greatest difference."""
    try:
        pairs = [(a, b) for x, y in zip(there, here, strict=True) for a, b in zip(x, y, strict=True) if a != b]
    except (TypeError, ValueError):
        return "scores: the record's are of another shape"
    gaps = [abs(a - b) for a, b in pairs if isinstance(a, int | float) and isinstance(b, int | float)]
    return (
        f"{len(pairs)} score(s), by up to {max(gaps):.3g}"
        if gaps
        else f"{len(pairs)} score(s) are there on one side only"
    )
