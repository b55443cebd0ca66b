"""A name -> a plug-in: the two wings, the spaces and tasks of the package, entry points, a user's own files.

A plug-in is a file. It holds one class that implements its kind's contract; of a task, one public function whose
return annotation is `Task` (see benchbed.task). Its name is the file's, with '-' for '_'; its one-liner is the
docstring's first line, read without importing it. Nothing is imported before it is asked for by name.
"""

import ast
import inspect
import re
import sys
from collections.abc import Iterable, Iterator
from contextlib import suppress
from functools import cache
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from importlib.util import find_spec, module_from_spec, spec_from_file_location
from pathlib import Path
from traceback import extract_tb
from types import ModuleType
from typing import Any, NamedTuple

from .errors import BenchbedError, unknown
from .runtime import imported
from .runtime.closure import closure
from .runtime.handed_on import hand_on
from .runtime.reading import LIMITS, near, read_bytes

KINDS = ("searcher", "modifier", "selector", "space", "task", "proxy", "predictor", "study")
_PACKAGES = {kind: f"benchbed.{kind}s" for kind in KINDS}
_PACKAGES |= {"modifier": "benchbed.searchers.modifiers", "study": "benchbed.studies", "proxy": "benchbed.proxies"}
_USER_FILES: dict[str, Path] = {}  # name -> file, registered by add_file
_USER_CLASSES: dict[tuple[str, str], type[Any]] = {}  # (kind, name) -> class, registered by add_class


class Plugin(NamedTuple):
    """Where a plug-in is. `file` is None for an installed entry point, whose `target` is 'module:Class'."""

    kind: str
    name: str
    summary: str
    file: Path | None
    target: str


def add_file(path: Path) -> None:
    """Registers a user's file: the plug-in of each kind in it, under the file's name.

    One that changed since it was imported, or a module of the user's that it imports, is imported anew. Raises
    BenchbedError if it cannot be read or is not Python.
    """
    path = path.resolve()
    summary_of(path)
    name = _name(path)
    if imported.changed(_module_name(name)):  # in a session that goes on
        imported.forget(_module_name(name))
    if _USER_FILES.get(name, path) != path:
        raise BenchbedError(f"two plug-in files are named '{name}': {_USER_FILES[name]} and {path}")
    if not _kinds_in(name, path):
        if unfinished := _unfinished(_user_module(name, path)):
            raise BenchbedError(f"plug-in file {path}: {unfinished}")
        classes = ", ".join(kind.capitalize() for kind in KINDS if kind != "task")
        raise BenchbedError(f"plug-in file {path} defines no {classes} class, and no function that returns a Task")
    _USER_FILES[name] = path


def add_class(kind: str, found: type[Any]) -> str:
    """Registers a class itself, of a script or a notebook; its name: `MySearcher` is 'my-searcher'.

    A class of a plug-in that is known already keeps that one's name. Raises BenchbedError where it is not of the kind,
    and where its source cannot be read, without which a result would not say what made it.
    """
    for plugin in plugins(kind):
        if plugin.target == found.__module__ and load(kind, plugin.name) is found:
            return plugin.name
    if not issubclass(found, _contract(kind)) or inspect.isabstract(found):
        raise BenchbedError(f"class {found.__qualname__} is no {kind}: a subclass of benchbed.{kind.capitalize()} is")
    name = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|_", "-", found.__name__).lower()
    if name in {plugin.name for plugin in plugins(kind)} - {own for of, own in _USER_CLASSES if of == kind}:
        raise BenchbedError(
            f"class {found.__qualname__} would be {kind} '{name}', which there is: give it another name"
        )
    try:
        _source_of(found)
    except (OSError, TypeError):
        raise BenchbedError(
            f"the source of class {found.__qualname__} cannot be read: save it in a file and give plugin=FILE"
        ) from None
    _check_unchanged(found)
    _USER_CLASSES[kind, name] = found
    return name


def _check_unchanged(found: type[Any]) -> None:
    """Raises BenchbedError where what a class is made of was edited since it was first given here."""
    if found.__module__ == "__main__":
        return
    if edited := imported.changed(found):
        raise BenchbedError(
            f"class {found.__qualname__}: {edited[0]} was edited since Python imported it, and its results would be "
            "known by a text that did not make them: reload the module, or start Python anew"
        )
    imported.note(found, Path(inspect.getfile(found)), found.__module__)


