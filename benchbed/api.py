"""benchbed from Python: the commands as functions, their options under the same names, results as `Results`.

    import benchbed
    results = benchbed.run(searcher="proxyless", selector=["magnitude", "perturb"], seeds=range(10), workers=2)
    results.summary()

An option of a section (`--set` on the command line) is given in one way, as `set={"supernet.lr": 0.1}`. What is bad
raises BenchbedError, whose text is the line that the command line prints. An interrupted call goes on when it is made
again, as a command does.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypedDict, Unpack

from .errors import BenchbedError, unknown

if TYPE_CHECKING:
    from .results import Results

Names = str | type | Sequence[str | type]  # of searchers or selectors; a class in place of a name
Settings = Mapping[str, Any] | Sequence[str]  # {"SECTION.KEY": value}, or the command line's "SECTION.KEY=VALUE"


class RunOptions(TypedDict, total=False):
    """The options of `run`, as `python -m benchbed run --help` explains them."""

    space: str
    objective: str
    task: Any
    data: str | Path
    splits: str | Path
    table: str | Path
    dataset: str
    latency: str | Path
    target: float
    seed: int
    epochs: int
    steps: int
    preset: str
    device: str
    config: str | Path | Mapping[str, Any]
    set: Settings
    plugin: str | Path | Sequence[str | Path]
    dry_run: bool
    force: bool
    snapshots: str | Iterable[int]


HOW = ("config", "set", "plugin", "dry_run", "force", "snapshots")  # options that are no part of a configuration
FLAGS = {"latency": "cost.table", "target": "cost.target"}  # where an option stands elsewhere in a configuration


def run(
    searcher: Names | None = None,
    selector: Names | None = None,
    *,
    seeds: str | Iterable[int] | None = None,
    workers: int = 1,
    out: str | Path | None = None,
    quiet: bool = False,
    **options: Unpack[RunOptions],
) -> "Results":
    """Searches, selects and scores; every searcher with every selector and seed. What was done before is read.

    out: the folder of the results, `runs` where nothing names another. quiet: no output at all. Raises BenchbedError as
    the command `run` refuses; KeyboardInterrupt leaves a state that the same call goes on from.
    """
    from .pipeline.given import names_in, seeds_in
    from .pipeline.resolve import expand
    from .pipeline.run import dry_run, run_all, snapshot_epochs
    from .results import Results
    from .runtime.options import RunOptions as How
    from .runtime.parallel import joined
    from .runtime.progress import Reporter

    given: dict[str, Any] = dict(options)
    _known("run", given, RunOptions)
    if workers != 1:
        raise BenchbedError(f"workers = {workers}: one is all there is, as yet")
    raw = _configuration({"searcher": _names(searcher), "selector": _names(selector), "out": _text(out)}, given)
    configs = expand(raw, names_in(raw, "searcher"), names_in(raw, "selector"), _seeds(seeds) or seeds_in(raw))
    kept = snapshot_epochs(given.get("snapshots"), configs)
    place = Path(raw.get("out", "runs")).absolute()
    with joined(raw.get("device", "auto")) as (group, where), Reporter(quiet or not group.leader) as reporter:
        how = How(place, where, bool(given.get("force")), reporter, group, kept)
        if given.get("dry_run"):
            return Results(dry_run(configs, how))
        return Results(run_all(configs, how), place)


def load(path: str | Path) -> "Results":
    """The finished runs of a folder, of one run's folder, or of the folder that a TOML file writes to."""
    from .results import Results

    return Results.read(path)


def _known(command: str, given: Mapping[str, Any], options: type) -> None:
    """Raises BenchbedError for an option that the command does not have."""
    for name in given:
        if name not in options.__annotations__:
            if name in ("supernet", "scoring", "task_options", "space_options", "cost"):
                raise BenchbedError(f"{name}: give options of a section as set={{'{name}.KEY': VALUE}}")
            raise unknown(f"option of {command}", name, options.__annotations__)


def _configuration(own: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """The raw configuration of a call: `own` and `given` over the file's values, `set` over both."""
    from .pipeline.given import configuration

    flags = {FLAGS.get(name, name): _text(value) for name, value in given.items() if name not in HOW}
    config, files = given.get("config"), given.get("plugin") or ()
    read = Path(config) if isinstance(config, str) else config
    plugins = map(Path, (files,) if isinstance(files, str | Path) else files)
    return configuration(read, {**own, **flags}, _settings(given.get("set")), plugins)


def _settings(given: Settings | None) -> list[str]:
    """As `--set` has them. A value is written as TOML has it, so that it is read back as what it was."""
    if not isinstance(given, Mapping):
        return list(given or ())
    return [f"{key}={_toml(value)}" for key, value in given.items()]


def _toml(value: Any) -> str:
    return "none" if value is None else json.dumps(_text(value))


def _text(value: Any) -> Any:
    return str(value) if isinstance(value, Path) else value


def _names(given: Names | None) -> str | None:
    if given is None or isinstance(given, str):
        return given
    several: Sequence[str | type] = [given] if isinstance(given, type) else given
    return ",".join(map(str, several))


def _seeds(given: str | Iterable[int] | None) -> list[int]:
    if given is None:
        return []
    if isinstance(given, str):
        from .pipeline.resolve import seed_range

        return list(seed_range(given))
    found = list(given)
    if not found:
        raise BenchbedError("seeds are empty: give at least one, such as range(10)")
    return found
