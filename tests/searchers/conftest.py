"""Spaces whose networks are small enough to be trained inside a test."""

from collections.abc import Callable
from typing import Any

import pytest

from benchbed import registry
from benchbed.space import Space
from benchbed.spaces.load import load_space

# A space that is not named here is as under the small preset.
SIZES: dict[str, dict[str, Any]] = {
    "mbconv": {
        "preset": "small",
        "stem_width": 8,
        "stage_widths": [8, 16],
        "stage_depths": [2, 1],
        "stage_strides": [1, 2],
        "head_width": 8,
    },
    "proxyless-cifar": {"preset": "small", "blocks": 1, "start": 4, "widening": 3},
}


@pytest.fixture(scope="session")
def small_space() -> Callable[[str], Space]:
    """`small_space(name)`: a registered space, as small as it can be made."""

    def make(name: str) -> Space:
        return load_space(name, SIZES.get(name, registry.load("space", name).presets.get("small", {})))

    return make