def _source_of(found: type[Any]) -> bytes:
    """The text that a class is made of: its module's file, or where a script or notebook defines it its own lines."""
    if found.__module__ != "__main__":
        return Path(inspect.getfile(found)).read_bytes()
    for cell in reversed(getattr(sys.modules["__main__"], "In", [])):  # a notebook's, the last one first
        with suppress(SyntaxError):
            for node in ast.walk(ast.parse(cell)):
                if isinstance(node, ast.ClassDef) and node.name == found.__name__:
                    return ast.unparse(node).encode()
    return inspect.getsource(found).encode()


def code(kind: str, name: str) -> bytes | None:
    """The text of the plug-in's file or class, by which a result knows it, and of its modifiers'; None where it has
    none, as an entry point without a file."""
    name, *modifiers = name.split("+") if kind == "searcher" else [name]
    found = [_text(kind, name), *(_text("modifier", modifier) for modifier in modifiers)]
    return b"".join(text for text in found if text is not None) if any(found) else None


def _text(kind: str, name: str) -> bytes | None:
    if (kind, name) in _USER_CLASSES:
        return _source_of(_USER_CLASSES[kind, name])
    file = source(kind, name)
    return None if file is None else file.read_bytes()


def user_class(kind: str, name: str) -> type[Any] | None:
    """The class that `add_class` has registered under the name."""
    return _USER_CLASSES.get((kind, name))


def user_files() -> list[Path]:
    """The files that `add_file` has registered."""
    return list(_USER_FILES.values())


def add_files(files: Iterable[Path] | None) -> None:
    """`add_file` of each, such as --plugin gives them; None: none were given."""
    for file in files or ():
        add_file(file)


def take_files(texts: dict[str, str], folder: Path) -> None:
    """In a worker: registers the files that its master has, by path and text; put down in `folder` where they are not.

    Where they lie they may import others beside them.
    """
    for name, text in texts.items():
        file = Path(name)
        if not file.is_file() or file.read_text() != text:
            file = folder / file.name
            file.write_text(text)
        add_file(file)


hand_on(f"{__name__}:take_files", lambda: {str(file): file.read_text() for file in user_files()})


def plugins(kind: str) -> list[Plugin]:
    """Every plug-in of a kind, by name; a user's file comes before an entry point, and that before our own."""
    found: dict[str, Plugin] = {}
    for name, file, target in _own_files(kind):
        found[name] = Plugin(kind, name, summary_of(file), file, target)
    for entry in _entry_points(_PACKAGES[kind], tuple(sys.path)):
        found[entry.name] = Plugin(kind, entry.name, f"from {entry.value}", None, entry.value)
    for name, file in _USER_FILES.items():
        if kind in _kinds_in(name, file):
            found[name] = Plugin(kind, name, summary_of(file), file, _module_name(name))
    for (of, name), cls in _USER_CLASSES.items():
        if of == kind:
            summary = (inspect.getdoc(cls) or "(no description)").split("\n")[0]
            found[name] = Plugin(kind, name, summary, None, f"{cls.__module__}:{cls.__qualname__}")
    return sorted(found.values(), key=lambda p: p.name)


def find(kind: str, name: str) -> Plugin:
    """The plug-in `name`; for a searcher under modifiers, 'NAME+MODIFIER', the searcher's under that name.

    Raises BenchbedError that names the nearest one.
    """
    name, *modifiers = name.split("+") if kind == "searcher" else [name]
    known = {p.name: p for p in plugins(kind)}
    if name not in known:
        raise unknown(kind, name, known)
    for modifier in modifiers:
        find("modifier", modifier)
    return known[name]._replace(name="+".join([name, *modifiers]))


