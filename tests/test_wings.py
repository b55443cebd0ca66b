"""The wings, imported in every way there is, and the standard library's `selectors` still in its place.

A file selectors/__init__.py would break `subprocess`, `asyncio` and `socketserver` for everyone who runs Python from
a checkout. Each way of import is tried in an interpreter of its own, on a copy of the checkout, with no network.
"""

import json
import os
import shutil
import subprocess
import sys
import sysconfig
import tomllib
import venv
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import benchbed

ROOT = Path(__file__).resolve().parent.parent
WINGS = ("searchers", "selectors")

# `colorsys` stands for every plug-in that is named like a module of the standard library (`random`).
PROBES = {"probe_a.py": "WING = __name__\n", "colorsys.py": "WING = __name__\n"}

CHECK = """
import asyncio, colorsys, importlib, importlib.util, json, pkgutil, selectors, socketserver, subprocess, sys
import benchbed
wings = {}
for wing in ("searchers", "selectors"):
    package = importlib.import_module(f"benchbed.{wing}")
    probe = importlib.import_module(f"benchbed.{wing}.probe_a")
    wings[wing] = {
        "files": sorted(m.name + ".py" for m in pkgutil.iter_modules(package.__path__)),
        "probe": probe.WING,
        "from": probe.__file__,
    }
print(json.dumps({
    "benchbed": benchbed.__file__,
    "wings": wings,
    "selectors": selectors.__file__,
    "selector": hasattr(selectors, "SelectSelector"),
    "modifiers": importlib.import_module("benchbed.searchers.modifiers.probe_a").WING,
    "colorsys": colorsys.__file__,
    "inner": importlib.util.find_spec("benchbed.benchbed") is not None,
    "on path": [p for p in sys.path if p.rstrip("/").endswith(("searchers", "selectors"))],
}))
"""

BUILD = """
import sys
from setuptools import build_meta
wheel, editable = sys.argv[1:]  # setuptools rewrites sys.argv
build_meta.build_wheel(wheel)
build_meta.build_editable(editable)
"""


def run(*command: str | Path, cwd: Path, **env: str) -> "subprocess.CompletedProcess[str]":
    """A command with no Python setting of the caller's environment (PYTHONPATH, PYTHONSAFEPATH, ...)."""
    clean = {k: v for k, v in os.environ.items() if not k.startswith("PYTHON")}
    return subprocess.run(command, cwd=cwd, env=clean | env, capture_output=True, text=True, timeout=120)


