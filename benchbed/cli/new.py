"""`benchbed new KIND NAME`: a file to start a plug-in from, which runs as it is."""

import re
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
    "study": "study {name} --plugin {file}",
}


def new(
    kind: Annotated[str, typer.Argument(help="searcher, modifier, selector, space, task or study")],
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
