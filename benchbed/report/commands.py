"""The commands that make a row of a table again, and those that add a control that is missing, as TOML files."""

import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from ..errors import BenchbedError
from ..pipeline.again import as_given
from ..pipeline.record import GIVEN, Record
from ..runtime.files import toml_text
from ..spaces.load import load_space
from .groups import CONSTANT, PURE_RANDOM, RANDOM_SEARCH, UNIFORM, Group, Row, slug

LIKED = ("nor_conv_3x3", "sep_conv_3x3", "conv_3x3")  # the operation of a constant cell, where a space has it
IDLE = ("none", "zero", "identity", "skip_connect", "noise")


class Command(NamedTuple):
    """What to type; `file`: the name of the TOML file that it reads, and `text` its content."""

    line: str
    file: str
    text: str


def remake(group: Group, row: Row, place: Path, folder: Path) -> Command:
    """The command that makes a row's runs, or scores those of another's file again; what is done it finds done.

    place: the folder of the runs; folder: where the file will lie.
    """
    one = row.records[0]
    if one.selector == GIVEN:
        table = one.config["table"]
        words = ["score", one.notes["given"]["file"], "--table", table["name"], "--dataset", table["dataset"], "--out"]
        return Command(f"python -m benchbed {shlex.join([*words, str(place)])}", "", "")
    given = _given(one, place) | {
        "searcher": {"name": one.searcher, **one.config["searcher"]["options"]},
        "selector": {"name": one.selector, **one.config["selector"]["options"]},
    }
    return _command(given, list(row.seeds), folder, slug(f"{group.slug} {row.name}"), one.config.get("processes", 1))


def missing_controls(group: Group, place: Path, folder: Path) -> list[tuple[str, Command | None]]:
    """For each control that no record of the group is of: a line that says so, and the command that adds it.

    Where no operation stands at every position there is no constant cell, and no command.
    """
    there, model = {row.control for row in group.rows}, _model(group)
    if model is None:
        return _for_others(group, place, folder)
    one, seeds = model.records[0], list(model.seeds)
    found: list[tuple[str, Command | None]] = []
    if RANDOM_SEARCH not in there:
        if model.simulated:  # in the table's seconds: as many, after as many epochs
            own = one.config["searcher"]["options"]
            equal = {"budget": own["budget"], **({"fidelity": own["fidelity"]} if "fidelity" in own else {})}
            given = _given(one, place) | {"searcher": {"name": PURE_RANDOM[0], **equal}}
            given |= {"selector": {"name": "magnitude"}}
            words = f"random search in the simulated seconds of {model.searcher}"
        else:
            given = _given(one, place) | {"searcher": {"name": UNIFORM}, "selector": {"name": "best-of"}}
            words = f"random search at the cost of {model.searcher} ({UNIFORM} x best-of, the same epochs)"
        found.append((words, _command(given, seeds, folder, f"{group.slug}-control-random")))
    if CONSTANT not in there:
        operation = constant_operation(group.space, group.space_options)
        if operation is None:
            found.append((f"a constant cell: no operation of {group.space} stands at every position", None))
        else:
            given = _given(one, place) | {
                "searcher": {"name": one.searcher, **one.config["searcher"]["options"]},
                "selector": {"name": "constant", "operation": operation},
            }
            words = f"the constant cell ({operation} everywhere)"
            found.append((words, _command(given, seeds, folder, f"{group.slug}-control-constant")))
    return found


def _for_others(group: Group, place: Path, folder: Path) -> list[tuple[str, Command | None]]:
    """The controls of a group in which no run is benchbed's: on its table, by a random search of the dearest's cost."""
    there, one = {row.control for row in group.rows}, group.rows[0].records[0]
    seeds = sorted({record.seed for record in group.records})
    table = {"table": one.config["table"]["name"], "dataset": one.config["table"]["dataset"]}
    given = {"space": group.space, "objective": "table", **table, "out": str(place)}
    found: list[tuple[str, Command | None]] = []
    costs = [seconds for row in group.rows if (seconds := row.search_seconds()) > 0]  # NaN: not known
    if RANDOM_SEARCH not in there and costs:
        budget = {"searcher": {"name": PURE_RANDOM[0], "budget": max(costs)}, "selector": {"name": "magnitude"}}
        words = f"random search on the table for {max(costs):,.0f} s, what the dearest method took"
        found.append((words, _command(given | budget, seeds, folder, f"{group.slug}-control-random")))
    elif RANDOM_SEARCH not in there:
        found.append(("random search at equal cost: no method's seconds are known", None))
    operation = constant_operation(group.space, group.space_options)
    if CONSTANT not in there and operation is not None:
        cell = {"searcher": {"name": UNIFORM}, "selector": {"name": "constant", "operation": operation}, "epochs": 1}
        command = _command(given | cell, seeds, folder, f"{group.slug}-control-constant")
        found.append((f"the constant cell ({operation} everywhere)", command))
    return found


def _model(group: Group) -> Row | None:
    """The row whose settings a control takes over: the best that is no control itself, else the best; of our runs."""
    ours = [row for row in group.rows if row.selector != GIVEN]
    return next((row for row in ours if not row.control), ours[0] if ours else None)


def constant_operation(space: str, options: Mapping[str, Any]) -> str | None:
    """An operation that may be selected at every position and does something; a 3x3 convolution where there is one."""
    try:
        positions = load_space(space, dict(options)).positions
    except BenchbedError:  # a user's own space whose file is not given here
        return None
    allowed = [
        [name for name, ok in zip(p.operations, p.selectable, strict=True) if ok and name not in IDLE]
        for p in positions
    ]  # fmt: skip
    everywhere = [name for name in allowed[0] if all(name in names for names in allowed)]
    return next((name for name in LIKED if name in everywhere), everywhere[0] if everywhere else None)


def _given(record: Record, place: Path) -> dict[str, Any]:
    """A record's configuration as a user would give it, but for the names and the seeds."""
    given = {key: value for key, value in as_given(record.config, {}).items() if key != "origins"}
    return {**given, "out": str(place)}


def _command(given: Mapping[str, Any], seeds: Sequence[int], folder: Path, name: str, processes: int = 1) -> Command:
    file = f"{name[:100]}.toml"
    start = "python -m benchbed" if processes == 1 else f"torchrun --nproc-per-node {processes} -m benchbed"
    line = f"{start} run --config {shlex.quote(str(folder / file))}"
    ranges = seed_ranges(seeds)
    if len(ranges) == 1:
        return Command(line, file, toml({**given, "seeds": ranges[0]}))
    return Command(f"for s in {' '.join(ranges)}; do {line} --seeds $s; done", file, toml(given))


def seed_ranges(seeds: Sequence[int]) -> list[str]:
    """Seeds, upwards, as FIRST:AFTER_LAST."""
    breaks = [i for i in range(1, len(seeds)) if seeds[i] != seeds[i - 1] + 1]
    starts, ends = [0, *breaks], [*breaks, len(seeds)]
    return [f"{seeds[a]}:{seeds[b - 1] + 1}" for a, b in zip(starts, ends, strict=True)]


def toml(values: Mapping[str, Any]) -> str:
    """Plain values and tables as TOML; a None and an empty table are left out, a None in a table is 'none'.

    That is what `run` reads as no value: TOML has none.
    """
    return toml_text({key: value for key, value in values.items() if value is not None and value != {}})
