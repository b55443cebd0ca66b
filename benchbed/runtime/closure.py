"""What a user's file is made of: itself and every module of the user's that it imports, found without importing any."""

import ast
import importlib.util
import site
import sys
import sysconfig
from collections.abc import Iterable, Iterator
from contextlib import suppress
from functools import cache
from importlib.machinery import PathFinder
from pathlib import Path

OURS = __name__.partition(".")[0]


def closure(file: Path, name: str | None = None, also: Iterable[str] = ()) -> list[tuple[str, Path]]:
    """(name, file) of every module of the user's that `file` imports, directly or not, by name; `file` itself left out.

    name: the file's own, 'package.module', where it is installed as one. also: modules that it names in strings. The
    user's are all but the standard library, what is installed in site-packages (of the file's own package: that too)
    and benchbed. Imports within functions count, and `import_module` of a literal name; of one that is computed, no.
    """
    own = name.partition(".")[0] if name else None
    found: dict[Path, str] = {}
    left = [(name or "", file.resolve())]
    wanted = set(also)
    while left:
        module, path = left.pop()
        if path.suffix == ".py":
            wanted |= set(_imported(path.read_bytes(), module, path.name == "__init__.py"))
        for imported in sorted(wanted):
            for part, where in _files(imported, own):
                if where not in found and where != file.resolve():
                    found[where] = part
                    left.append((part, where))
        wanted = set()
    return sorted((module, path) for path, module in found.items())


@cache
def _imported(source: bytes, module: str, is_package: bool) -> tuple[str, ...]:
    """The absolute name of everything that a source imports; of `from a import b` both 'a' and 'a.b'."""
    package = module.split(".") if is_package else module.split(".")[:-1]
    names: list[str] = []
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError):
        return ()  # its import says so
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            start = ".".join([*base, *filter(None, [node.module])])
            names += [start, *(f"{start}.{alias.name}" for alias in node.names)]
        elif isinstance(node, ast.Call) and node.args and isinstance(node.args[0], ast.Constant):
            called = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            if called in ("import_module", "__import__") and isinstance(node.args[0].value, str):
                names.append(node.args[0].value)
    return tuple(name for name in names if name and not name.startswith("."))


def _files(name: str, own: str | None) -> Iterator[tuple[str, Path]]:
    """The files of the user's that an import of the name runs: those of the packages on the way, and its own."""
    top, *rest = name.split(".")
    if top == OURS or top in sys.stdlib_module_names:
        return
    spec, at = None, top
    with suppress(ImportError, ValueError):  # of a module that was made by hand, and is of no file
        spec = importlib.util.find_spec(top)
    while spec is not None:
        if spec.has_location and spec.origin is not None:
            path = Path(spec.origin).resolve()
            if top != own and not _is_users(path):
                return
            yield at, path
        if not rest or spec.submodule_search_locations is None:
            return
        at = f"{at}.{rest[0]}"
        spec, rest = PathFinder.find_spec(at, list(spec.submodule_search_locations)), rest[1:]


@cache
def _installed() -> tuple[Path, ...]:
    places = {sysconfig.get_paths()[key] for key in ("stdlib", "platstdlib", "purelib", "platlib")}
    return tuple(Path(place).resolve() for place in (*places, *site.getsitepackages(), site.getusersitepackages()))


def _is_users(path: Path) -> bool:
    return not any(path.is_relative_to(place) for place in _installed())
