"""A user's plug-ins: the option --plugin, known to the registry as soon as the command line is read; `new`, `check`."""

import re
import time
from pathlib import Path
from typing import Annotated

import typer

from ..errors import BenchbedError, unknown

TEMPLATES = Path(__file__).parent / "templates"
USE = {
    "searcher": "run --plugin {file} --searcher {name} --selector magnitude",
    "modifier": "run --plugin {file} --searcher darts+{name} --selector magnitude",
    "selector": "run --plugin {file} --searcher darts --selector {name}",
    "space": "run --plugin {file} --space {name} --searcher darts --selector magnitude",
    "task": "run --plugin {file} --task {name} --searcher darts --selector magnitude",
    "predictor": "study predictors --plugin {file} --predictor {name} --table nb201-digits --dataset digits",
    "proxy": "proxy run --plugin {file} --proxy {name} --cells 20",
    "study": "study {name} --plugin {file}",
}


def _register(files: list[Path] | None) -> list[Path] | None:
    if files:
        from ..registry import add_files

        add_files(files)
    return files


Plugins = Annotated[
    list[Path] | None, typer.Option("--plugin", help="a Python file with your own plug-in", callback=_register)
]


def new(
    kind: Annotated[str, typer.Argument(help="searcher, modifier, selector, space, task, proxy, predictor or study")],
    name: Annotated[str, typer.Argument(help="its name: lower-case letters, digits and hyphens")],
    out: Annotated[Path | None, typer.Option(help="the file, or its folder  [default: NAME.py here]")] = None,
) -> None:
    """Write a file with a plug-in that runs, to be changed."""
    from ..runtime.files import write_atomic
    from ..runtime.typed_command import typed_command

    file = _place(kind, name, out)
    text = (TEMPLATES / f"{kind}.py.in").read_text()
    words = {"NAME": name, "CLASS": "".join(map(str.capitalize, name.split("-"))), "FUNCTION": name.replace("-", "_")}
    write_atomic(file, re.sub(r"\b(NAME|CLASS|FUNCTION)\b", lambda found: words[found[0]], text).encode())
    use = [word.format(file=file, name=name) for word in USE[kind].split()]
    print(f"wrote {file}\nnext: check it, and use it:")
    print(f"  {typed_command('check', file)}\n  {typed_command(*use)}")


def _place(kind: str, name: str, out: Path | None) -> Path:
    """The file to write. Raises BenchbedError for an unknown kind, and for a name or a file that is taken."""
    from .. import registry

    if kind not in USE:
        raise unknown("kind of plug-in", kind, USE)
    if not re.fullmatch(r"[a-z][a-z0-9]*(-[a-z0-9]+)*", name):
        raise BenchbedError(f"name '{name}': lower-case letters, digits and single hyphens are needed, as in my-way")
    if name in {plugin.name for plugin in registry.plugins(kind)}:
        raise BenchbedError(f"there is a {kind} '{name}' already: choose another name")
    stem = name.replace("-", "_")
    file = (out or Path()) / f"{stem}.py" if out is None or out.is_dir() else out
    if file.suffix != ".py" or file.stem.replace("_", "-") != name:
        raise BenchbedError(f"--out {file}: a plug-in is named as its file, so write --out {file.parent / stem}.py")
    if not file.parent.is_dir():
        raise BenchbedError(f"--out {file}: folder '{file.parent}' does not exist")
    if file.exists():
        raise BenchbedError(f"{file} is there already, and is not overwritten: choose another name or --out")
    return file


def check(
    target: Annotated[str, typer.Argument(help="a plug-in's file, or a registered name (a task's as NAME:PLACE)")],
    kind: Annotated[
        str | None,
        typer.Option(help="searcher, modifier, selector, space, task, proxy, predictor or study; default: all"),
    ] = None,
    settings: Annotated[list[str] | None, typer.Option("--set", help="KEY=VALUE of its options")] = None,
    plugin: Plugins = None,
) -> None:
    """Run the contract's checks on a plug-in; exit status 1 where one fails."""
    from ..pipeline.resolve import option_value
    from ..testing.checks import checks_of, outcome

    given = {}
    for setting in settings or []:
        key, equals, text = setting.partition("=")
        if not key or not equals:
            raise BenchbedError(f"--set '{setting}': expected KEY=VALUE")
        given[key.strip()] = option_value(text.strip())
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
