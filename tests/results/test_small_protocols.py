"""The rule by which a small protocol's setting is chosen."""

import pytest

from .conftest import script


@pytest.mark.parametrize(
    ("found", "taken"),
    [
        ({3.0: {0: 60.0, 1: 61.0}, 1.0: {0: 62.0, 1: 63.0}}, 1.0),
        ({3.0: {0: 60.0, 1: 61.0}, 1.0: {0: 70.0, 1: 61.0}}, 3.0),  # not on every seed
        ({3.0: {0: 60.0, 1: 61.0}, 1.0: {0: 60.9, 1: 61.9}}, 3.0),  # by less than a point
        ({3.0: {0: 60.0, 1: 61.0}, 1.0: {0: 61.0, 1: 62.0}, 9.0: {0: 60.1, 1: 66.0}}, 9.0),  # the best of two
    ],
)
def test_what_was_there_stays_unless_another_is_better_on_every_seed_and_by_a_point(
    found: dict[float, dict[int, float]], taken: float
) -> None:
    assert script("small_protocols").taken(3.0, found) == taken
