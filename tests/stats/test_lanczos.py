"""Lanczos against a dense eigensolver."""

import pytest
import torch

from benchbed.stats.lanczos import largest_eigenvalue


def symmetric(n: int, seed: int) -> torch.Tensor:
    a = torch.randn(n, n, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    return (a + a.T) / 2


@pytest.mark.parametrize("seed", range(5))
def test_it_is_the_dense_one_with_its_sign(seed):
    a = symmetric(12, seed) - 5 * torch.eye(12, dtype=torch.float64) * (seed % 2)  # the largest in size is negative
    start = torch.randn(12, dtype=torch.float64, generator=torch.Generator().manual_seed(9))
    found = largest_eigenvalue(lambda v: a @ v, start, 12)
    assert found == pytest.approx(float(torch.linalg.eigvalsh(a)[-1]), rel=1e-3)


def test_few_products_are_enough_where_one_direction_stands_out():
    d = torch.linspace(0, 1, 200, dtype=torch.float64)
    d[7] = 10.0
    calls = []
    start = torch.randn(200, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    assert largest_eigenvalue(lambda v: calls.append(1) or d * v, start, 50) == pytest.approx(10.0, rel=1e-4)
    assert len(calls) < 15


def test_a_map_to_zero_has_none_and_one_dimension_is_itself():
    assert largest_eigenvalue(lambda v: 0 * v, torch.ones(4, dtype=torch.float64), 9) == 0.0
    assert largest_eigenvalue(lambda v: -3 * v, torch.ones(1, dtype=torch.float64), 9) == pytest.approx(-3.0)
