"""A finished search as its folder tells it: the configuration that was saved, and whether it is still that search.

The source of a user's plug-ins is kept beside what they made: `select` and `verify` find it when the file has gone.
"""

import json
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from .. import registry
from ..errors import BenchbedError
from ..runtime.digest import first_difference
from ..runtime.files import one_line, write_atomic
from ..runtime.folder import read_json
from ..task import Task
from .build import search_id
from .config import RunConfig
from .record import first_wrong, upgraded_config
from .resolve import file_sha256

FOLDER = "plugins"
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
        said = first_wrong(error)
        raise BenchbedError(f"{search}/config.json is damaged ({said}): put it back, or search again") from None


def refuse_another(search: Path, config: RunConfig, task: Task) -> None:
    """Raises BenchbedError where `config`, made from what was saved, is no longer the search in the folder."""
    if search_id(config, task) == search.resolve().name:
        return
    made = read_json(search / "record.json", ("config",))["config"]
    now = json.loads(json.dumps(config.search_key()))
    if not isinstance(made, dict):
        raise BenchbedError(f"{search}/record.json is damaged (config is not an object): search again with 'run'")
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


def keep_plugins(config: RunConfig, folder: Path, *kinds: str) -> None:
    """Writes the user's files of the configuration's plug-ins of these kinds into `folder`/plugins."""
    names = {"searcher": config.searcher.name, "selector": config.selector.name, "space": config.space}
    names["task"] = "" if config.objective == "table" else config.task.partition(":")[0]
    own = set(registry.user_files())
    for kind in kinds:
        for file in registry.sources(kind, names[kind]) if names[kind] else ():
            if file in own:
                (folder / FOLDER).mkdir(exist_ok=True)
                write_atomic(folder / FOLDER / file.name, file.read_bytes())


def use_kept(folder: Path) -> None:
    """Registers what `keep_plugins` put into the folder, but for names under which the user has given a file now.

    Whether a file still is what it was then is for the one who compares hashes. Raises BenchbedError for a kept file
    that is damaged.
    """
    given = {file.stem.replace("_", "-") for file in registry.user_files()}
    with one_line(folder / FOLDER, "read"):
        files = sorted((folder / FOLDER).glob("*.py"))
    for file in files:
        if file.stem.replace("_", "-") not in given:
            try:
                registry.add_file(file)
            except BenchbedError as error:
                raise BenchbedError(f"{error}; it was kept by the run: give yours with --plugin") from None
