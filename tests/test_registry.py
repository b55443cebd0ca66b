"""A name -> a plug-in: the wings, a user's files, installed entry points."""

import importlib.metadata
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from benchbed import registry
from benchbed.errors import BenchbedError

ROOT = Path(__file__).resolve().parent.parent

SEARCHER = '''"""My way: it is simple.

More of it."""
from benchbed.searchers.random import RandomSampling

class Mine(RandomSampling):
    pass
'''
SELECTOR = '''"""My choice."""
from benchbed.selector import Selection, Selector

class Mine(Selector):
    def step(self, context):
        return Selection(context.space.random(context.streams.numpy("selection")), context.space.mask * 0.0, {})
'''


@pytest.fixture(autouse=True)
def no_user_files(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(registry, "_USER_FILES", {})
    yield
    for name in [n for n in sys.modules if n.startswith("benchbed_plugin_")]:
        del sys.modules[name]


def written(folder: Path, name: str, text: str) -> Path:
    file = folder / name
    file.parent.mkdir(exist_ok=True)
    file.write_text(text)
    return file


def refusal(action: Any, *arguments: Any) -> str:
    with pytest.raises(BenchbedError) as refused:
        action(*arguments)
    assert len(str(refused.value).splitlines()) == 1
    return str(refused.value)


# -- the wings ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["searcher", "selector"])
def test_a_wing_is_what_is_in_its_folder(kind: str) -> None:
    files = {p.stem.replace("_", "-"): p for p in (ROOT / f"{kind}s").glob("[!_]*.py")}
    found = {p.name: p for p in registry.plugins(kind)}
    assert sorted(found) == list(found) == sorted(files)
    for name, plugin in found.items():
        assert (plugin.kind, plugin.file) == (kind, files[name])
        assert registry.source(kind, name) == files[name]
        assert registry.is_ours(plugin)
        loaded = registry.load(kind, name)
        assert loaded.__module__ == f"benchbed.{kind}s.{files[name].stem}"
        first = files[name].read_text().split('"""')[1].splitlines()[0]
        assert plugin.summary == first


def test_an_underscore_of_the_file_is_a_dash_of_the_name() -> None:
    assert registry.find("selector", "best-of").file == ROOT / "selectors" / "best_of.py"
    assert "did you mean 'best-of'?" in refusal(registry.find, "selector", "best_of")


def test_spaces_and_tasks_are_found_too() -> None:
    assert "nb201" in {p.name for p in registry.plugins("space")}
    known = {"digits", "npz", "cifar10", "cifar100", "imagenet", "imagenet16", "svhn"}
    assert {p.name for p in registry.plugins("task")} >= known
    assert registry.load("space", "nb201").__name__ == "NB201"


def test_an_unknown_name_gives_the_nearest() -> None:
    assert refusal(registry.load, "searcher", "dart") == (
        "unknown searcher 'dart': did you mean 'darts'? known: "
        + ", ".join(p.name for p in registry.plugins("searcher"))
    )
    assert refusal(registry.find, "space", "zzz").startswith("unknown space 'zzz': known: ")


# -- a user's file -----------------------------------------------------------------------------------------------------


def test_a_users_file_is_found_by_its_own_name(tmp_path: Path) -> None:
    file = written(tmp_path, "my_way.py", SEARCHER)
    registry.add_file(file)
    registry.add_file(file)  # twice is once
    plugin = registry.find("searcher", "my-way")
    assert (plugin.file, plugin.summary) == (file, "My way: it is simple.")
    assert registry.source("searcher", "my-way") == file
    assert not registry.is_ours(plugin)
    assert registry.load("searcher", "my-way").__name__ == "Mine"
    assert "my-way" not in {p.name for p in registry.plugins("selector")}  # RandomSampling is imported, not its own
    assert str(tmp_path) not in sys.path


def test_one_file_may_hold_several_kinds(tmp_path: Path) -> None:
    both = SEARCHER + SELECTOR.replace('"""My choice."""', "").replace("class Mine", "class Other")
    registry.add_file(written(tmp_path, "both.py", both))
    assert registry.load("searcher", "both").__name__ == "Mine"
    assert registry.load("selector", "both").__name__ == "Other"


def test_a_users_file_comes_before_ours_of_the_same_name(tmp_path: Path) -> None:
    registry.add_file(written(tmp_path, "random.py", SELECTOR))
    assert registry.find("selector", "random").summary == "My choice."
    assert registry.load("selector", "random").__name__ == "Mine"
    assert registry.load("searcher", "random").__name__ == "RandomSampling"  # another kind, untouched
    import random

    assert random.random() < 1  # and the standard library's module too


def test_a_file_without_a_docstring_has_no_description(tmp_path: Path) -> None:
    registry.add_file(written(tmp_path, "bare.py", SELECTOR.replace('"""My choice."""', "")))
    assert registry.find("selector", "bare").summary == "(no description)"


def test_two_files_of_one_name(tmp_path: Path) -> None:
    one, other = written(tmp_path / "a", "my_way.py", SEARCHER), written(tmp_path / "b", "my-way.py", SEARCHER)
    registry.add_file(one)
    assert refusal(registry.add_file, other) == f"two plug-in files are named 'my-way': {one} and {other}"


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("x.py", "def broken(:\n", "is not Python: invalid syntax (<unknown>, line 1)"),
        ("x.py", "\0", "is not Python: "),
        ("x.py", "import math\n", "Study class, and no function that returns a Task"),
        ("x.py", "", "Study class, and no function that returns a Task"),
        ("x.py", "a = 1\n\nb = 1 / 0\n", "failed to load at line 3: ZeroDivisionError: division by zero"),
        ("x.py", "import nowhere_at_all\n", "failed to load at line 1: ModuleNotFoundError: No module named"),
        ("x.py", "import sys\nsys.exit(3)\n", "failed to load at line 2: SystemExit: 3"),
        ("x.py", SELECTOR.replace("def step", "def stop"), "is not a Selector yet: it lacks step"),
        ("x.txt", SELECTOR, "its name must end in .py"),
    ],
)
def test_files_that_are_no_plug_in(tmp_path: Path, name: str, text: str, said: str) -> None:
    file = written(tmp_path, name, text)
    line = refusal(registry.add_file, file)
    assert line.startswith(f"plug-in file {file}")
    assert said in line
    assert registry._USER_FILES == {}
    assert [n for n in sys.modules if n.startswith("benchbed_plugin_x") and n in line] == []


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    assert "No such file" in refusal(registry.add_file, tmp_path / "none.py")
    assert "Is a directory" in refusal(registry.add_file, tmp_path)
    (tmp_path / "latin.py").write_bytes(b'"""caf\xe9"""\n')
    assert "is not Python" in refusal(registry.add_file, tmp_path / "latin.py")


