"""What scripts beside the package (`benchmarks/`) share: bad input is refused before anything runs, in one line.

The line is on stderr and the status is 2, as on the command line.
"""

import argparse
import os
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

from ..errors import BenchbedError


class Parser(argparse.ArgumentParser):
    """Arguments of a script whose docstring is `text`. Every script has --out, a JSON file that can be written."""

    def __init__(self, text: str | None):
        super().__init__(description=text, formatter_class=argparse.RawDescriptionHelpFormatter)
        self.add_argument("--out", type=to_write, help="also write everything to this JSON file")

    def counts(self, least: int = 1, **defaults: int) -> None:
        """Adds whole numbers of at least `least`, by name."""
        for name, default in defaults.items():
            text = f"at least {least} (default {default})"
            self.add_argument(f"--{name}", type=at_least(least), default=default, help=text)

    def error(self, message: str) -> NoReturn:
        """Without argparse's lines of usage."""
        named = re.sub("^argument ([^ ]+):", r"\1", message)
        self.exit(2, f"{self.prog}: {named}\n")


def at_least(least: int) -> Callable[[str], int]:
    """An argument's type: a whole number that is not below `least`."""

    def number(text: str) -> int:
        try:
            found = int(text)
        except ValueError:
            found = None
        if found is None or found < least:
            raise argparse.ArgumentTypeError(f"{text}: expected a whole number of at least {least}")
        return found

    return number


def to_write(text: str) -> Path:
    """An argument's type: a file that is there or can be made, known before hours of work are to go into it."""
    path = Path(text)
    if path.is_dir() or not path.name:
        raise argparse.ArgumentTypeError(f"'{text}' is a folder: expected a file")
    if not path.parent.is_dir():
        raise argparse.ArgumentTypeError(f"'{text}' cannot be written: there is no folder '{path.parent}'")
    if not os.access(path if path.exists() else path.parent, os.W_OK):
        raise argparse.ArgumentTypeError(f"'{text}' cannot be written: permission denied")
    return path


def ended(main: Callable[[], int | None]) -> int:
    """The status of a script's `main`; what it refuses by a BenchbedError is one line and that error's status."""
    try:
        return main() or 0
    except BenchbedError as error:
        print(f"{Path(sys.argv[0]).name}: {error}", file=sys.stderr)
        return error.status
