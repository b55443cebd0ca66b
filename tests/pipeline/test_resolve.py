"""What a run's identity depends on of a user's own code."""

import hashlib
import sys
from pathlib import Path
from typing import Any

import pytest

from benchbed import registry
from benchbed.pipeline.build import search_id
from benchbed.pipeline.resolve import expand
from benchbed.tasks.load import load_task


def test_another_helper_is_another_search_and_an_unused_file_is_not(
    tiny: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The identity of a user's searcher is the closure of the modules that it loads."""
    monkeypatch.setattr(registry, "_USER_FILES", {})
    monkeypatch.syspath_prepend(str(tmp_path))
    helper = tmp_path / "ident_helper.py"
    helper.write_text("from ident_inner import RATE\n")
    (tmp_path / "ident_inner.py").write_text("RATE = 1\n")
    (tmp_path / "ident_unused.py").write_text("")
    file = tmp_path / "ident_searcher.py"
    lines = ["from benchbed.searchers.random import RandomSampling", "class Mine(RandomSampling):", "    pass", ""]
    file.write_text("\n".join(lines))
    registry.add_file(file)

    def ident() -> tuple[str, str | None]:
        (config,) = expand(tiny, ["ident-searcher"], ["magnitude"], [0])
        return search_id(config, load_task(config.task)), config.searcher.sha256

    alone = hashlib.sha256(file.read_bytes()).hexdigest()
    assert ident()[1] == alone  # as before there were closures
    file.write_text("\n".join(["from ident_helper import RATE", *lines]))
    first, sha256 = ident()
    assert sha256 != hashlib.sha256(file.read_bytes()).hexdigest()
    (tmp_path / "ident_unused.py").write_text("x = 1\n")
    assert ident() == (first, sha256)
    (tmp_path / "ident_inner.py").write_text("RATE = 2\n")
    second, _ = ident()
    assert second != first
    (tmp_path / "ident_inner.py").write_text("RATE = 1\n")
    assert ident() == (first, sha256)
    del sys.modules["benchbed_plugin_ident_searcher"]
