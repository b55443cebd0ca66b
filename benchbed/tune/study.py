"""A study of hyperparameters, read from a TOML file: a run's configuration with a section [tune] added.

    searcher = "darts"
    selector = "perturb"
    seeds = "0:3"

    [tune]
    trials = 20
    [tune.space]
    "searcher.alpha_lr" = {low = 1e-4, high = 1e-1, log = true}
    "selector.interval" = [0, 1, 5]

A trial is one draw of the space; its value is the mean over the seeds of a figure that validation images alone decide.
The test accuracy that a run's record also holds is read by nobody here.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from optuna.distributions import BaseDistribution
from optuna.study import StudyDirection

from ..errors import BenchbedError, unknown
from ..latency.files import UNIT
from ..latency.penalty import configured
from ..pipeline.build import check_config
from ..pipeline.config import RunConfig
from ..pipeline.given import read_configuration, seeds_in
from ..pipeline.protocol import Origins, dotted, followed
from ..pipeline.resolve import expand, laid_over, with_settings
from ..spaces.load import load_space
from ..typed import typed
from .options import FREE, NONE, OBJECTIVES, TuneOptions
from .samplers import check_pruner, make_sampler, named
from .space import check_range, distribution, option_type

MOST_REPORTS = 200  # of a trial that a pruner is tried on


class Study(NamedTuple):
    """A study, checked. raw: a run's configuration without what is tuned; seeds: of each trial.

    distributions: by parameter, in the order of the file; `base` is the resolved configuration of the first seed.
    """

    options: TuneOptions
    raw: dict[str, Any]
    searcher: str
    selector: str
    seeds: list[int]
    distributions: dict[str, BaseDistribution]
    base: RunConfig

    @property
    def directions(self) -> list[StudyDirection]:
        return [StudyDirection[OBJECTIVES[name].upper()] for name in self.options.objectives]

    @property
    def prunes(self) -> bool:
        return bool(self.options.pruner["name"] != NONE)

    def with_parameters(self, parameters: Mapping[str, Any]) -> dict[str, Any]:
        """A run's configuration with these values of what is tuned."""
        return laid_over(self.raw, parameters, "a trial")

    def configs(self, parameters: Mapping[str, Any]) -> list[RunConfig]:
        """The runs of a trial, a seed each."""
        return expand(self.with_parameters(parameters), [self.searcher], [self.selector], self.seeds)

    def identity(self) -> dict[str, Any]:
        """What two starts of one study must agree on, as JSON; where files lie is not part of it."""
        paths: dict[str, Any] = {"data": True, "splits": True, "cost": {"table"}, "table": {"name"}}
        config = self.base.model_dump(mode="json", exclude={"seed": True, "origins": True, **paths})
        options = self.options.model_dump(mode="json", exclude=set(FREE))
        return {"space": self.options.space, **options, "seeds": self.seeds, "configuration": config}


def read_study(path: Path, settings: Sequence[str] = (), over: Mapping[str, Any] | None = None) -> Study:
    """The study of a file. settings: as of `run --set`; over: options of [tune] that win over the file's.

    Raises BenchbedError of one line for an unknown key, a parameter that no part of the run has or whose range it
    refuses, and for objectives that do not fit; nothing has been written by then.
    """
    raw = read_configuration(path)
    given = raw.pop("tune", None)
    raw.pop("grid", None)  # of `sweep`
    if not isinstance(given, dict):
        raise BenchbedError(f"{path} has no section [tune]: a study is a run's configuration with one added")
    given = {"name": path.stem, **given, **(over or {})}
    unknown_keys = [key for key in given if key not in TuneOptions.model_fields]
    for key in ("trials", "space"):
        if key not in given and not unknown_keys:
            raise BenchbedError(f"{path}: {key} is missing in [tune]")
    options = typed(TuneOptions, given, "tune")
    raw["origins"] = Origins({key: path.name for key, _ in dotted(with_settings(raw, []))})
    return checked(options, with_settings(raw, list(settings)))


def checked(options: TuneOptions, raw: dict[str, Any]) -> Study:
    """The study of these options on a run's configuration. Raises BenchbedError as `read_study` does."""
    raw = followed(raw)
    searcher, selector = (_single(raw, kind) for kind in ("searcher", "selector"))
    seeds = seeds_in(raw)
    base = _checked(raw, searcher, selector, seeds[0])
    distributions = {}
    for name, text in options.space.items():
        kind = option_type(name, base)
        section, _, key = name.partition(".")
        if key in raw.get(section, {}):
            raise BenchbedError(f"{name} is set to {raw[section][key]!r} and tuned as well: leave one of them out")
        distributions[name] = distribution(name, text, kind)
        check_range(name, distributions[name], lambda v: _checked(laid_over(raw, v, ""), searcher, selector, seeds[0]))
    _check_objectives(options, base)
    make_sampler(options, "check")
    check_pruner(options, min(max(len(seeds) * base.epochs, 1), MOST_REPORTS))
    return Study(options, raw, searcher, selector, seeds, distributions, base)


def _single(raw: Mapping[str, Any], kind: str) -> str:
    name = str(raw.get(kind, {}).get("name", ""))
    if not name or "," in name:
        raise BenchbedError(f"{kind} = '{name}': a study tunes one {kind}; name it")
    return name


def _checked(raw: Mapping[str, Any], searcher: str, selector: str, seed: int) -> RunConfig:
    (config,) = expand(raw, [searcher], [selector], [seed])
    check_config(config)
    return config


def _check_objectives(options: TuneOptions, base: RunConfig) -> None:
    names = options.objectives
    for name in names:
        if name not in OBJECTIVES:
            raise unknown("objective of tune", name, OBJECTIVES)
    if len(set(names)) < len(names):
        raise BenchbedError(f"tune: objectives = {names}: one is named twice")
    pruner = named(options.pruner, "pruner")
    if len(names) > 1 and pruner != NONE:
        raise BenchbedError(
            f"tune: pruner '{pruner}' with objectives {', '.join(names)}: a pruner compares one figure; "
            f"take one objective, or pruner = 'none'"
        )
    cost = configured(base.cost, load_space(base.space, base.space_options), base.space)
    for name in {"latency", "cost"} & set(names):
        if cost is None:
            raise BenchbedError(f"tune: objective '{name}' needs a section [cost] with table and target")
        if name == "latency" and cost.unit != UNIT:
            raise BenchbedError(f"tune: objective 'latency' is in {UNIT}, {cost.name} in {cost.unit}: use 'cost'")
