"""`benchbed check FILE`: a plug-in against its contract, a line a check."""

import time
from pathlib import Path
from typing import Annotated

import typer

from ..errors import BenchbedError


def check(
    target: Annotated[str, typer.Argument(help="a plug-in's file, or a registered name (a task's as NAME:PLACE)")],
    kind: Annotated[
        str | None, typer.Option(help="searcher, modifier, selector, space, task or study; default: all")
    ] = None,
    settings: Annotated[list[str] | None, typer.Option("--set", help="KEY=VALUE of its options")] = None,
    plugin: Annotated[list[Path] | None, typer.Option("--plugin", help="a file that a registered name needs")] = None,
) -> None:
    """Run the contract's checks on a plug-in; exit status 1 where one fails."""
    from ..pipeline.resolve import _value
    from ..registry import add_files
    from ..testing.checks import checks_of, outcome

    add_files(plugin)
    given = {}
    for setting in settings or []:
        key, equals, text = setting.partition("=")
        if not key or not equals:
            raise BenchbedError(f"--set '{setting}': expected KEY=VALUE")
        given[key.strip()] = _value(text.strip())
    failed = count = 0
    for of, name in _targets(target, kind):
        for label, call in checks_of(of, name, given):
            began = time.perf_counter()
            wrong = outcome(call)
            count, failed = count + 1, failed + (wrong is not None)
            took = f"{time.perf_counter() - began:6.1f} s"
            print(f"{'ok    ' if wrong is None else 'FAILED'} {took}  {of} {name}: {label}"
                  + ("" if wrong is None else f": {wrong}"), flush=True)  # fmt: skip
    print(f"{count - failed} of {count} checks passed")
    if failed:
        raise typer.Exit(1)


def _targets(target: str, kind: str | None) -> list[tuple[str, str]]:
    """(kind, name) of what is to be checked: all that a file holds, or all that a name stands for."""
    from .. import registry
    from ..errors import unknown

    if kind is not None and kind not in registry.KINDS:
        raise unknown("kind of plug-in", kind, registry.KINDS)
    kinds = registry.KINDS if kind is None else (kind,)
    if target.endswith(".py"):
        file = Path(target).resolve()
        registry.add_file(file)
        found = [(of, plugin.name) for of in kinds for plugin in registry.plugins(of) if plugin.file == file]
        if not found:
            raise BenchbedError(f"plug-in file {file} holds no {kind}")
        return found
    plain = target.partition(":")[0]
    known = {(of, plugin.name) for of in kinds for plugin in registry.plugins(of)}
    found = [(of, target) for of in kinds if (of, plain) in known]
    if not found:
        raise unknown("plug-in" if kind is None else kind, plain, {name for _, name in known})
    return found
