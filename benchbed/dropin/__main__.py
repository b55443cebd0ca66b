"""`python -m benchbed.dropin [--table NAME]... SCRIPT.py [ARGS...]`: a script of NAS-Bench-201's users, unchanged."""

import argparse
import io
import os
import sys
import traceback
from pathlib import Path
from types import ModuleType

from ..errors import BenchbedError
from ..runtime.files import one_line
from .standins import install


def run(script: str, arguments: list[str]) -> None:
    """Runs the script as `python SCRIPT ARGS` does: `__main__`, sys.argv, sys.path[0] are its own.

    What the script raises goes through. Raises BenchbedError if it cannot be read.
    """
    with one_line(Path(script), "read"), io.open_code(os.path.abspath(script)) as file:
        source = file.read()
    main = ModuleType("__main__")
    main.__dict__.update(__file__=script, __builtins__=__builtins__, __cached__=None)
    sys.argv = [script, *arguments]
    sys.path[0] = os.path.dirname(os.path.realpath(script))
    sys.modules["__main__"] = main
    exec(compile(source, script, "exec"), main.__dict__)


def main() -> None:
    """Exit status 2 and one line for what the drop-in refuses; else the script's own."""
    parser = argparse.ArgumentParser(
        prog="python -m benchbed.dropin",
        description="Runs a script that imports nas_201_api or nats_bench; a table of benchbed's answers it.",
    )
    parser.add_argument(
        "--table", action="append", help="a table's name (see 'benchbed table list') or .npz file; once a space"
    )
    parser.add_argument("script", help="the Python file to run")
    parser.add_argument("arguments", nargs=argparse.REMAINDER, metavar="...", help="its arguments")
    options = parser.parse_args()
    try:
        install(*(options.table or ()))
        run(options.script, options.arguments)
    except BenchbedError as error:
        lines = [f.lineno for f in traceback.extract_tb(error.__traceback__) if f.filename == options.script]
        where = f" ({options.script}, line {lines[-1]})" if lines else ""
        print(f"benchbed: {error}{where}", file=sys.stderr)
        sys.exit(2)


if __name__ == "__main__":
    main()
