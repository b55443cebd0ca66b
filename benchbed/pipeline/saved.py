"""A finished search as its folder tells it: the configuration that was saved, and whether it is still that search."""

import json
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from ..errors import BenchbedError
from ..runtime.digest import first_difference
from ..runtime.folder import read_json
from ..task import Task
from .build import search_id
from .config import RunConfig
from .kept import use_kept
from .resolve import file_sha256
from .upgrade import upgraded_config

KEYS = ("space", "task", "epochs", "searcher", "supernet", "seed")
_SELECTOR: dict[str, Any] = {"name": "magnitude", "options": {}, "sha256": None}  # of a run, and no part of a search


def saved_config(search: Path) -> RunConfig:
    """`config.json` of a finished search as that of a run, with a selector that stands for any.

    The plug-ins that the search kept are registered. Raises BenchbedError if the folder holds no finished search, or
    the file is damaged.
    """
    if not (search / "record.json").exists():
        raise BenchbedError(f"{search} holds no finished search (no record.json): give a folder below OUT/searches")
    use_kept(search)
    saved = read_json(search / "config.json", KEYS)
    try:
        return RunConfig.model_validate({**upgraded_config(saved), "selector": _SELECTOR})
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        missing = first["type"] == "missing"  # its input is all that is there
        said = f"no '{where}' in it" if missing else f"{where} = {first['input']!r}: {first['msg'].lower()}"
        raise BenchbedError(f"{search}/config.json is damaged ({said}): put it back, or search again") from None


def refuse_another(search: Path, config: RunConfig, task: Task) -> None:
    """Raises BenchbedError where `config`, made from what was saved, is no longer the search in the folder."""
    if search_id(config, task) == search.resolve().name:
        return
    made = read_json(search / "record.json", ("config",))["config"]
    now = json.loads(json.dumps(config.search_key()))
    if not isinstance(made, dict):
        raise BenchbedError(f"{search}/record.json is damaged (config is no object): search again with 'run'")
    both = [key for key in made if key in now and key != "task"]  # images may lie elsewhere: their content counts
    code = isinstance(made.get("searcher"), dict) and made["searcher"].get("sha256")
    if code and code != file_sha256("searcher", config.searcher.name):
        changed = "the searcher's file changed, or one that it imports"
    elif (edited := first_difference({key: made[key] for key in both}, {key: now[key] for key in both})) is not None:
        where, was, says = edited
        changed = f"its config.json says {where} = {says!r}, its record {was!r}"
    else:
        changed = "the task's data changed"
    raise BenchbedError(f"{search} was made with other code or data ({changed}): search again with 'run'")
