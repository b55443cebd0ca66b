"""The modules that have another name now: an import of the old one works for one release, and says the new one."""

import sys
import warnings
from collections.abc import Callable, Sequence
from importlib import import_module
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

SPACES = ("darts", "macro", "mbconv", "nb201", "nb201_untied", "proxyless_cifar")
# Below benchbed: the old module -> the modules that hold its names now; () is a folder of such modules.
MOVED: dict[str, tuple[str, ...]] = {
    "builder.classes": ("spaces.classes",),
    "builder.ledger": ("builder.job_store",),
    "builder.settings": ("builder.spec",),
    "config": ("pipeline.config", "pipeline.resolve", "typed"),
    **{name: (f"runtime.{name}",) for name in ("digest", "files", "folder", "machine", "progress")},
    "foreign": (),
    **{f"foreign.{name}": (f"checkpoints.{name}",) for name in ("alpha", "config", "module", "nb201")},
    "foreign.checkpoint": ("checkpoints.source", "checkpoints.reading_room"),
    **{name: (f"pipeline.{name}",) for name in ("full_search", "history", "record")},
    "multilinear": ("objectives.multilinear",),
    "networks": (),
    **{f"networks.{name}": (f"spaces.{name}.network",) for name in SPACES},
    "networks.inverted": ("layers.inverted",),
    "networks.pyramid": ("spaces.proxyless_cifar.pyramid",),
    "parallel": ("runtime.parallel", "objectives.reader"),
    "pipeline.kept": ("pipeline.saved",),
    "pipeline.upgrade": ("pipeline.record",),
    "report.analyses": ("report.plots",),
    "report.critical": ("report.figures",),
    "runtime.segments": ("runtime.stage",),
    "scoring": ("pipeline.score",),
    "search_loop": ("training.search_loop",),
    "searched": ("pipeline.saved",),
    "selection.discretise": ("selection.discretize",),
    **{f"spaces.darts_s{n}": (f"spaces.darts.space_s{n}",) for n in range(1, 6)},
    "stages": ("pipeline.build", "pipeline.search", "pipeline.select"),
    "studies.tune": ("tune.study", "tune.options"),
    "studies.tune_named": ("tune.samplers", "tune.options"),
    **{
        f"studies.tune_{name}": (f"tune.{name}",) for name in ("report", "slots", "space", "storage", "trial", "worker")
    },
    "supernets": (),
    **{f"supernets.{name}": (f"spaces.{name}.supernet",) for name in SPACES},
    **{f"supernets.{name}": (f"layers.{name}",) for name in ("choice", "mixed", "plan")},
    "sweep.crew": ("runtime.workers",),
    "sweep.tell": ("sweep.summary",),
    "table_config": ("pipeline.tables",),
    "tables.draft": ("tables.table_builder",),
    "tables.sheet": ("tables.csv_reader",),
    "training.job": ("pipeline.train",),
}
RENAMED = {
    "stages": {"build": "build_parts", "check": "check_config", "search": "run_search", "select": "run_selection"},
}
FUNCTIONS = {"run": "benchbed.pipeline.run"}  # a function stands where a module was: the module's name now


class MovedFinder(MetaPathFinder, Loader):
    """Finds the modules of `MOVED` under their old names; each warns when it is imported first."""

    def find_spec(self, fullname: str, path: object, target: ModuleType | None = None) -> ModuleSpec | None:
        name = fullname.removeprefix("benchbed.")
        if fullname != name and name in FUNCTIONS:
            raise ModuleNotFoundError(
                f"{fullname} is a function now: use `benchbed.{name}(...)`, or import {FUNCTIONS[name]}", name=fullname
            )
        if fullname == name or name not in MOVED:
            return None
        return ModuleSpec(fullname, self, is_package=not MOVED[name])

    def exec_module(self, module: ModuleType) -> None:
        name = module.__name__.removeprefix("benchbed.")
        if targets := MOVED[name]:
            say_moved(module.__name__, [f"benchbed.{target}" for target in targets])
            vars(module)["__getattr__"] = moved_names(module.__name__, targets, RENAMED.get(name, {}))


def moved_names(
    old: str, targets: Sequence[str], renamed: dict[str, str] | None = None, say: bool = False
) -> Callable[[str], Any]:
    """A module's `__getattr__` that looks a name up in the modules where it is now; say: warns of each name."""

    def __getattr__(name: str) -> Any:
        for target in [] if name.startswith("__") else targets:
            new = (renamed or {}).get(name, name)
            found = getattr(import_module(f"benchbed.{target}"), new, None)
            if found is not None:
                if say:
                    say_moved(f"{old}.{name}", [f"benchbed.{target}.{new}"])
                return found
        raise AttributeError(f"module {old!r} has no attribute {name!r}")

    return __getattr__


def say_moved(old: str, new: Sequence[str]) -> None:
    """Warns of an old name, once a module."""
    where = " or ".join(new)
    # shown by default, and at the line of the user's import: the frames of the import system are not counted
    warnings.warn(f"{old} is {where} now: import that; the old name goes with the next release", FutureWarning, 2)


def install() -> None:
    """Puts the finder before all others, once: an older benchbed that is installed as well must not answer for it."""
    if not any(isinstance(finder, MovedFinder) for finder in sys.meta_path):
        sys.meta_path.insert(0, MovedFinder())