def load(kind: str, name: str) -> Any:
    """The plug-in's class, or a task's function, imported now; of 'NAME+MODIFIER' that of the modified searcher.

    Raises BenchbedError if it holds none or several, and for modifiers that exclude each other.
    """
    plugin = find(kind, name)
    if kind == "searcher" and "+" in name:
        name, *modifiers = name.split("+")
        by = tuple((modifier, load("modifier", modifier)) for modifier in modifiers)
        return import_module("benchbed.modifier").made_of(load(kind, name), by)
    if (kind, name) in _USER_CLASSES:
        return _USER_CLASSES[kind, name]
    if plugin.file is None:
        return _from_entry_point(plugin)
    found = _implementations(import_module(plugin.target), kind)
    if len(found) != 1:
        names, what = ", ".join(c.__name__ for c in found), "functions" if kind == "task" else "classes"
        raise BenchbedError(f"{plugin.file} holds {len(found)} {kind} {what} ({names}) where one is expected")
    return found[0]


def _from_entry_point(plugin: Plugin) -> object:
    module_name, _, attribute = plugin.target.partition(":")
    where = f"entry point {plugin.kind} '{plugin.name}' = {plugin.target}"
    try:
        found = getattr(import_module(module_name), attribute)
    except Exception as error:  # it runs code that is not ours
        raise BenchbedError(f"{where} failed to load: {type(error).__name__}: {error}") from error
    if plugin.kind == "task":
        if not inspect.isroutine(found):
            raise BenchbedError(f"{where} is not a function that returns a Task")
    elif not (isinstance(found, type) and issubclass(found, _contract(plugin.kind))):
        raise BenchbedError(f"{where} is not a subclass of benchbed.{plugin.kind}.{plugin.kind.capitalize()}")
    return found


def source(kind: str, name: str) -> Path | None:
    """The file that holds the plug-in's class; None where an entry point's class has none."""
    plugin = find(kind, name)
    if plugin.file is not None:
        return plugin.file
    file = getattr(sys.modules[load(kind, name).__module__], "__file__", None)
    return None if file is None else Path(file)


def sources(kind: str, name: str) -> list[Path]:
    """The files of the plug-in's class and of its modifiers'; not of the modules that they import."""
    name, *modifiers = name.split("+") if kind == "searcher" else [name]
    found = [source(kind, name), *(source("modifier", modifier) for modifier in modifiers)]
    return [file for file in found if file is not None]


def imported_by(kind: str, name: str) -> list[tuple[str, Path]]:
    """(module, file) of every module of the user's that the plug-in and its modifiers import; none for one of ours.

    A space imports its supernet and network too, whose modules it names in strings.
    """
    name, *modifiers = name.split("+") if kind == "searcher" else [name]
    found: set[tuple[str, Path]] = set()
    for kind_, name_ in ((kind, name), *(("modifier", modifier) for modifier in modifiers)):
        plugin, file = find(kind_, name_), source(kind_, name_)
        if file is None or is_ours(plugin):
            continue
        roles = ("supernet", "network") if kind == "space" else ()
        named = [str(getattr(load(kind, name), role)).partition(":")[0] for role in roles]
        own = plugin.target.partition(":")[0] if plugin.file is None else None
        found |= set(closure(file, own, named))
    return sorted(found)


def is_ours(plugin: Plugin) -> bool:
    """Whether it comes with benchbed, and so is known by benchbed's version and commit."""
    return plugin.target.startswith(_PACKAGES[plugin.kind] + ".")


def fault(error: BaseException) -> str | None:
    """Where an error came out of a plug-in that is not ours, as 'FILE at line N'; None where none has a part in it."""
    groups = [_entry_points(_PACKAGES[kind], tuple(sys.path)) for kind in KINDS]
    modules = (sys.modules.get(entry.module) for group in groups for entry in group)
    files = {str(file) for file in _USER_FILES.values()} | {getattr(module, "__file__", None) for module in modules}
    frames = [frame for frame in extract_tb(error.__traceback__) if frame.filename in files]
    return f"{frames[-1].filename} at line {frames[-1].lineno}" if frames else None


def summary_of(file: Path) -> str:
    """The first line of the file's docstring, without importing it."""
    try:
        return _summary(file, file.stat().st_mtime_ns)
    except OSError as error:
        raise BenchbedError(f"cannot read plug-in file {file}: {error.strerror}{near(file)}") from None


@cache  # every look for a name passes all files: a study would parse them a hundred times a run
def _summary(file: Path, modified: int) -> str:
    text = ast.get_docstring(_parsed(file)) or ""
    return text.split("\n")[0].strip() or "(no description)"


