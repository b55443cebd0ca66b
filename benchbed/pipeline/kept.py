"""The source of a user's plug-ins, kept beside what they made: `select` and `verify` find it when the file has gone."""

from pathlib import Path

from .. import registry
from ..errors import BenchbedError
from ..runtime.files import one_line, write_atomic
from .config import RunConfig

FOLDER = "plugins"


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
