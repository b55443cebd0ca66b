"""docs/studies.md names every study, and its commands are ones that the command line takes."""

import json
import re
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from benchbed import registry
from benchbed.cli.study import command_of

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "studies.md").read_text()


def test_the_page_names_every_study() -> None:
    named = re.findall(r"^\| `(\w+)` \|", PAGE, re.MULTILINE)
    assert sorted(named) == [plugin.name for plugin in registry.plugins("study") if registry.is_ours(plugin)]


def test_every_option_of_its_commands_exists() -> None:
    commands = re.findall(r"^    python -m benchbed study (.*)$", re.sub(r"\\\n *", "", PAGE), re.MULTILINE)
    ours = [line for line in commands if "--plugin" not in line]
    assert len(ours) == 13
    for line in ours:
        name, *words = shlex.split(line)
        options = {option for parameter in command_of(name).params for option in parameter.opts}
        assert {word for word in words if word.startswith("--")} <= options, line


def test_its_study_of_ones_own_runs(
    command: Callable[..., Any], tiny_flags: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (example,) = re.findall(r"^```python\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    (line,) = re.findall(r"^    python -m benchbed (study .*--plugin .*)$", PAGE, re.MULTILINE)
    monkeypatch.chdir(tmp_path)
    Path("my_spread.py").write_text(example)
    done = command(*shlex.split(line.replace("0:5", "0:2")), "--searcher", "random", *tiny_flags, "--quiet")
    assert done.status == 0, done.err
    assert done.out.startswith("spread: ")
    assert [json.loads(row)["seed"] for row in Path("runs/my-spread.jsonl").read_text().splitlines()] == [0, 1]


def test_its_links_lead_somewhere() -> None:
    for link in re.findall(r"\]\(([^)#]+)\)", PAGE):
        assert (Path(__file__).resolve().parents[2] / "docs" / link).exists(), link
