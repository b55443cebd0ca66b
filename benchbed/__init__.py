"""benchbed: any searcher x any selector x any search space, on one footing.

Importing this loads no heavy library: the public names below are looked up on use.
"""

import sys
from importlib import import_module
from importlib.machinery import ModuleSpec
from importlib.util import module_from_spec
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from . import moved as _moved

if TYPE_CHECKING:
    from .api import load as load
    from .api import run as run
    from .api import score as score
    from .api import select as select
    from .api import train as train
    from .results import Comparison as Comparison
    from .results import Results as Results

__version__ = "0.1.0"

_PUBLIC = {
    "AlphaSearcher": "searcher",
    "Architecture": "space",
    "Batch": "objective",
    "BenchbedError": "errors",
    "Clock": "searcher",
    "Comparison": "results",
    "Context": "selector",
    "Cost": "cost",
    "Decisions": "objective",
    "GradientSearcher": "searcher",
    "Measure": "objective",
    "Modifier": "modifier",
    "Objective": "objective",
    "Position": "space",
    "Problem": "cost",
    "Predictor": "predictor",
    "Proxy": "proxy",
    "Record": "pipeline.record",
    "Results": "results",
    "Seal": "task",
    "Searcher": "searcher",
    "Selection": "selector",
    "Selector": "selector",
    "Space": "space",
    "Split": "task",
    "Streams": "streams",
    "Study": "study",
    "Table": "tables.table",
    "Task": "task",
    "load": "api",
    "run": "api",
    "score": "api",
    "select": "api",
    "train": "api",
}
_ROOMS = ("sweep", "tables", "tune")  # public too; `sweep` and `tune` can be called


def __getattr__(name: str) -> Any:
    """The public name `name`, its module imported now. Raises AttributeError if there is none."""
    if name in _ROOMS:
        return import_module(f"{__name__}.{name}")
    if name not in _PUBLIC:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_PUBLIC[name]}"), name)


def __dir__() -> list[str]:
    return sorted({"__version__", *_PUBLIC, *_ROOMS})


class Verb(ModuleType):
    """A room that is a verb too: called, it is the function of its name in `benchbed.api`.

    `benchbed.sweep` is a package, and importing a part of it puts the package in the function's place.
    """

    def __call__(self, *given: object, **options: object) -> object:
        return getattr(import_module(f"{__name__}.api"), self.__name__.rpartition(".")[2])(*given, **options)


def _join_wings(root: Path) -> None:
    """In a checkout, make the root's two wings importable as `benchbed.searchers` and `benchbed.selectors`.

    A wheel holds them as real sub-folders. Nothing goes on `sys.path` or `__path__`: a folder named `selectors` must
    never get in front of the standard library's module, and `benchbed.benchbed` must not exist.
    """
    for wing in ("searchers", "selectors"):
        if (root / "pyproject.toml").is_file() and (root / wing).is_dir():
            spec = ModuleSpec(f"{__name__}.{wing}", loader=None, is_package=True)
            spec.submodule_search_locations = [str(root / wing)]
            globals()[wing] = sys.modules[spec.name] = module_from_spec(spec)


_join_wings(Path(__file__).resolve().parent.parent)
_moved.install()
