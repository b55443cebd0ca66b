"""`verify`: a run's search, selection and score made again, in a folder that is removed, against its record."""

import json
import tempfile
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from pydantic import ValidationError

from .. import registry
from ..errors import BenchbedError, unknown
from ..pipeline.budget import repeatable
from ..pipeline.build import build_parts, check_config, run_id, search_id, space_of, task_of
from ..pipeline.config import RunConfig
from ..pipeline.record import GIVEN, RECORD_KEYS, Record, checked, first_wrong, malformed, upgraded, upgraded_config
from ..pipeline.resolve import file_sha256
from ..pipeline.run import in_json, what_came_out, what_was_run
from ..pipeline.saved import refuse_another, saved_config, use_kept
from ..pipeline.score import TABLE_KEYS, score, score_by_table, scored_in
from ..pipeline.search import run_search
from ..pipeline.select import run_selection
from ..pipeline.tables import TableConfig
from ..runtime.folder import REMADE, Folder, load_checkpoint, read_json
from ..runtime.machine import made_with, pick_device, threads
from ..runtime.options import RunOptions
from ..runtime.progress import Reporter
from ..runtime.stage import ENVIRONMENT, differences, segment
from ..selector import Selection
from ..task import Task
from ..typed import typed
from .verify_files import NEVER, NOTHING, apart, both, files_apart, snapshots_in

NEEDED = (*RECORD_KEYS, "config", "scores", "state_sha256")
STAGES = ("search", "selection", "score")
TABLE_FIGURES = tuple(key for key in TABLE_KEYS if key != "table")
MOST_LINES = 5  # of a file that differs
NOT_COMPARABLE = 3  # exit status


@dataclass
class Verified:
    """What came of it, a line each.

    incomparable: what differs in a stage that was computed with another processor, torch, device or number of threads.
    elsewhere: how this machine and these versions are not the record's. notes: what was not compared.
    """

    record: Path
    done: list[str] = field(default_factory=list)
    same: list[str] = field(default_factory=list)
    differences: list[str] = field(default_factory=list)
    incomparable: list[str] = field(default_factory=list)
    elsewhere: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def status(self) -> int:
        """0 where everything that was asked for repeats, 1 where something differs, 3 where it cannot be compared."""
        return 1 if self.differences else NOT_COMPARABLE if self.incomparable else 0

    def compare(self, name: str, there: object, here: object, condition: str) -> None:
        """Puts down a figure: the record's, and what came out now. condition: why they cannot be compared, or ''."""
        if there == here:
            self.same.append(f"{name} {_short(there)}")
        else:
            self.differs(f"{name} {_short(there)}, now {_short(here)}", condition)

    def differs(self, line: str, condition: str) -> None:
        (self.incomparable if condition else self.differences).append(f"{line} ({condition})" if condition else line)

    def lines(self) -> list[str]:
        """For the terminal, the verdict last."""
        lines = [f"same: {line}" for line in self.same] + [f"not done: {line}" for line in self.notes]
        lines += [f"cannot be verified: {line}" for line in NEVER]
        lines += [f"made elsewhere: {line}" for line in self.elsewhere]
        lines += [f"not comparable: {line}" for line in self.incomparable]
        lines += [f"DIFFERENT: {line}" for line in self.differences]
        *first, last = self.done
        stages = f"{', '.join(first)} and {last}" if first else last
        if self.differences:
            verdict = f"{len(self.differences)} difference(s)"
        elif self.incomparable:
            verdict = (
                f"not comparable: {len(self.incomparable)} figure(s) came out otherwise; they repeat bit for bit only "
                "with the same torch, processor, device and threads"
            )
        else:
            verdict = f"{stages} repeat{'' if first else 's'}, bit for bit"
        return [*lines, f"{self.record}: {verdict}"]


