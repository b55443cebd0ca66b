"""Trees of state: what counts as a difference, and what a file gives back."""

import pytest
import torch

from benchbed.testing.tree import difference, require, through_file

TREE = {"a": [torch.tensor([1.0, float("nan")]), 2, None], "b": {"c": "x", "d": float("nan")}}


def test_a_file_gives_the_tree_back_bit_for_bit():
    assert difference(TREE, through_file(TREE)) is None


@pytest.mark.parametrize(
    ("other", "where"),
    [
        ({"a": [torch.tensor([1.0, 2.0]), 2, None], "b": TREE["b"]}, "/a/0"),
        ({"a": [TREE["a"][0].double(), 2, None], "b": TREE["b"]}, "/a/0"),
        ({"a": [TREE["a"][0][None], 2, None], "b": TREE["b"]}, "/a/0"),
        ({"a": [TREE["a"][0], 2.0, None], "b": TREE["b"]}, "/a/1"),
        ({"a": TREE["a"][:2], "b": TREE["b"]}, "/a"),
        ({"a": TREE["a"], "b": {"c": "y", "d": float("nan")}}, "/b/c"),
        ({"b": TREE["b"], "a": TREE["a"]}, ""),
    ],
)
def test_a_difference_names_where_it_is(other, where):
    found = difference(TREE, other)
    assert found is not None
    assert found.startswith(f"{where}:")


def test_zero_and_minus_zero_are_other_bits():
    assert difference(torch.zeros(2), -torch.zeros(2)) is not None


def test_require():
    require(True, "never seen")
    with pytest.raises(AssertionError, match=r"^seen$"):
        require(False, "seen")
