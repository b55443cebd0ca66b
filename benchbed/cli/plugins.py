"""The option --plugin: a user's files are known to the registry as soon as the command line is read."""

from pathlib import Path
from typing import Annotated

import typer


def _register(files: list[Path] | None) -> list[Path] | None:
    if files:
        from ..registry import add_files

        add_files(files)
    return files


Plugins = Annotated[
    list[Path] | None, typer.Option("--plugin", help="a Python file with your own plug-in", callback=_register)
]
