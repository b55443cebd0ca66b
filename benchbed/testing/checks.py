"""The contract of whatever plug-in, as a list of named checks: what `benchbed check` runs."""

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any

from .. import registry
from ..errors import BenchbedError
from ..modifier import Modified
from ..searcher import Plugin
from ..selector import Selector
from ..space import Space
from ..spaces.load import load_space
from ..tasks.load import maker, place_of
from ..typed import typed
from . import predictor_suite, proxy_suite, searcher_suite, selector_suite, space_suite, study_suite, task_suite
from .searcher_suite import quick

Check = tuple[str, Callable[[], None]]


def checks_of(kind: str, name: str, given: Mapping[str, Any] | None = None) -> Iterator[Check]:
    """The checks of a registered plug-in, each with what it is called; `given`: options over the quick ones.

    name: as on the command line, of a task with its place (`images:FOLDER`). Raises BenchbedError for an unknown name
    and for options that it does not take.
    """
    if kind == "task":
        make, place = maker(name.partition(":")[0]), name.partition(":")[2]
        if (wanted := place_of(make)) is not None and not place:
            raise BenchbedError(f"task '{name}' needs its {wanted}: write {name}:{wanted.upper()}")
        bound = partial(make, *([place] if place else []), **(given or {}))
        yield from _called(task_suite.CHECKS, bound)
    elif kind == "space":
        load_space(name, dict(given or {}))
        for check in space_suite.CHECKS:
            yield _label(check), lambda check=check: check(load_space(name, dict(given or {})))  # type: ignore[misc]
    elif kind == "searcher":
        found = registry.load("searcher", name)
        yield from _called(searcher_suite.CHECKS, found, _checked(found, given, name))
    elif kind == "selector":
        found = registry.load("selector", name)
        yield from _called(selector_suite.CHECKS, _selector(found, _checked(found, given, name)))
    elif kind == "modifier":
        yield from _around_searchers(name, given)
    elif kind == "predictor":
        found = registry.load("predictor", name)
        options = typed(found.Options, {**found.suite_options, **(given or {})}, f"'{name}'")
        yield from _called(predictor_suite.CHECKS, lambda space, streams: found(space, options, streams))
    elif kind == "proxy":
        made = registry.load("proxy", name)
        options = typed(made.Options, {**made.suite_options, **(given or {})}, f"'{name}'")
        yield from _called(proxy_suite.CHECKS, lambda: made(options))
    elif kind == "study":
        yield from _called(study_suite.CHECKS, name, given or {})


def _called(checks: tuple[Callable[..., None], ...], *arguments: object) -> Iterator[Check]:
    for check in checks:
        yield _label(check), partial(check, *arguments)


def _label(check: Callable[..., None]) -> str:
    return check.__name__.removeprefix("check_").replace("_", " ")


def _checked(kind: type[Plugin], given: Mapping[str, Any] | None, name: str) -> dict[str, Any]:
    options = quick(kind, given)
    typed(kind.Options, options, f"'{name}'")
    return options


def _selector(kind: type[Selector[Any]], options: Mapping[str, Any]) -> selector_suite.MakeSelector:
    """The selector on each of the suite's spaces; with its defaults where its options are not of that space."""

    def make(space: Space) -> Selector[Any]:
        chosen = kind.Options(**options)
        try:
            kind.check(chosen, space, None)
        except BenchbedError:
            chosen = kind.Options()
        return kind(chosen)

    return make


def _around_searchers(name: str, given: Mapping[str, Any] | None) -> Iterator[Check]:
    """The searcher's contract around each registered searcher that the modifier says it fits."""
    modifier = registry.load("modifier", name)
    own = _checked(modifier, given, name)
    for plugin in registry.plugins("searcher"):
        searcher = registry.load("searcher", plugin.name)
        options = {**quick(searcher), "modifiers": {name: own}}
        for both in searcher_suite.around(modifier, [] if issubclass(searcher, Modified) else [searcher], name, own):
            yield f"around {plugin.name}", partial(searcher_suite.check_searcher, both, options)


def outcome(check: Callable[[], None]) -> str | None:
    """None where the check passes, else what is wrong, in one line."""
    try:
        check()
    except (AssertionError, BenchbedError) as error:
        return " ".join(str(error).split())
    except Exception as error:  # it runs code that is not ours
        place = registry.fault(error)
        return f"{type(error).__name__}: {' '.join(str(error).split())}" + (f" ({place})" if place else "")
    return None
