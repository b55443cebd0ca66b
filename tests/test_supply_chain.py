"""What benchbed is installed with: every file of it by its hash, and under which licences."""

import os
import re
import subprocess
import sys
import tomllib
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).parents[1]
LOCK = ROOT / "requirements.lock"
PLAIN = {"MIT License": "MIT", "BSD License": "BSD", "ISC License (ISCL)": "ISC",
         "Python Software Foundation License": "PSF", "Apache Software License": "Apache-2.0"}  # fmt: skip
# What may be used beside MIT code without asking: permissive ones, and MPL-2.0, which stays with its own files.
ALLOWED = re.compile(
    r"MIT(-CMU)?|0?BSD(-[23]-Clause)?|BSL-1\.0|ISC|PSF(-2\.0)?|Apache-2\.0( WITH LLVM-exception)?"
    r"|Zlib|CC0-1\.0|MPL-2\.0"
)


def canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def locked() -> dict[str, tuple[str, list[str]]]:
    """By name: version and hashes."""
    found: dict[str, tuple[str, list[str]]] = {}
    for block in re.split(r"\n(?=\S)", LOCK.read_text()):
        if match := re.match(r"([\w.-]+)==(\S+)", block):
            found[canonical(match[1])] = match[2], re.findall(r"--hash=sha256:([0-9a-f]{64})\b", block)
    return found


def installed() -> dict[str, metadata.Distribution]:
    """What benchbed needs, directly or not, without extras; itself left out."""
    left, found = ["benchbed"], {}
    while left:
        name = canonical(left.pop())
        if name not in found:
            found[name] = metadata.distribution(name)
            needs = [Requirement(text) for text in found[name].requires or []]
            left += [n.name for n in needs if n.marker is None or n.marker.evaluate({"extra": ""})]
    del found["benchbed"]
    return found


def licence(of: metadata.Distribution) -> str:
    about = of.metadata
    named = [c.split(" :: ")[-1] for c in about.get_all("Classifier") or [] if c.startswith("License")]
    text = about.get("License-Expression") or " AND ".join(named) or (about.get("License") or "?").splitlines()[0]
    return PLAIN.get(text, text)


def test_the_lock_has_every_dependency_but_torch_at_the_version_of_the_constraints() -> None:
    pinned = dict(re.findall(r"^([\w.-]+)==(\S+)", (ROOT / "constraints.txt").read_text(), re.MULTILINE))
    pinned = {canonical(name): version for name, version in pinned.items()}
    lock = locked()
    assert {name: version for name, (version, _) in lock.items() if pinned.get(name, version) != version} == {}
    direct = {canonical(Requirement(text).name) for text in
              tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]}  # fmt: skip
    assert direct - lock.keys() == {"torch"}
    of_torch_alone = {"torch", "fsspec", "networkx", "sympy", "mpmath", "setuptools"}
    assert installed().keys() - lock.keys() - of_torch_alone == set()


def test_every_entry_of_the_lock_has_hashes() -> None:
    assert [name for name, (_, hashes) in locked().items() if not hashes] == []
    assert len(locked()) >= 40


def test_licences_are_the_listed_ones_and_permissive() -> None:
    text = (ROOT / "docs" / "dependencies.md").read_text()
    listed = dict(re.findall(r"^\| ([\w.-]+) \| (?:yes)? *\| (.+) \|$", text, re.MULTILINE))
    found = {name: licence(of) for name, of in installed().items()}
    if sys.platform == "linux" and not any(name.startswith("nvidia") for name in found):
        assert found == listed
    for name, words in listed.items():
        assert all(ALLOWED.fullmatch(one) for one in re.split(r" (?:AND|OR) ", words)), f"{name}: {words}"


@pytest.mark.slow
def test_the_lock_installs_with_hashes_and_refuses_another_file(tmp_path: Path) -> None:
    """From the package index, half a gigabyte: a minute of processor time and more of waiting."""
    alone: dict[str, Any] = {  # the checkout's own metadata would be found through PYTHONPATH
        "cwd": tmp_path, "env": {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    }  # fmt: skip
    subprocess.run([sys.executable, "-m", "venv", tmp_path / "venv"], check=True)
    python = tmp_path / "venv" / "bin" / "python"
    pip = [str(python), "-m", "pip", "install", "-q", "--disable-pip-version-check", "--require-hashes", "-r"]
    subprocess.run([*pip, str(LOCK)], check=True, **alone)
    subprocess.run([str(python), "-m", "pip", "check"], check=True, **alone)
    imports = "import numpy, scipy, pandas, optuna, matplotlib, pydantic, sklearn, PIL, sqlalchemy, typer"
    subprocess.run([str(python), "-c", imports], check=True, **alone)
    forged = tmp_path / "forged.lock"
    forged.write_text(f"mdurl==0.1.2 --hash=sha256:{'0' * 64}\n")
    again = [*pip, str(forged), "--force-reinstall", "--no-deps"]
    outcome = subprocess.run(again, capture_output=True, text=True, **alone)
    assert outcome.returncode != 0
    assert "DO NOT MATCH" in outcome.stderr
