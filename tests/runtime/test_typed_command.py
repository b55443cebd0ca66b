"""What is printed for the user to type starts the same benchbed again."""

import shlex
import subprocess
import sys

import pytest

from benchbed.runtime.typed_command import called_as, typed_command


@pytest.fixture
def on_path(tmp_path, monkeypatch):
    """A folder on PATH with a script `benchbed`."""
    script = tmp_path / "benchbed"
    script.write_text("#!/bin/sh\n")
    script.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    return script


def test_the_installed_script_is_called_by_its_name(on_path, monkeypatch):
    monkeypatch.setattr(sys, "argv", [str(on_path), "run"])
    assert called_as() == "benchbed"


def test_a_script_that_is_not_on_the_path_is_called_by_its_path(on_path, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["/an other/bin/benchbed", "run"])
    assert called_as() == "'/an other/bin/benchbed'"


def test_a_module_is_called_by_the_interpreter_that_was_typed(monkeypatch):
    monkeypatch.setattr(sys, "argv", ["/x/benchbed/__main__.py", "run"])
    monkeypatch.setattr(sys, "orig_argv", [".venv/bin/python", "-m", "benchbed", "run"])
    assert typed_command("check", "my file.py") == ".venv/bin/python -m benchbed check 'my file.py'"


def test_another_program_names_this_interpreter(monkeypatch):
    monkeypatch.setattr(sys, "argv", ["script.py"])
    monkeypatch.setattr(sys, "orig_argv", ["python3", "script.py"])
    monkeypatch.setenv("PATH", "")
    assert shlex.split(called_as()) == [sys.executable, "-m", "benchbed"]


def test_what_new_prints_can_be_typed(tmp_path, child_env):
    place = tmp_path / "my files"
    place.mkdir()
    words = [sys.executable, "-m", "benchbed", "new", "task", "mine", "--out", "my files"]
    done = subprocess.run(words, cwd=tmp_path, env=child_env, capture_output=True, text=True, timeout=120)
    check, run = [line.strip() for line in done.stdout.splitlines() if line.startswith("  ")]
    for line in (check, f"{run} --dry-run"):
        typed = subprocess.run(
            line, shell=True, cwd=tmp_path, env=child_env, capture_output=True, text=True, timeout=300
        )
        assert typed.returncode == 0, typed.stderr
