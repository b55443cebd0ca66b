"""Clones of the authors' repositories: found, and their modules imported from where they lie."""

import logging
import os
import subprocess
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from importlib import import_module
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import Any, ClassVar
from unittest.mock import patch

import pytest


class Bystander(ModuleType):
    """A package that is imported and plays no part: whatever is asked of it is a class that does nothing."""

    __path__: ClassVar[list[str]] = []

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return type(name, (), {"__init__": lambda self, *_, **__: None, "__getattr__": lambda self, _: Silent()})


class Silent:
    def __call__(self, *_: Any, **__: Any) -> None: ...


def bystanders(*names: str) -> dict[str, ModuleType]:
    """Of these names, of which a dotted one is found in its parent, too."""
    found: dict[str, ModuleType] = {name: Bystander(name) for name in names}
    for name, module in found.items():
        parent, _, own = name.rpartition(".")
        if parent in found:
            setattr(found[parent], own, module)
    return found


def empty_package(name: str, folder: Path) -> ModuleType:
    """A package whose modules are those of the folder, without what its own __init__.py imports."""
    package = ModuleType(name)
    package.__path__ = [str(folder)]
    return package


def clone(name: str) -> Path:
    """A clone, named as on GitHub, in the folder that BENCHBED_ORIGINALS names; the test is skipped without it."""
    folder = os.environ.get("BENCHBED_ORIGINALS")
    if not folder:
        pytest.skip(f"needs BENCHBED_ORIGINALS, a folder that holds a clone of {name}")
    if not (Path(folder) / name).is_dir():
        pytest.skip(f"BENCHBED_ORIGINALS is {folder}, which holds no clone named {name}")
    return Path(folder) / name


def commit(name: str) -> str:
    """What is checked out there, or the release where it is an installed package."""
    folder = clone(name)
    if found := sorted(folder.glob("*.dist-info")):
        return "release " + found[0].name.removesuffix(".dist-info").rpartition("-")[2]
    command = ["git", "-c", "safe.directory=*", "-C", str(folder), "rev-parse", "--short=7", "HEAD"]
    done = subprocess.run(command, capture_output=True, text=True)
    return done.stdout.strip() or "unknown"


def load(
    folders: Path | Iterable[Path], *names: str, beside: dict[str, ModuleType] | None = None
) -> tuple[ModuleType, ...]:
    """The modules of these names, or of these files, as imported with the folders first on the path.

    Afterwards the path and the table of modules are what they were: three codes have each an `operations` of its own.
    """
    folders = [folders] if isinstance(folders, Path) else list(folders)
    with patch.object(sys, "path", [*map(str, folders), *sys.path]), patch.dict(sys.modules, beside or {}):
        ours = set(sys.modules)
        found = tuple(_file(Path(name)) if name.endswith(".py") else import_module(name) for name in names)
        new = {name: module for name, module in sys.modules.items() if name not in ours}
        theirs = [name for name, module in new.items() if any(f"{f}{os.sep}" in _place(module) for f in folders)]
    for name in theirs:
        del new[name]
    sys.modules.update(new)  # libraries that they were the first to import
    return found


@contextmanager
def script(folder: Path, name: str, *arguments: str, beside: dict[str, ModuleType]) -> Iterator[ModuleType]:
    """A search script as a module: it reads a command line and opens a log where it is imported."""
    root = logging.getLogger()
    before = list(root.handlers)
    with patch.object(sys, "argv", [name, *arguments]):
        (found,) = load(folder, name, beside={**beside, **bystanders("torch.utils.tensorboard")})
    yield found
    for handler in [handler for handler in root.handlers if handler not in before]:
        root.removeHandler(handler)
        handler.close()


def _place(module: ModuleType) -> str:
    """Where its file lies or, of a package without one, its folder."""
    return str(getattr(module, "__file__", None) or [*getattr(module, "__path__", [])])


def _file(path: Path) -> ModuleType:
    spec = spec_from_file_location(path.stem.replace("-", "_").lower(), path)
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
