"""What a refusal advises and the command has not: code that several commands share names the flags of `run`."""

import re
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import typer

from ..errors import BenchbedError

FILES = ("sweep", "tune")  # commands that take a run's configuration from a file
IN_FILES = ("protocol", "searcher", "selector", "task", "data", "splits", "table", "dataset", "epochs", "budget")


def lacking(message: str, words: Sequence[str], app: typer.Typer) -> str:
    """An addition to the message where it names flags that the command of these words has not; else nothing."""
    if not words or words[0] not in (*FILES, "study"):
        return ""
    whole: Any = typer.main.get_command(app)
    commands = whole.commands  # `use train --protocol X` is of another one
    named, command = _command(words, whole)
    known = {flag for parameter in command.params for flag in (*parameter.opts, *parameter.secondary_opts)}
    advised = [flag for of, flag in re.findall(r"(\S+) (--[a-z][a-z-]+)", f" {message}") if of not in commands]
    absent = [flag for flag in dict.fromkeys(advised) if flag not in known]
    keys = [flag[2:] for flag in absent if named in FILES and flag[2:] in IN_FILES]
    file = f": write {' and '.join(keys)} into the study's file" if keys else ""
    return f" ({named} has no {' or '.join(absent)}{file})" if absent else ""


def _command(words: Sequence[str], command: Any) -> tuple[str, Any]:
    """The command that the words begin with, and its name; of click, which Typer brings in ways of its versions."""
    named: list[str] = []
    for word in words:
        if not hasattr(command, "get_command"):
            break
        try:
            found = command.get_command(SimpleNamespace(meta={}), word)
        except BenchbedError:  # no study has that name
            break
        if found is None:
            break
        named, command = [*named, word], found
    return " ".join(named), command
