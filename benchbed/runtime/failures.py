"""What an output folder notes of runs that failed."""

import json
import time
from pathlib import Path
from typing import NamedTuple

from ..errors import BenchbedError
from .files import append_line, make_folder, one_line
from .reading import LIMITS, parse_line, read_bytes


class Failure(NamedTuple):
    """Why a run has no record: `reason` is one line, `attempts` how often it was tried."""

    run: str
    reason: str
    attempts: int = 1


def note_failure(out: Path, failure: Failure, details: str = "") -> None:
    """Appends a line to the folder's failures; `details`: a traceback."""
    line = {**failure._asdict(), "time": round(time.time()), **({"details": details} if details else {})}
    path = out / "failures.jsonl"
    with one_line(out, "make"):
        make_folder(out)
    with one_line(path, "write"):
        append_line(path, json.dumps(line) + "\n")


def failures(out: Path) -> tuple[list[Failure], str | None]:
    """Every failure that can be read, oldest first; and one line where some were noted that no longer can be.

    A last line that a kill has torn is none.
    """
    path = out / "failures.jsonl"
    if not path.exists():
        return [], None
    try:
        text = read_bytes(path, LIMITS.lines_bytes).decode(errors="replace")
    except BenchbedError as error:
        return [], f"{error}: which runs failed is not known"
    lines = text.splitlines(keepends=True)
    found, odd = list[Failure](), list[int]()
    for number, line in enumerate(lines, 1):
        try:
            value = parse_line(line)
            failure = Failure(value["run"], value["reason"], value["attempts"])
            if [type(part) for part in failure] != [str, str, int]:
                raise TypeError
            found.append(failure)
        except (ValueError, KeyError, TypeError):
            odd += [number] if line.endswith("\n") else []
    if not odd:
        return found, None
    return found, f"{path} is damaged (line {odd[0]}): a failure is lost; its run counts as left, and is made again"
