"""Optuna's samplers and pruners by name, and what they take."""

import inspect
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

import optuna
from optuna import pruners, samplers

from ..errors import BenchbedError, unknown
from ..streams import derive
from .options import NONE

if TYPE_CHECKING:
    from .options import TuneOptions

optuna.logging.set_verbosity(optuna.logging.ERROR)
# Those that need nothing but Optuna and torch. A grid is a `sweep`.
MadeT = TypeVar("MadeT")
SAMPLERS: dict[str, Callable[..., samplers.BaseSampler]] = {
    "tpe": samplers.TPESampler,
    "gp": samplers.GPSampler,
    "nsga-ii": samplers.NSGAIISampler,
    "nsga-iii": samplers.NSGAIIISampler,
    "qmc": samplers.QMCSampler,
    "random": samplers.RandomSampler,
}
PRUNERS: dict[str, Callable[..., pruners.BasePruner]] = {
    NONE: pruners.NopPruner,
    "median": pruners.MedianPruner,
    "percentile": pruners.PercentilePruner,
    "successive-halving": pruners.SuccessiveHalvingPruner,
    "hyperband": pruners.HyperbandPruner,
    "threshold": pruners.ThresholdPruner,
}


def make_sampler(options: "TuneOptions", attempt: str) -> samplers.BaseSampler:
    """The sampler for one attempt at a trial. Raises BenchbedError for a name or option that is none.

    Every attempt has a stream of its own, derived from the study's seed: which worker makes it, and how often a study
    was stopped, changes no draw of its own. A low-discrepancy sequence is one, so its seed is the study's.
    """
    name = named(options.sampler, "sampler")
    stream = name if name == "qmc" else f"{name} {attempt}"
    given = {"seed": derive(options.seed, stream) % 2**32, **_arguments(options.sampler, "sampler", SAMPLERS)}
    with experimental():
        return _made(SAMPLERS[name], given, f"sampler '{name}'")


def make_pruner(options: "TuneOptions", steps: int) -> pruners.BasePruner:
    """The pruner; `steps`: the reports of a whole trial. Raises BenchbedError for a name or option that is none."""
    name = named(options.pruner, "pruner")
    given = _arguments(options.pruner, "pruner", PRUNERS)
    if name == "hyperband":  # left to itself it takes the first finished trial's
        given = {"max_resource": steps, **given}
    return _made(PRUNERS[name], given, f"pruner '{name}'")


def check_pruner(options: "TuneOptions", steps: int) -> None:
    """Lets the pruner judge two trials of so many reports: Optuna looks at some options only then.

    Raises BenchbedError as `make_pruner` does.
    """
    study = optuna.create_study(pruner=make_pruner(options, steps))
    try:
        for _ in range(2):
            trial = study.ask()
            for step in range(steps):
                trial.report(0.5, step)
                trial.should_prune()
            study.tell(trial, 0.5)
    except Exception as error:  # whatever its options lead to
        given = ", ".join(f"{key} = {value!r}" for key, value in options.pruner.items() if key != "name")
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise BenchbedError(f"tune: pruner '{options.pruner['name']}' with {given}: {reason}") from None


def named(given: Mapping[str, Any], kind: str) -> str:
    """The name in a table of name and options. Raises BenchbedError that names the nearest one."""
    known: Mapping[str, Any] = SAMPLERS if kind == "sampler" else PRUNERS
    if "name" not in given:
        raise BenchbedError(f"tune: {kind} = {dict(given)!r} has no name; known: {', '.join(known)}")
    if (name := given.get("name")) not in known:
        raise unknown(f"{kind} of tune", name, known)
    return str(name)


def _arguments(given: Mapping[str, Any], kind: str, known: Mapping[str, Callable[..., Any]]) -> dict[str, Any]:
    name, arguments = given["name"], {key: value for key, value in given.items() if key != "name"}
    parameters = inspect.signature(known[name]).parameters
    accepted = [key for key in parameters if key != "seed"]
    for key, value in arguments.items():
        if key not in accepted:
            raise unknown(f"option of {kind} '{name}'", key, accepted)
        default = parameters[key].default
        if "Callable" in str(parameters[key].annotation) or "Base" in str(parameters[key].annotation):
            raise BenchbedError(f"tune: {kind} '{name}': {key} is a function or an object, which no file can hold")
        whole = isinstance(default, int) and not isinstance(default, bool)
        if whole and (isinstance(value, bool) or not isinstance(value, int | float)):  # Optuna looks when it needs it
            raise BenchbedError(f"tune: {kind} '{name}': {key} is {value!r}: expected a number, such as {default}")
        if (whole and value < 0) or value != value:
            wanted = f"a number from 0 on, such as {default}" if whole else "a number"
            raise BenchbedError(f"tune: {kind} '{name}': {key} is {value!r}: expected {wanted}")
    for key in accepted:
        if key not in arguments and parameters[key].default is inspect.Parameter.empty:
            example = f'{kind} = {{ name = "{name}", {key} = 25.0 }}'
            raise BenchbedError(f"tune: {kind} '{name}' needs {key}, such as {example}")
    return arguments


def _made(make: Callable[..., MadeT], arguments: Mapping[str, Any], what: str) -> MadeT:
    try:
        return make(**arguments)
    except (TypeError, ValueError) as error:  # Optuna's own words: a value out of range, one that is missing
        raise BenchbedError(f"tune: {what}: {str(error).splitlines()[0]}") from None


@contextmanager
def experimental() -> Iterator[None]:
    """Without Optuna's notes that heartbeats and some samplers may change in its later versions."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        yield
