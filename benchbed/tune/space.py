"""The space of a study: which options are tuned, and over which values."""

import types
import warnings
from collections.abc import Callable, Mapping
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from optuna.distributions import (
    BaseDistribution,
    CategoricalChoiceType,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.trial import Trial
from pydantic import BaseModel

from .. import registry
from ..errors import BenchbedError, unknown
from ..latency.penalty import CostOptions
from ..objectives.options import SupernetOptions
from ..pipeline.config import RunConfig
from ..typed import option_fields

SECTIONS = ("searcher", "selector", "supernet", "cost")
RANGE = ("low", "high", "log", "step")
FIXED = {"cost": ("table",)}  # it says what is counted: two trials would not be in one unit


def option_type(name: str, base: RunConfig) -> type | None:
    """int or float where the option "SECTION.OPTION" is a number, None where it is a word, a truth value or a list.

    Raises BenchbedError that names the nearest option if there is none of this name.
    """
    known = {f"{section}.{key}": field.annotation for section, model in _models(base).items()
             for key, field in option_fields(model).items() if key not in FIXED.get(section, ())}  # fmt: skip
    if name not in known:
        raise unknown("parameter in tune.space", name, known)
    kinds = _kinds(known[name])
    return float if float in kinds else int if int in kinds else None


def _models(base: RunConfig) -> dict[str, type[BaseModel]]:
    found: dict[str, type[BaseModel]] = {
        "searcher": registry.load("searcher", base.searcher.name).Options,
        "selector": registry.load("selector", base.selector.name).Options,
    }
    if base.supernet is not None:
        found["supernet"] = SupernetOptions
    if base.cost is not None:
        found["cost"] = CostOptions
    return found


def _kinds(annotation: object) -> set[Any]:
    origin = get_origin(annotation)
    if origin is Annotated:
        return _kinds(get_args(annotation)[0])
    if origin in (Union, types.UnionType):
        return set().union(*map(_kinds, get_args(annotation)))
    if origin is Literal:  # named values, numbers too: no range
        return set()
    return {annotation}


def distribution(name: str, given: object, kind: type | None) -> BaseDistribution:
    """What [tune.space] gives for an option, as Optuna's distribution. Raises BenchbedError for anything else."""
    where = f'tune.space: "{name}" = {given!r}'
    try:
        if isinstance(given, list):
            return _categorical(given, where)
        if isinstance(given, dict):
            return _range(given, where, kind)
    except ValueError as error:  # Optuna's words for low above high, log with step, log from 0
        if isinstance(error, BenchbedError):
            raise
        raise BenchbedError(f"{where}: {str(error).splitlines()[0]}") from None
    raise BenchbedError(f"{where}: expected a list of values, or a table of low and high with log or step")


def _categorical(given: list[Any], where: str) -> BaseDistribution:
    if not given:
        raise BenchbedError(f"{where}: the list is empty")
    if any(not isinstance(value, str | int | float | bool) for value in given):
        raise BenchbedError(f"{where}: a value is a number, a word or a truth value")
    if len({(type(value), value) for value in given}) < len(given):
        raise BenchbedError(f"{where}: a value appears twice")
    return CategoricalDistribution(given)


def _range(given: Mapping[str, Any], where: str, kind: type | None) -> BaseDistribution:
    for key in given:
        if key not in RANGE:
            raise unknown(f"key in {where}:", key, RANGE)
    if kind is None:
        raise BenchbedError(f"{where}: the option is not a number; give a list of its values")
    if type(given.get("log", False)) is not bool:
        raise BenchbedError(f"{where}: log = {given['log']!r}: expected true or false")
    for key in ("low", "high", "step"):
        value = given.get(key)
        if value is None and key != "step":
            raise BenchbedError(f"{where}: {key} is missing")
        if value is not None and (isinstance(value, bool) or not isinstance(value, int | float)):
            raise BenchbedError(f"{where}: {key} = {value!r}: expected a number")
        if kind is int and isinstance(value, float):
            raise BenchbedError(f"{where}: {key} = {value!r}: the option is an integer")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # that Optuna takes a lower end, which is refused below
        found: IntDistribution | FloatDistribution
        if kind is int:
            found = IntDistribution(given["low"], given["high"], given.get("log", False), given.get("step", 1))
        else:
            low, high = float(given["low"]), float(given["high"])
            found = FloatDistribution(low, high, given.get("log", False), given.get("step"))
    if found.high != given["high"]:
        raise BenchbedError(
            f"{where}: no whole number of steps leads from low to high: give high = {found.high:g}, or another step"
        )
    return found


def check_range(name: str, found: BaseDistribution, check: Callable[[Mapping[str, Any]], Any]) -> None:
    """Raises BenchbedError where a run refuses a value of the list, or an end of the range."""
    if isinstance(found, CategoricalDistribution):
        values = list(found.choices)
    elif isinstance(found, IntDistribution | FloatDistribution):
        values = [found.low, found.high]
    for value in values:
        try:
            check({name: value})
        except BenchbedError as error:
            raise BenchbedError(f'tune.space: "{name}" at {value!r} is refused: {error}') from None


def suggest(trial: Trial, name: str, found: BaseDistribution) -> CategoricalChoiceType:
    """The trial's value of a parameter, drawn now if it has none."""
    if isinstance(found, IntDistribution):
        return trial.suggest_int(name, found.low, found.high, step=found.step, log=found.log)
    if isinstance(found, FloatDistribution):
        return trial.suggest_float(name, found.low, found.high, step=found.step, log=found.log)
    assert isinstance(found, CategoricalDistribution)
    return trial.suggest_categorical(name, found.choices)
