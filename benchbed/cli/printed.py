"""What the commands share to print results as JSON."""

import json
from typing import Annotated, Any

import typer

Json = Annotated[bool, typer.Option("--json", help="print JSON on stdout, and nothing else there")]


def print_json(value: Any) -> None:
    """A number that is not there, NaN, is null."""
    from ..report.markdown import without_nan

    print(json.dumps(without_nan(value), indent=2, allow_nan=False, default=str))
