"""One look for all tensors: any value that is not finite is found, and the greatest finite ones are none."""

import math

import pytest
import torch

from benchbed.runtime.finite import all_finite


def several() -> list[torch.Tensor]:
    big = torch.full((3, 2), torch.finfo(torch.float32).max)
    return [big, torch.zeros(4, dtype=torch.float64), torch.ones(2, 2, dtype=torch.bfloat16), torch.ones(()).neg()]


@pytest.mark.parametrize("which", range(4))
@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_one_value_that_is_not_finite_is_found(which: int, bad: float) -> None:
    tensors = several()
    assert all_finite(tensors)
    tensors[which].reshape(-1)[-1] = bad
    assert not all_finite(tensors)


def test_what_holds_no_such_numbers_is_finite() -> None:
    assert all_finite([])
    assert all_finite([torch.empty(0), torch.tensor([True]), torch.tensor([2**40])])
    assert not all_finite([torch.empty(0), torch.tensor([math.nan])])
