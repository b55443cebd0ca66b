"""A finished search's folder whose configuration was edited, damaged or moved."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest


@pytest.fixture
def search(finished: Path, tmp_path: Path) -> Path:
    shutil.copytree(finished, tmp_path / "out")
    (found,) = (tmp_path / "out" / "searches").iterdir()
    return found


def edit(search: Path, path: str, value: Any) -> None:
    config = json.loads((search / "config.json").read_text())
    *way, last = path.split(".")
    part = config
    for key in way:
        part = part[key]
    part[last] = value
    (search / "config.json").write_text(json.dumps(config))


@pytest.mark.parametrize(
    ("path", "value", "said"),
    [
        ("epochs", "many", "config.json is damaged (epochs = 'many': input should be a valid integer"),
        ("supernet.channels", "wide", "config.json is damaged (supernet.channels = 'wide': "),
        ("searcher", 3, "config.json is damaged (searcher = 3: "),
        ("colour", "red", "config.json is damaged (colour = 'red': extra inputs are not permitted)"),
        ("epochs", 77, "its config.json says epochs = 77, its record "),
        ("supernet.channels", 5, "its config.json says supernet.channels = 5, its record "),
    ],
)
def test_an_edited_configuration_is_named(
    search: Path, refused: Callable[..., str], path: str, value: Any, said: str
) -> None:
    edit(search, path, value)
    line = refused("select", search, "--selector", "random", "--quiet")
    assert said in line
    assert str(search) in line


def test_a_configuration_that_lacks_a_part(search: Path, refused: Callable[..., str]) -> None:
    config = json.loads((search / "config.json").read_text())
    del config["objective"]
    (search / "config.json").write_text(json.dumps(config))
    assert "config.json is damaged (no 'objective' in it)" in refused("select", search, "--selector", "random")


def test_a_record_without_a_configuration(search: Path, refused: Callable[..., str]) -> None:
    edit(search, "epochs", 77)
    record = json.loads((search / "record.json").read_text())
    (search / "record.json").write_text(json.dumps(record | {"config": 7}))
    assert "record.json is damaged (config is not an object)" in refused("select", search, "--selector", "random")