def verified(
    path: Path, device: str | None = None, skip: Collection[str] = (), reporter: Reporter | None = None
) -> Verified:
    """Repeats the stages of the run that the record at `path` (or in that folder) is of, but for those in `skip`.

    On the record's own kind of device unless one is named, with as many threads as each stage had. The selection starts
    from the search's checkpoint, whatever the repeated search gives; the score is of what the repeated selection
    chooses, or of the record's architecture. Nothing beside the record is touched. Raises BenchbedError where the
    record or its search is damaged or missing, or where code or data are not what they were.
    """
    for stage in skip:
        if stage not in STAGES:
            raise unknown("stage to --skip", stage, STAGES)
    if not (asked := [stage for stage in STAGES if stage not in skip]):
        raise BenchbedError("--skip search,selection,score leaves nothing to verify")
    path = _record_in(path)
    record = upgraded(path, read_json(path, NEEDED, REMADE))
    malformed(path, record)  # before a name in it is followed, or a number told to torch
    if record.get("objective") == GIVEN:
        return _given(path, record, asked)
    search = path.resolve().parent.parent / "searches" / str(record["search"])
    use_kept(path.resolve().parent)
    use_kept(search)
    config = _config(path, record)
    if not (search / "record.json").exists():
        raise BenchbedError(f"{path} names the search {record['search']}, which is not finished in {search.parent}")
    check_config(config)
    load_checkpoint(search / "checkpoint.pt")  # a damaged one is named before anything is repeated
    task = task_of(config)
    _refuse_changed(path, record, config, task)
    made_on = (record.get("machine") or {}).get("device", "cpu")
    where = pick_device(device or ("cpu" if made_on == "cpu" else "cuda"))
    found = Verified(path, asked, elsewhere=_elsewhere(record, made_with(where)))
    found.notes += [f"{stage}, by --skip {stage}" for stage in STAGES if stage in skip]
    if unknown_keys := sorted(record.keys() - Record.model_fields.keys()):
        found.notes.append(f"{', '.join(unknown_keys)}, which no record of this benchbed has")
    with tempfile.TemporaryDirectory(prefix="benchbed-verify-") as scratch:
        _Again(found, record, config, task, where, Path(scratch), reporter or Reporter(quiet=True)).stages(
            asked, search
        )
    try:
        checked(path, record)
    except BenchbedError as error:  # beside what was found: a figure that differs may be why
        found.differences.append(str(error).removeprefix(f"{path} "))
    return found


def _given(path: Path, record: Mapping[str, Any], asked: Collection[str]) -> Verified:
    """Of a result that benchbed did not make only the score can be taken again. Raises as `verified` does."""
    if "score" not in asked:
        raise BenchbedError(f"{path}: its search and selection are not benchbed's, there is only the score to verify")
    own, config = checked(path, record), TableConfig(**record["config"]["table"])
    table = config.open()
    cell = table.space.parse(own.architecture)
    found = Verified(path, ["score"])
    found.notes.append(f"search and selection, which are not benchbed's: {own.notes['given']['file']}")
    scored = scored_in(table, config.dataset, cell) | {"facts": table.space.facts(cell)}
    names = ["valid_accuracy", "test_accuracy", "facts", *TABLE_FIGURES]
    if own.network is None and scored["network"] is not None:  # of before records had it
        found.notes.append("network, of which the record says nothing")
        names.remove("network")
    for name in names:
        found.compare(name.replace("_", " "), own.get(name), scored[name], "")
    return found


