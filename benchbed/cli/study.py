"""The commands `study NAME`, generated from the options of every study, ours or a user's; docs/studies.md has ours."""

import inspect
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, get_args, get_origin

import typer
from typer.core import TyperCommand, TyperGroup

from .printed import Json, print_json, refuse_json

if TYPE_CHECKING:
    from pydantic.fields import FieldInfo
    from typer._click.core import Context


NONE = inspect.Parameter.empty
RUNNING: dict[str, tuple[Any, Any]] = {  # of every study: where and how, which changes no result
    "out": (Annotated[Path, typer.Option("--out", help="where runs and the study's files go")], Path("runs")),
    "device": (Annotated[str, typer.Option("--device", help="auto, cpu, cuda, cuda:1")], "auto"),
    "workers": (Annotated[int | None, typer.Option("--workers", help="at a time  [default: 1, ray all it has]")], None),
    "shard": (Annotated[str | None, typer.Option("--shard", help="I/N: every N-th from the I-th on")], None),
    "executor": (Annotated[str, typer.Option("--executor", help="local, or ray")], "local"),
    "address": (Annotated[str | None, typer.Option("--address", help="of a Ray cluster: HOST:PORT or auto")], None),
    "dry_run": (Annotated[bool, typer.Option("--dry-run", help="walk all of it in a few steps, keep nothing")], False),
    "plugin": (Annotated[list[Path] | None, typer.Option("--plugin", help="a Python file with your own")], None),
    "as_json": (Json, False),
    "quiet": (Annotated[bool, typer.Option("--quiet", help="print the result only")], False),
}


class Studies(TyperGroup):
    """The studies of the registry as commands. `--plugin FILE` counts before a name is looked for: it may hold it."""

    def parse_args(self, ctx: "Context", args: list[str]) -> list[str]:
        from ..registry import add_file

        for flag, value in zip(args, [*args[1:], ""], strict=False):
            if flag.startswith("--plugin=") or (flag == "--plugin" and value):
                add_file(Path(flag.partition("=")[2] or value))
        ctx.meta["words"] = list(args)
        return super().parse_args(ctx, args)

    def list_commands(self, ctx: "Context") -> list[str]:
        from ..registry import plugins

        return [plugin.name for plugin in plugins("study")]

    def get_command(self, ctx: "Context", cmd_name: str) -> TyperCommand:
        from ..registry import find

        if cmd_name in ctx.meta.get("words", [cmd_name]):
            return command_of(cmd_name)
        return TyperCommand(cmd_name, help=find("study", cmd_name).summary)  # in the list: nothing is imported


study_app = typer.Typer(cls=Studies, no_args_is_help=True, help="Questions that take many runs.")


@study_app.callback()
def _studies() -> None:
    """Questions that take many runs."""


def command_of(name: str) -> TyperCommand:
    """The command of a study. Raises BenchbedError for a name that none has."""
    from ..registry import find, load

    summary, options = find("study", name).summary, load("study", name).Options
    fields = options.model_fields
    own = sorted(fields, key=lambda key: key not in vars(options).get("__annotations__", ()))  # before inherited ones
    parameters = {**{key: _parameter(key, fields[key]) for key in own}, **RUNNING}
    made = [
        inspect.Parameter(key, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=kind)
        for key, (kind, default) in parameters.items()
    ]
    run = _runner(name)
    run.__signature__ = inspect.Signature(made)  # type: ignore[attr-defined]  # Typer reads a command off it
    run.__annotations__ = {key: kind for key, (kind, _) in parameters.items()}
    app = typer.Typer(add_completion=False, rich_markup_mode="markdown")
    app.command(name, help=summary)(run)
    command = typer.main.get_command(app)
    assert isinstance(command, TyperCommand)
    return command


def _parameter(key: str, field: "FieldInfo") -> tuple[Any, Any]:
    """(annotation, default) of a field as Typer takes them. Any sequence but a list is one text there."""
    extra = field.json_schema_extra
    given = extra.get("flags") if isinstance(extra, Mapping) else None
    flags = given if isinstance(given, list) else [f"--{key.replace('_', '-')}"]
    kinds = [kind for kind in get_args(field.annotation) if kind is not type(None)]
    optional = type(None) in get_args(field.annotation)
    kind = kinds[0] if optional else field.annotation
    if get_origin(kind) is Annotated:
        kind = get_args(kind)[0]
    plain = list[str] if get_origin(kind) is list else kind if kind in (int, float, bool, Path) else str
    option = typer.Option(*map(str, flags), help=field.description)
    return Annotated[plain | None if optional else plain, option], NONE if field.is_required() else field.default


def _plain(row: Any) -> Mapping[str, Any]:
    """A row as the study's file of lines holds it."""
    return row if isinstance(row, Mapping) else row._asdict()


def _runner(name: str) -> Callable[..., None]:
    def run(**values: Any) -> None:
        from ..runtime.machine import pick_device
        from ..runtime.options import RunOptions
        from ..runtime.progress import Reporter
        from ..runtime.workers import pool_of
        from ..studies._dry import walk
        from ..study import run_study

        how = {key: values.pop(key) for key in RUNNING}
        refuse_json(how["as_json"], dry_run=how["dry_run"])
        pool = pool_of(how["workers"], how["shard"], how["executor"], how["address"])
        given = {key: value for key, value in values.items() if value is not None}
        with Reporter(how["quiet"]) as reporter:
            options = RunOptions(how["out"], pick_device(how["device"]), reporter=reporter)
            if how["dry_run"]:
                return print(walk(name, given, options))
            done = run_study(name, given, options, pool=pool)
        if how["as_json"]:
            return print_json({"rows": [_plain(row) for row in done.rows], "written": list(map(str, done.files))})
        print(done.page)
        if done.files:
            print(f"written: {', '.join(map(str, done.files))}")

    return run
