"""Pictures of the terminal: real commands at 80 columns, with the colours that a terminal gets.

`python docs/terminal.py` runs them and writes docs/images/terminal-*.svg; tests/test_terminal_pictures.py runs them
again and compares every word. They read the table that comes with benchbed, so that they take seconds and print the
same on every machine.
"""

import io
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from rich.console import Console
from rich.text import Text

COLUMNS = 80
IMAGES = Path(__file__).parent / "images"
STUDY = """objective = "table"
table = "nb201-digits"
epochs = 5

[grid]
searcher = ["darts", "proxyless", "reinforce"]
selector = ["magnitude", "perturb", "constant"]
seeds = "0:5"
"""
SCENES = {  # name -> command line; in one folder, in this order
    "help": "benchbed --help",
    "list": "benchbed list selector perturb",
    "sweep": "benchbed sweep grid.toml --out runs",
    "wrong": "benchbed run --searcher dart --selector perturb",
}


def scenes(folder: Path) -> dict[str, str]:
    """What each command prints, with its escape sequences; `folder` is worked in."""
    (folder / "grid.toml").write_text(STUDY)
    terminal = {"COLUMNS": str(COLUMNS), "FORCE_COLOR": "1", "TERM": "xterm-256color", "OMP_NUM_THREADS": "1"}
    environment = {name: value for name, value in os.environ.items() if name != "NO_COLOR"} | terminal
    printed = {}
    for name, line in SCENES.items():
        command = [sys.executable, "-m", *line.split()]
        done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
        printed[name] = done.stdout or done.stderr  # not a sweep's progress, whose times differ
    return printed


def drawn(line: str, printed: str) -> str:
    """The picture of a command and what it printed, as SVG. It names no font of another host."""
    console = Console(record=True, width=COLUMNS, file=io.StringIO(), force_terminal=True)
    console.print(Text(f"$ {line}", style="bold"))
    console.print(Text.from_ansi(printed.rstrip()))
    svg = console.export_svg(title="", unique_id="terminal")
    return re.sub(r"\s*@font-face \{.*?\}", "", svg, flags=re.S)


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        for name, printed in scenes(Path(folder)).items():
            (IMAGES / f"terminal-{name}.svg").write_text(drawn(SCENES[name], printed))


if __name__ == "__main__":
    main()
