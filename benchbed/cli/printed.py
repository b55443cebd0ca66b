"""What the commands share to print results as JSON."""

import json
from typing import Annotated, Any

import typer

from ..errors import BenchbedError

Json = Annotated[bool, typer.Option("--json", help="print JSON on stdout, and nothing else there")]


def refuse_json(as_json: bool, **flags: bool) -> None:
    """Raises BenchbedError for --json beside a flag by which there is no result."""
    for flag, given in flags.items():
        if as_json and given:
            raise BenchbedError(f"--json prints results, and --{flag.replace('_', '-')} has none: give one of them")


def print_json(value: Any) -> None:
    """A number that is not there, NaN, or infinite is null, for JSON has neither."""
    from ..report.markdown import without_nan

    print(json.dumps(without_nan(value), indent=2, allow_nan=False, default=str))