def succeed(*command: str | Path, cwd: Path, **env: str) -> str:
    done = run(*command, cwd=cwd, **env)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the checkout with the probes in both wings."""
    copy = tmp_path_factory.mktemp("checkout").resolve()
    for name in ("benchbed", *WINGS):
        shutil.copytree(ROOT / name, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
    for file in filter(Path.is_file, ROOT.iterdir()):
        shutil.copy(file, copy)
    for wing in WINGS:
        for name, text in PROBES.items():
            (copy / wing / name).write_text(text)
    (copy / "searchers" / "modifiers" / "probe_a.py").write_text(PROBES["probe_a.py"])
    return copy


@pytest.fixture(scope="module")
def builds(checkout: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """'wheel' and 'editable': what `pip install .` and `pip install -e .` would build and unpack."""
    folders = {kind: tmp_path_factory.mktemp(kind) for kind in ("wheel", "editable")}
    succeed(sys.executable, "-c", BUILD, folders["wheel"], folders["editable"], cwd=checkout)
    return {kind: next(folder.glob("*.whl")) for kind, folder in folders.items()}


@pytest.fixture(scope="module")
def python(builds: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """The interpreter of a virtual environment that holds benchbed as 'wheel', as 'editable', or not ('none')."""
    made: dict[str, Path] = {}

    def interpreter(kind: str) -> Path:
        if kind not in made:
            folder = tmp_path_factory.mktemp(f"venv-{kind}").resolve()
            venv.create(folder, symlinks=True)
            made[kind] = folder / "bin" / "python"
            if kind in builds:
                pip = (sys.executable, "-m", "pip", "--python", made[kind], "install", "--quiet")
                succeed(*pip, "--no-index", "--no-deps", builds[kind], cwd=folder)
        return made[kind]

    return interpreter


WAYS = {
    "editable, from the root": ("editable", "root", (), "checkout"),
    "editable, from elsewhere": ("editable", "elsewhere", (), "checkout"),
    "not installed, from the root": ("none", "root", (), "checkout"),
    "not installed, root on PYTHONPATH": ("none", "elsewhere", ("PYTHONPATH",), "checkout"),
    "wheel, from the root": ("wheel", "root", (), "checkout"),  # the working folder comes before site-packages
    "wheel, from the root, safe path": ("wheel", "root", ("PYTHONSAFEPATH",), "venv"),
    "wheel, from elsewhere": ("wheel", "elsewhere", (), "venv"),
}


@pytest.mark.parametrize("way", WAYS)
def test_both_wings_import_and_the_standard_library_stays(
    way: str, checkout: Path, python: Callable[[str], Path], tmp_path: Path
) -> None:
    kind, place, settings, origin = WAYS[way]
    interpreter = python(kind)
    env = dict.fromkeys(settings, str(checkout))
    facts: dict[str, Any] = json.loads(
        succeed(interpreter, "-c", CHECK, cwd=checkout if place == "root" else tmp_path, **env)
    )

    home = checkout if origin == "checkout" else interpreter.parent.parent
    standard = Path(sysconfig.get_path("stdlib")).resolve()
    assert Path(facts["benchbed"]).is_relative_to(home)
    assert Path(facts["selectors"]).resolve() == standard / "selectors.py"
    assert Path(facts["colorsys"]).resolve() == standard / "colorsys.py"
    assert facts["selector"]
    assert not facts["inner"], "benchbed.benchbed is importable"
    assert facts["on path"] == []
    assert facts["modifiers"] == "benchbed.searchers.modifiers.probe_a"
    for wing in WINGS:
        found = facts["wings"][wing]
        assert found["files"] == sorted(p.name for p in (checkout / wing).glob("*.py"))
        assert found["probe"] == f"benchbed.{wing}.probe_a"
        assert Path(found["from"]).is_relative_to(home)


def test_the_check_fails_where_selectors_has_an_init_file(
    checkout: Path, python: Callable[[str], Path], tmp_path: Path
) -> None:
    broken = tmp_path / "broken"
    shutil.copytree(checkout, broken)
    (broken / "selectors" / "__init__.py").touch()
    done = run(python("none"), "-c", CHECK, cwd=broken)
    assert done.returncode != 0
    assert "has no attribute 'SelectSelector'" in done.stderr or "import selectors" in done.stderr


def test_no_folder_of_plug_ins_or_tests_has_an_init_file() -> None:
    assert [p for folder in (*WINGS, "tests") for p in (ROOT / folder).rglob("__init__.py")] == []


def test_the_list_of_packages_names_every_folder_on_disk() -> None:
    listed = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"]
    on_disk = {".".join(p.parent.relative_to(ROOT).parts) for p in (ROOT / "benchbed").rglob("*.py")}
    wings = (p.parent.relative_to(ROOT).parts for wing in WINGS for p in (ROOT / wing).rglob("*.py"))
    assert sorted(listed) == sorted(on_disk | {".".join(["benchbed", *parts]) for parts in wings})


def test_the_wheel_holds_every_module_and_nothing_else(builds: dict[str, Path], checkout: Path) -> None:
    names = zipfile.ZipFile(builds["wheel"]).namelist()
    modules = {p.relative_to(checkout).as_posix() for p in (checkout / "benchbed").rglob("*.py")}
    modules |= {f"benchbed/{p.relative_to(checkout).as_posix()}" for w in WINGS for p in (checkout / w).rglob("*.py")}
    assert {name for name in names if name.endswith(".py")} == modules
    assert {name.split("/")[0] for name in names} == {"benchbed", f"benchbed-{benchbed.__version__}.dist-info"}
