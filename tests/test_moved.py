"""Old import paths work for one release and say the new ones; what became a function says so."""

import importlib
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from benchbed import moved

ROOT = Path(__file__).resolve().parent.parent


@pytest.mark.parametrize("old", [name for name, targets in moved.MOVED.items() if targets])
def test_an_old_module_gives_the_names_of_the_new_ones_and_says_so(old: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, f"benchbed.{old}", raising=False)
    with pytest.warns(FutureWarning) as said:
        module = importlib.import_module(f"benchbed.{old}")
    text = str(said[0].message)
    assert text.startswith(f"benchbed.{old} is benchbed.")
    for target in moved.MOVED[old]:
        assert f"benchbed.{target}" in text
        new = importlib.import_module(f"benchbed.{target}")
        own = [name for name, value in vars(new).items() if getattr(value, "__module__", None) == new.__name__]
        for name in own:
            assert hasattr(module, name)
    assert not hasattr(module, "no_such_name")


def test_no_old_name_hides_a_module_that_is_there() -> None:
    for old in moved.MOVED:
        path = ROOT / "benchbed" / old.replace(".", "/")
        assert not path.with_suffix(".py").exists(), old
        assert not (path / "__init__.py").exists(), old


def test_a_renamed_function_is_found_under_its_old_name() -> None:
    from benchbed.pipeline.build import build_parts

    sys.modules.pop("benchbed.stages", None)
    with pytest.warns(FutureWarning):
        stages = importlib.import_module("benchbed.stages")
    assert stages.build is build_parts


def test_a_spaces_class_is_found_in_its_folder_and_the_new_place_is_said() -> None:
    from benchbed.spaces import nb201

    with pytest.warns(FutureWarning, match=r"benchbed.spaces.nb201.NB201 is benchbed\.spaces\.nb201\.space\.NB201 now"):
        found = nb201.NB201
    assert found is importlib.import_module("benchbed.spaces.nb201.space").NB201


def test_what_was_a_module_and_is_a_function_now() -> None:
    with pytest.raises(
        ModuleNotFoundError, match=r"benchbed\.run is a function now: .* import benchbed\.pipeline\.run"
    ):
        importlib.import_module("benchbed.run")


def test_other_names_are_not_found() -> None:
    assert find_spec("benchbed.benchbed") is None
    assert find_spec("config") is None
    with pytest.raises(ModuleNotFoundError, match=r"No module named 'benchbed\.confg'"):
        importlib.import_module("benchbed.confg")


def test_a_user_sees_one_line_at_his_own_import(tmp_path: Path) -> None:
    script = tmp_path / "mine.py"
    script.write_text(
        "from benchbed.machine import versions\nfrom benchbed.machine import commit\nprint(len(versions()))\n"
    )
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, cwd=tmp_path, timeout=60)
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("benchbed.machine is benchbed.runtime.machine now: import that") == 1
