"""Trees of values: equal ones have one number, and a difference is found where it is."""

import pytest
import torch

from benchbed.runtime.digest import digest, first_difference


def test_the_order_of_keys_and_the_memory_layout_do_not_count() -> None:
    matrix = torch.arange(6.0).reshape(2, 3)
    one = {"a": matrix, "b": [1, 2.5]}
    assert digest(one) == digest({"b": (1, 2.5), "a": matrix.T.contiguous().T})
    assert digest(one) != digest({"a": matrix + 1e-7, "b": [1, 2.5]})


@pytest.mark.parametrize(
    ("before", "now", "found"),
    [
        ({"a": 1, "b": {"c": 2}}, {"a": 1, "b": {"c": 2}}, None),
        ({"a": 1, "b": {"c": 2}}, {"a": 1, "b": {"c": 3}}, ("b.c", 2, 3)),
        ({"a": 1}, {"a": 1, "d": 4}, ("d", None, 4)),
        ({"a": {"x": 1}}, {"a": 7}, ("a", {"x": 1}, 7)),
        (1, 2, ("", 1, 2)),
    ],
)
def test_the_first_difference(before: object, now: object, found: object) -> None:
    assert first_difference(before, now) == found
