"""A study file: a configuration of `run` and a [grid] of lists over it, as the runs that it stands for.

epochs = 5                               # what `run --config` takes, shared by every run
[grid]
searcher = ["darts", "proxyless"]        # a key of `run`, now with a list
selector = ["magnitude", "perturb"]
seeds = "0:5"                            # or [3, 7, 11]
"searcher.alpha_lr" = [0.01, 0.1]        # an option, spelled as in --set; for those searchers that have it
effect = 1.0                             # points of accuracy that should be told apart; `--plan` says the seeds
[grid.needs]
gpus = 1                                 # of one run, as cpus and memory_gb
"""

import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from .. import registry
from ..errors import BenchbedError, unknown
from ..pipeline.config import identity
from ..pipeline.given import read_configuration, seeds_in
from ..pipeline.many import Run, check_runs, identified, in_words
from ..pipeline.protocol import Origins, dotted, followed
from ..pipeline.resolve import PLAIN, SECTIONS, check_sizes, laid_over, resolve, seed_range, with_settings
from ..runtime.executor import Needs
from ..runtime.workers import HERE, Pool
from ..task import Task
from ..typed import option_fields, typed

OF_OTHERS = ("tune",)  # sections that other commands read from the same file
AXES = ("searcher", "selector", *(key for key in PLAIN if key not in ("seed", "seeds", "device", "out")))
OF_GRID = ("seeds", "effect", "deviation", "needs")  # and no axes


class Study(NamedTuple):
    """The runs in the order in which they are made, seed by seed, those of one search together.

    raw: the file's own configuration and grid. effect, deviation: in points of test accuracy, None where not given.
    """

    name: str
    raw: dict[str, Any]
    runs: list[Run]
    needs: Needs
    effect: float | None
    deviation: float | None

    @property
    def id(self) -> str:
        """By content: two studies with the same runs are the same, wherever their files lie."""
        return identity("study", sorted(run.id for run in self.runs))

    @property
    def searches(self) -> dict[str, list[Run]]:
        """The runs of each search."""
        found: dict[str, list[Run]] = {}
        for run in self.runs:
            found.setdefault(run.search, []).append(run)
        return found

    @property
    def device(self) -> str:
        return str(self.raw.get("device", "auto"))

    def shard(self, pool: Pool) -> list[Run]:
        """The runs of the searches that are the pool's share."""
        return [run for runs in pool.part(list(self.searches.values())) for run in runs]


def read_study(path: Path) -> Study:
    """The study in a TOML file. Raises BenchbedError of one line for whatever any of its runs would refuse."""
    raw = read_configuration(path)
    known = (*SECTIONS, *PLAIN, "grid", *OF_OTHERS)
    for key in raw:
        if key not in known:
            raise unknown(f"key in {path}", key, known)
    if not isinstance(raw.get("grid"), dict):
        raise BenchbedError(f"{path} has no [grid]: a section with lists, such as seeds = '0:5' and searcher = [...]")
    base = {key: value for key, value in raw.items() if key not in ("grid", *OF_OTHERS)}
    base["origins"] = Origins({key: path.name for key, _ in dotted(with_settings(base, []))})
    return expand_study(path.stem, base, raw["grid"])


def expand_study(name: str, base: Mapping[str, Any], grid: Mapping[str, Any]) -> Study:
    """The study of a base configuration and a grid: see `read_study`."""
    raw = with_settings(base, [])
    axes, rest = _axes(raw, grid), {key: grid[key] for key in OF_GRID if key in grid}
    if not isinstance(asked := rest.get("needs", {}), dict):
        raise BenchbedError(f"grid.needs = {asked!r}: expected a section [grid.needs]")
    needs = typed(Needs, asked, "grid.needs")
    seeds = _seeds(raw, rest.get("seeds"))
    study = Study(name, {**raw, "grid": dict(grid)}, [], needs, _points(rest, "effect"), _points(rest, "deviation"))
    tasks: dict[str, Task] = {}
    first = list(_runs(raw, axes, seeds[0]))
    check_runs([run.config for run in first], tasks)
    for run, seed in ((run, seed) for seed in seeds for run in first):
        found = identified(run.config.model_copy(update={"seed": seed}), tasks)
        study.runs.append(found._replace(point={**run.point, "seed": seed}))
    _refuse_twice(study.runs)
    return study._replace(runs=study.shard(HERE))


# -- the grid ----------------------------------------------------------------------------------------------------------


