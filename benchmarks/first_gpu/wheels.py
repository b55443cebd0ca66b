"""The wheels that the lent machine lacks: benchbed's own needs and what those need, for that machine's Python.

A package that is there in a known version is held against what is asked of it. Of those in unknown versions the ones
of which a recent version is needed are carried (machine.toml, `unsure`), the others are trusted; `arrival.py` looks.
"""

import email
import os
import subprocess
import sys
import tomllib
import zipfile
from collections import deque
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name, parse_wheel_filename
from parcel import MACHINE, Refused

ROOT = Path(__file__).resolve().parents[2]
TESTS = ("beartype",)  # what tests/conftest.py needs beside the needs of a run
NOT_OF_A_SEARCH = {"optuna", "sqlalchemy", "nas-bench-201", "beartype"}  # no search or selection imports them
ENVIRONMENT = {
    "python_version": MACHINE["python"], "python_full_version": f"{MACHINE['python']}.3", "sys_platform": "linux",
    "platform_system": "Linux", "platform_machine": "x86_64", "os_name": "posix", "implementation_name": "cpython",
    "platform_python_implementation": "CPython", "extra": "",
}  # fmt: skip


def needs(root: Path = ROOT, lean: bool = False) -> list[Requirement]:
    """What pyproject.toml asks for at run time, and of the tests' needs those in TESTS; lean: what a search imports."""
    project = tomllib.loads((root / "pyproject.toml").read_text())["project"]
    tests = [Requirement(text) for text in project["optional-dependencies"]["test"]]
    found = [Requirement(text) for text in project["dependencies"]] + [r for r in tests if r.name in TESTS]
    return [need for need in found if not (lean and canonicalize_name(need.name) in NOT_OF_A_SEARCH)]


def versions(root: Path = ROOT) -> dict[str, str]:
    """By canonical name, those that constraints.txt has."""
    lines = (line.partition("#")[0].strip() for line in (root / "constraints.txt").read_text().splitlines())
    pairs = (line.split("==") for line in lines if "==" in line)
    return {canonicalize_name(name): version for name, version in pairs}


def there(need: Requirement) -> str | None:
    """The version on the lent machine; '' where it is not known, None where the package is to be carried.

    Raises Refused for a known version that the need excludes.
    """
    name = canonicalize_name(need.name)
    version = MACHINE["versions"].get(name)
    if version is not None and not need.specifier.contains(version, prereleases=True):
        raise Refused(f"{need}: the lent machine has {name} {version}")
    return version if version is not None else "" if name in MACHINE["present"]["trusted"] else None


def asked_of(wheel: Path) -> list[Requirement]:
    """What a wheel needs on the lent machine."""
    with zipfile.ZipFile(wheel) as file:
        name = next(n for n in file.namelist() if n.endswith(".dist-info/METADATA"))
        found = email.message_from_bytes(file.read(name)).get_all("Requires-Dist") or []
    asked = [Requirement(text) for text in found]
    return [need for need in asked if need.marker is None or need.marker.evaluate(ENVIRONMENT)]


def fetched(need: Requirement, folder: Path, pinned: dict[str, str]) -> Path:
    """The wheel of the pinned version in the folder, else of the newest that fits. Raises Refused where none is."""
    name = canonicalize_name(need.name)
    exact = f"{need.name}=={pinned[name]}" if name in pinned else str(need)
    have = [w for w in folder.glob("*.whl") if parse_wheel_filename(w.name)[0] == name]
    fitting = [w for w in have if str(parse_wheel_filename(w.name)[1]) == pinned.get(name)]
    if fitting:
        return fitting[0]
    for wheel in have:
        wheel.unlink()  # two versions of one package stop an installation
    platforms = [word for platform in MACHINE["platforms"] for word in ("--platform", platform)]
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:"]
    command += ["--python-version", MACHINE["python"], "--implementation", MACHINE["implementation"], *platforms]
    command += ["-d", str(folder), exact]
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "PIP_NO_INPUT": "1"})
    made = [w for w in folder.glob("*.whl") if parse_wheel_filename(w.name)[0] == name]
    if done.returncode or not made:
        said = [line for line in done.stderr.splitlines() if line.startswith("ERROR")] or ["pip gives no reason"]
        raise Refused(f"no wheel of {exact} for Python {MACHINE['python']} on x86-64 Linux: {said[-1][:200]}")
    return made[0]


def collect(folder: Path, lean: bool = False, root: Path = ROOT, get: Any = fetched) -> tuple[list[Path], list[str]]:
    """The wheels to carry, and the needs that are trusted to a version which is not known.

    Raises Refused where a need has no wheel, or none that the versions there allow.
    """
    folder.mkdir(parents=True, exist_ok=True)
    pinned, queue = versions(root), deque(needs(root, lean))
    carried: dict[str, Path] = {}
    trusted: set[str] = set()
    while queue:
        need = queue.popleft()
        name, has = canonicalize_name(need.name), there(need)
        if name in carried:
            found = parse_wheel_filename(carried[name].name)[1]
            if not need.specifier.contains(found, prereleases=True):
                raise Refused(f"{need}: {carried[name].name} is carried; change constraints.txt")
        elif has is None:
            carried[name] = get(need, folder, pinned)
            queue.extend(asked_of(carried[name]))
        elif has == "":
            trusted.add(str(need))
    for wheel in folder.glob("*.whl"):
        if wheel not in carried.values():
            wheel.unlink()
    return sorted(carried.values()), sorted(trusted)