@dataclass
class _Again:
    """The stages of one run, made once more below `scratch` and compared with its record."""

    found: Verified
    record: Mapping[str, Any]
    config: RunConfig
    task: Task
    device: torch.device
    scratch: Path
    reporter: Reporter

    def stages(self, asked: list[str], search: Path) -> None:
        self._configurations(search)
        searched: Mapping[str, Any] | None = None
        selection, figures = None, None
        if "search" in asked:
            with self._as_it_was("search") as condition:
                searched = self._search(condition, search)
        with self._as_it_was("selection") as condition:
            parts = build_parts(self.config, self.task, self.device)
            parts.restore(checkpoint := search / "checkpoint.pt")
            state = parts.digest()
            self._state("search", state, "in the search's checkpoint", "")
            if "selection" in asked:
                with Folder(self.scratch / "selection") as folder:
                    selection, figures = run_selection(parts, checkpoint, folder, self.reporter, sha256=state)
                self.found.compare("architecture", self.record["architecture"], str(selection.architecture), condition)
                self._scores(in_json(selection.scores), condition)
                self._state("selection", figures["state_sha256"], "after the selection", condition)
                self._files("the selection", self.found.record.parent, self.scratch / "selection", condition)
        if "score" in asked:
            with self._as_it_was("scoring") as condition:
                scored = self._score(selection, condition)
        if searched is not None and selection is not None and figures is not None and "score" in asked:
            with self._as_it_was("selection") as condition:
                came_out = what_came_out(parts, selection, searched, figures, scored)
                self._rest({**what_was_run(self.config, self.task), **came_out}, condition)

    def _search(self, condition: str, search: Path) -> Mapping[str, Any]:
        """The figures of the search, as the run's record has them, and all that lies in its own folder."""
        parts = build_parts(self.config, self.task, self.device)
        kept, snapshots = read_json(search / "record.json", (), REMADE), snapshots_in(search)
        with Folder(self.scratch / "search") as folder:
            again = run_search(parts, folder, self.reporter, snapshots)
        for key, figure in (self._inside() | self._on_top()).items():
            self.found.compare(key.replace("_", " "), figure, again.get(key), condition)
        self._state("search", again["state_sha256"], "after the search", condition)
        self._tree("the search's own record", kept, json.loads(json.dumps(again)), condition)
        self._files("the search", search, self.scratch / "search", condition)
        return again

    def _inside(self) -> dict[str, float]:
        """The search's figures that the run's record has in its section `supernet`."""
        found = self.record.get("supernet")
        figures = found if isinstance(found, Mapping) else {}
        return {key: figure for key, figure in figures.items() if isinstance(figure, int | float)}

    def _on_top(self) -> dict[str, float]:
        """Those that it has beside them."""
        figures = {key: self.record.get(key) for key in ("simulated_seconds", "supernet_accuracy")}
        return {key: figure for key, figure in figures.items() if isinstance(figure, int | float)}

    def _configurations(self, search: Path) -> None:
        """What `config.json` of the run and of its search say, beside the record's configuration."""
        file = self.found.record.parent / "config.json"
        kept = upgraded_config(read_json(file, ()))
        self._tree("config.json", {"config": kept}, {"config": upgraded_config(self.record["config"])}, "")
        saved = saved_config(search)
        refuse_another(search, saved, self.task)
        there, here = ({**c.search_key(), "task_options": c.task_options} for c in (saved, self.config))
        self._tree("the search's config.json", {"config": there}, {"config": here}, "")

    def _rest(self, again: Mapping[str, Any], condition: str) -> None:
        """Whatever else the record says; `again`: all that it would say now."""
        here = json.loads(json.dumps(again))
        there = {key: self.record.get(key) for key in here} | {"config": upgraded_config(self.record["config"])}
        done = ("architecture", "scores", "facts", "state_sha256", "valid_accuracy", "test_accuracy", *TABLE_FIGURES)
        inside = self._inside()
        for tree in (there, here):
            for key in (*done, *self._on_top()):
                tree.pop(key, None)
            if isinstance(tree.get("supernet"), Mapping):
                tree["supernet"] = {key: value for key, value in tree["supernet"].items() if key not in inside}
        self._tree("the record", there, here, condition)

    def _tree(self, what: str, there: object, here: object, condition: str) -> None:
        """Every leaf of a part of the record's, or of a file; one line where all are the same."""
        self._places(what, apart(there, here), condition)

    def _files(self, stage: str, there: Path, here: Path, condition: str) -> None:
        for name, found in files_apart(there, here):
            self._places(f"{stage}'s {name}", found, condition)

    def _places(self, what: str, found: list[tuple[str, object, object]], condition: str) -> None:
        """What differs, a line each up to MOST_LINES; a place where nothing was is one that cannot be compared."""
        if unsaid := [place for place, a, _ in found if a is NOTHING]:
            self.found.notes.append(f"{', '.join(unsaid)} in {what}, which says nothing of it")
        differ = [f"{place} in {what} {both(a, b)}" for place, a, b in found if a is not NOTHING]
        if not found:
            self.found.same.append(f"all else in {what}" if what == "the record" else f"all of {what}")
        for line in differ[:MOST_LINES]:
            self.found.differs(line, condition)
        if len(differ) > MOST_LINES:
            self.found.differs(f"{len(differ) - MOST_LINES} more in {what}", condition)

    def _score(self, selection: Selection | None, condition: str) -> Mapping[str, Any]:
        """The figures of the architecture by the run's table, or of a training from scratch."""
        space = space_of(self.config, self.task)
        if selection is None:
            chosen = space.parse(str(self.record["architecture"]))
            selection = Selection(chosen, space.gates(chosen), {})
        names = ["valid_accuracy", "test_accuracy"]
        self._facts(json.loads(json.dumps(space.facts(selection.architecture))))
        if self.config.table is not None:
            scored, condition = score_by_table(self.config, selection, self.reporter), ""  # nothing is computed
            names += TABLE_FIGURES
        else:
            with Folder(self.scratch / "score") as folder:
                options = RunOptions(self.scratch, self.device, reporter=self.reporter)
                scored = score(self.config, space, self.task, selection, folder, options)
            names.append("network")
        silent = [name for name in names if self.record.get(name) is None and scored[name] is not None]
        if unsaid := [name for name in silent if name != "predicted"]:  # which every record of a surrogate says
            self.found.notes.append(f"{', '.join(unsaid)}, of which the record says nothing")
        for name in (name for name in names if name not in unsaid):
            self.found.compare(name.replace("_", " "), self.record.get(name), scored[name], condition)
        return scored

    def _facts(self, here: Mapping[str, Any]) -> None:
        there: Mapping[str, Any] = found if isinstance(found := self.record.get("facts"), Mapping) else {}
        apart = [key for key in dict.fromkeys([*there, *here]) if there.get(key) != here.get(key)]
        if not apart:
            self.found.same.append("every fact about the architecture")
        for key in apart:
            self.found.compare(f"the architecture's {key}", there.get(key), here.get(key), "")

    def _state(self, stage: str, digest: str, where: str, condition: str) -> None:
        states = self.record["state_sha256"] if isinstance(self.record["state_sha256"], Mapping) else {}
        self.found.compare(f"state {where}", str(states.get(stage)), digest, condition)

    def _scores(self, here: list[list[float | None]], condition: str) -> None:
        if self.record["scores"] == here:
            self.found.same.append("every score of the selection")
        else:
            self.found.differs(_score_differences(self.record["scores"], here), condition)

    @contextmanager
    def _as_it_was(self, stage: str) -> Iterator[str]:
        """With as many threads as the stage had; gives what else was other then, or in its parts, as words."""
        segments = [one for one in self.record.get("segments") or [] if one.get("stage") in (stage, "run")]
        count = segments[0].get("threads") if segments else None
        with threads(count if isinstance(count, int) and count > 0 else None):
            here = segment("run", "epochs", 0, self.device)
            apart = [line for one in segments for line in differences(one, here, ENVIRONMENT)]
            yield "; ".join(dict.fromkeys(apart))


