"""What the study commands share: how flags become the configuration of the searches."""

from collections.abc import Callable
from typing import Any

import pytest

STUDIES = {
    "proxy": ("--proxy", "epochs=1"),
    "front": ("--latency", "macs", "--targets", "1"),
    "devices": ("--latency", "macs", "--latency", "params"),
    "skip": (),
    "strength": (),
    "trajectory": ("--at", "1"),
}


class Taken(Exception):
    """No error: it ends the command where the study would begin."""


@pytest.mark.parametrize("name", STUDIES)
def test_the_shared_flags_reach_every_search(name: str, command: Callable[..., Any], monkeypatch: Any) -> None:
    def study(raw: dict[str, Any], *_: Any) -> None:
        raise Taken(raw)

    monkeypatch.setattr(f"benchbed.studies.{name}.study", study)
    flags = ("--preset", "small", "--task", "cifar10", "--epochs", 3, "--set", "task_options.images=500")
    with pytest.raises(Taken) as taken:
        command("study", name, *STUDIES[name], *flags)
    raw = taken.value.args[0]
    assert (raw["preset"], raw["task"], raw["epochs"], raw["task_options"]["images"]) == ("small", "cifar10", 3, 500)


def test_an_unknown_preset_is_refused(refused: Callable[..., str]) -> None:
    line = refused("study", "skip", "--preset", "smal")
    assert "unknown preset 'smal'" in line
    assert "'small'" in line