@cache  # reads the metadata of every installed package: ten milliseconds a look
def _entry_points(group: str, path: tuple[str, ...]) -> tuple[EntryPoint, ...]:
    return tuple(entry_points(group=group))


def _parsed(file: Path) -> ast.Module:
    source = read_bytes(file, LIMITS.source_bytes, "plug-in file ")
    try:
        return ast.parse(source.decode())
    except (SyntaxError, UnicodeDecodeError, ValueError, RecursionError, MemoryError) as error:
        raise BenchbedError(f"plug-in file {file} is not Python: {error}") from None


def _name(file: Path) -> str:
    return file.stem.replace("_", "-")


def _own_files(kind: str) -> Iterator[tuple[str, Path, str]]:
    """(name, file, module) of the plug-ins that come with benchbed.

    A searcher, selector or task is a file of its folder; a space NAME is a folder spaces/NAME with a file space.py, and
    spaces/NAME/space_X.py is the space NAME-x, which shares its networks.
    """
    package = _PACKAGES[kind]
    spec = find_spec(package)
    for folder in map(Path, (spec.submodule_search_locations or []) if spec else []):
        for file in sorted(folder.glob("*/space*.py" if kind == "space" else "*.py")):
            if kind == "space":
                name = file.parent.name + file.stem.removeprefix("space")
                yield name.replace("_", "-"), file, f"{package}.{file.parent.name}.{file.stem}"
            elif not file.stem.startswith("_") and file.stem != "load":
                yield _name(file), file, f"{package}.{file.stem}"


def _kinds_in(name: str, file: Path) -> set[str]:
    """The kinds of plug-in that a user's file defines. Imports it: a subclass of a subclass is a plug-in too."""
    module = _user_module(name, file)
    return {kind for kind in KINDS if _implementations(module, kind)}


def _unfinished(module: ModuleType) -> str | None:
    """Which class of the module would be a plug-in, had it the methods that its contract asks for; None: none."""
    for kind in (kind for kind in KINDS if kind != "task"):
        for found in vars(module).values():
            ours = isinstance(found, type) and found.__module__ == module.__name__
            if ours and issubclass(found, _contract(kind)) and inspect.isabstract(found):
                lacks = ", ".join(sorted(found.__abstractmethods__))
                return f"class {found.__name__} is not a {kind.capitalize()} yet: it lacks {lacks}"
    return None


def _implementations(module: ModuleType, kind: str) -> list[Any]:
    """What the module itself defines and that implements the kind's contract: classes; of a task, functions."""
    base = _contract(kind)
    if kind == "task":
        own = {n: f for n, f in vars(module).items() if inspect.isfunction(f) and f.__module__ == module.__name__}
        return [f for n, f in own.items() if n[0] != "_" and f.__annotations__.get("return") in (base, base.__name__)]
    found = [c for c in vars(module).values() if isinstance(c, type) and issubclass(c, base)]
    return [c for c in found if c.__module__ == module.__name__ and not inspect.isabstract(c)]


def _contract(kind: str) -> type[Any]:
    contract: type[Any] = getattr(import_module(f"benchbed.{kind}"), kind.capitalize())
    return contract


def _user_module(name: str, file: Path) -> ModuleType:
    """A user's file as a module, in sys.modules before it runs, so that it can name its own classes."""
    target = _module_name(name)
    if target in sys.modules:
        return sys.modules[target]
    spec = spec_from_file_location(target, file)
    if spec is None or spec.loader is None:
        raise BenchbedError(f"plug-in file {file} cannot be imported: its name must end in .py")
    module = module_from_spec(spec)
    sys.modules[target] = module
    imported.note(target, file, target)
    try:  # not by the loader, whose bytecode is of before where a file changed within a second
        exec(compile(file.read_bytes(), str(file), "exec"), vars(module))
    except (Exception, SystemExit) as error:
        del sys.modules[target]
        lines = [frame.lineno for frame in extract_tb(error.__traceback__) if frame.filename == str(file)]
        where = f" at line {lines[-1]}" if lines else ""
        raise BenchbedError(f"plug-in file {file} failed to load{where}: {type(error).__name__}: {error}") from error
    return module


def _module_name(name: str) -> str:
    return f"benchbed_plugin_{name.replace('-', '_')}"
