"""docs/studies.md names every study, and its commands are ones that the command line takes."""

import re
import shlex
from pathlib import Path

from benchbed import registry
from benchbed.cli.study import command_of

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "studies.md").read_text()


def test_the_page_names_every_study() -> None:
    named = re.findall(r"^\| `(\w+)` \|", PAGE, re.MULTILINE)
    assert sorted(named) == [plugin.name for plugin in registry.plugins("study") if registry.is_ours(plugin)]


def test_every_option_of_its_commands_exists() -> None:
    commands = re.findall(r"^    python -m benchbed study (.*)$", PAGE, re.MULTILINE)
    assert len(commands) == 9
    for line in commands:
        name, *words = shlex.split(line)
        options = {option for parameter in command_of(name).params for option in parameter.opts}
        assert {word for word in words if word.startswith("--")} <= options, line


def test_its_links_lead_somewhere() -> None:
    for link in re.findall(r"\]\(([^)#]+)\)", PAGE):
        assert (Path(__file__).resolve().parents[2] / "docs" / link).exists(), link
