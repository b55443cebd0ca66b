"""The modules of the user's that a file imports: all of them, and no others."""

import sys
from pathlib import Path

import pytest

from benchbed.runtime.closure import closure

MAIN = '''
"""A plug-in."""
import json
import numpy as np
import torch.nn as nn
import benchbed.searchers.darts
from benchbed import Space
import closed_a
from closed_pack.inner import deep
try:
    import closed_missing
except ImportError:
    pass
def late():
    import closed_late
    from importlib import import_module
    return import_module("closed_named")
'''
FILES = {
    "main.py": MAIN,
    "closed_a.py": "from closed_b import x\n",
    "closed_b.py": "import closed_a\nx = 1\n",  # a circle
    "closed_late.py": "",
    "closed_named.py": "",
    "closed_role.py": "",
    "closed_unused.py": "",
    "closed_pack/__init__.py": "from . import sibling\n",
    "closed_pack/sibling.py": "",
    "closed_pack/unused.py": "",
    "closed_pack/inner/__init__.py": "",
    "closed_pack/inner/deep.py": "from ..other import y\n",
    "closed_pack/other.py": "y = 1\n",
}


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name, text in FILES.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    monkeypatch.syspath_prepend(str(tmp_path))
    return tmp_path


def test_every_module_of_the_users_and_no_other(place: Path) -> None:
    found = closure(place / "main.py", also=["closed_role"])
    assert found == [
        (".".join(Path(name).with_suffix("").parts).removesuffix(".__init__"), place / name)
        for name in sorted(FILES)
        if name != "main.py" and "unused" not in name
    ]
    assert not {name for name in sys.modules if name.startswith("closed_")}  # nothing was imported


def test_a_file_that_imports_nothing_of_the_users_is_alone(place: Path) -> None:
    (place / "plain.py").write_text("import os, numpy, torch\nfrom benchbed.searchers.darts import DARTS\n")
    assert closure(place / "plain.py") == []


def test_of_an_installed_package_its_own_modules_count(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from benchbed.runtime import closure as module

    monkeypatch.setattr(module, "_is_users", lambda path: False)
    found = closure(place / "closed_pack" / "inner" / "deep.py", "closed_pack.inner.deep")
    assert [name for name, _ in found] == ["closed_pack", "closed_pack.other", "closed_pack.sibling"]
    assert closure(place / "main.py") == []