def test_two_classes_of_one_kind_in_a_file(tmp_path: Path) -> None:
    file = written(tmp_path, "two.py", SELECTOR + SELECTOR.replace("class Mine", "class Other"))
    registry.add_file(file)
    said = f"{file} holds 2 selector classes (Mine, Other) where one is expected"
    assert refusal(registry.load, "selector", "two") == said


# -- an installed entry point ------------------------------------------------------------------------------------------


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """`installed(target)`: a distribution whose entry point `theirs` of the group benchbed.selectors is the target."""

    def make(target: str, module: str = SELECTOR) -> Path:
        written(tmp_path, "their_module.py", module)
        info = written(
            tmp_path / "theirs-1.0.dist-info", "METADATA", "Metadata-Version: 2.1\nName: theirs\nVersion: 1.0\n"
        )
        (info.parent / "entry_points.txt").write_text(f"[benchbed.selectors]\ntheirs = {target}\n")
        monkeypatch.syspath_prepend(str(tmp_path))
        return tmp_path / "their_module.py"

    yield make
    sys.modules.pop("their_module", None)


def test_an_entry_point_is_a_plug_in(installed: Any) -> None:
    file = installed("their_module:Mine")
    assert "theirs" in {e.name for e in importlib.metadata.entry_points(group="benchbed.selectors")}
    plugin = registry.find("selector", "theirs")
    assert (plugin.file, plugin.summary) == (None, "from their_module:Mine")
    assert "their_module" not in sys.modules  # not before it is asked for
    assert registry.load("selector", "theirs").__module__ == "their_module"
    assert registry.source("selector", "theirs") == file  # so that a run's name changes with its content
    assert not registry.is_ours(plugin)


@pytest.mark.parametrize(
    ("target", "module", "said"),
    [
        ("nowhere_at_all:Mine", SELECTOR, "failed to load: ModuleNotFoundError: No module named 'nowhere_at_all'"),
        ("their_module:Yours", SELECTOR, "failed to load: AttributeError"),
        ("their_module:Mine", "1 / 0", "failed to load: ZeroDivisionError"),
        ("their_module:Mine", "class Mine: pass", "is not a subclass of benchbed.selector.Selector"),
        ("their_module:Mine", "Mine = 3", "is not a subclass of benchbed.selector.Selector"),
    ],
)
def test_entry_points_that_cannot_be_used(installed: Any, target: str, module: str, said: str) -> None:
    installed(target, module)
    line = refusal(registry.load, "selector", "theirs")
    assert line.startswith(f"entry point selector 'theirs' = {target} {said}")