def _axes(raw: Mapping[str, Any], grid: Mapping[str, Any]) -> dict[str, list[Any]]:
    """The values of each axis. Raises BenchbedError for a key that is none, an empty list, a key given twice."""
    if not grid:
        raise BenchbedError("[grid] is empty: give at least searcher = [...], selector = [...] or seeds = 'FIRST:END'")
    axes: dict[str, list[Any]] = {}
    for key, values in grid.items():
        if key in OF_GRID:
            continue
        section, dot, option = key.partition(".")
        if not (key in AXES or (dot and section in SECTIONS and option and option != "name")):
            raise unknown("key of [grid]", key, (*AXES, *OF_GRID, *(f"{s}.OPTION" for s in SECTIONS)))
        if not isinstance(values, list):
            raise BenchbedError(f"grid.{key} = {values!r}: expected a list; one value for every run goes above [grid]")
        if not values:
            raise BenchbedError(f"grid.{key} is an empty list: the study would have no run")
        if not dot and (odd := [v for v in values if isinstance(v, bool) or not isinstance(v, str | int)]):
            what = "names" if PLAIN.get(key, str) is str else "integers"
            raise BenchbedError(f"grid.{key} holds {odd[0]!r}: expected a list of {what}")
        given = raw.get(section, {}).get(option or "name") if section in SECTIONS else raw.get(key)
        if given is not None:
            raise BenchbedError(f"'{key}' is given both in [grid] and above it: keep one of them")
        axes[key] = values
    for kind in ("searcher", "selector"):
        if kind not in axes:
            axes[kind] = [n.strip() for n in str(followed(raw).get(kind, {}).get("name", "")).split(",") if n.strip()]
        if not axes[kind]:
            raise BenchbedError(f"no {kind} given: add {kind} = ['NAME', ...] to [grid]")
        for name in axes[kind]:
            registry.find(kind, name)
    return axes


def _seeds(raw: Mapping[str, Any], given: object) -> Sequence[int]:
    if given is None:
        return seeds_in(followed(raw))
    for key in ("seed", "seeds"):
        if key in raw:
            raise BenchbedError(f"'{key}' is given above [grid], which has seeds: keep one of them")
    if isinstance(given, str):
        return seed_range(given)
    if isinstance(given, list) and given and all(type(seed) is int and seed >= 0 for seed in given):
        return given
    raise BenchbedError(f"grid.seeds = {given!r}: expected a range such as '0:5', or a list of integers from 0 on")


def _runs(raw: Mapping[str, Any], axes: Mapping[str, list[Any]], seed: int) -> Iterator[Run]:
    """Each point of the grid at one seed; an axis that a searcher or selector lacks is passed over once."""
    base = dict(raw)
    for kind in ("searcher", "selector"):  # an option goes to those that have it: `resolve` looks at all names
        base[kind] = {**base.get(kind, {}), "name": ",".join(dict.fromkeys(axes[kind]))}
    others = [key for key in axes if key not in ("searcher", "selector")]
    for kind, _, option in (key.partition(".") for key in others if key.startswith(("searcher.", "selector."))):
        known = set().union(*(_options_of(kind, name) for name in axes[kind]))
        if option not in known:
            raise unknown(f"option of {kind}s {','.join(axes[kind])}:", option, known)
    for searcher in axes["searcher"]:
        for selector in axes["selector"]:
            has = {f"{kind}.{option}" for kind, name in (("searcher", searcher), ("selector", selector))
                   for option in _options_of(kind, name)}  # fmt: skip
            own = [key for key in others if key in has or not key.startswith(("searcher.", "selector."))]
            for values in itertools.product(*(axes[key] for key in own)):
                at = dict(zip(own, values, strict=True))
                merged = followed(with_settings(laid_over(base, at, "the grid", "grid."), []))
                check_sizes(merged, merged.get("space", "nb201"))
                config = resolve(merged, searcher, selector, seed)
                yield Run("", "", config, {"searcher": searcher, "selector": selector, "seed": seed, **at})


def _options_of(kind: str, name: str) -> set[str]:
    return set(option_fields(registry.load(kind, name).Options)) | ({"preset"} if kind == "selector" else set())


def _refuse_twice(runs: list[Run]) -> None:
    """Raises BenchbedError where two points of the grid are one run."""
    seen: dict[str, Run] = {}
    for run in runs:
        if (other := seen.setdefault(run.id, run)) is not run:
            raise BenchbedError(
                f"two runs of the grid have one id, {run.id}: {in_words(other.point)}, and {in_words(run.point)}"
            )


def place(point: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    """The axes whose values two methods must share to be compared: all but the searcher, the selector, their options
    and the seed."""
    own = ("searcher", "selector", "seed")
    return tuple((key, str(value)) for key, value in point.items() if key.partition(".")[0] not in own)


def _points(grid: Mapping[str, Any], key: str) -> float | None:
    if (value := grid.get(key)) is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value) or value <= 0:
        raise BenchbedError(f"grid.{key} = {value!r}: expected points of test accuracy, a number above 0")
    return float(value)