def _record_in(path: Path) -> Path:
    """The record of a run, given itself or its folder. Raises BenchbedError for the folder of a search or of runs."""
    if not path.is_dir():
        return path
    if path.resolve().parent.name == "searches":
        raise BenchbedError(f"{path} is a search, not a run: give the folder of a run that has it, beside 'searches'")
    runs = sorted(file.parent.name for file in path.glob("*/record.json"))
    if runs and not (path / "record.json").exists():
        raise BenchbedError(f"{path} holds {len(runs)} runs: give one of them, such as {path / runs[0]}")
    return path / "record.json"


def _config(path: Path, record: Mapping[str, Any]) -> RunConfig:
    try:
        config = RunConfig.model_validate(upgraded_config(record["config"]))
    except ValidationError as error:
        raise BenchbedError(f"{path} is damaged, or of another version (config: {first_wrong(error)})") from None
    for kind, plugin in (("searcher", config.searcher), ("selector", config.selector)):
        typed(registry.load(kind, plugin.name).Options, plugin.options, f"{kind} '{plugin.name}'")
    if not repeatable(config.budget):
        raise BenchbedError(f"{path}: its search was cut by the clock (budget {config.budget}), which nothing repeats")
    if config.processes > 1:
        raise BenchbedError(f"{path} was made by {config.processes} processes: verify repeats a run in one")
    return config


def _refuse_changed(path: Path, record: Mapping[str, Any], config: RunConfig, task: Task) -> None:
    """Raises BenchbedError where code, data or table are not what they were, or the record contradicts itself."""
    changed = [
        f"the {kind}'s file, or one that it imports"
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
    named = (("its search", record["search"], search_id(config, task)), ("the run", record["id"], run_id(config, task)))
    for what, there, here in named:
        if there != here:
            raise BenchbedError(
                f"{path} contradicts itself: with its config and this benchbed {what} would be {here}, not {there}: "
                "the config was edited, or another version made it"
            )


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


def _short(value: object) -> str:
    """A figure, or the first digits of a digest."""
    return value[:12] if isinstance(value, str) and len(value) == 64 else str(value)


def _score_differences(there: Any, here: list[list[float | None]]) -> str:
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
