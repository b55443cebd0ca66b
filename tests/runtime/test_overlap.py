"""How weights are laid into buckets. What two processes make of them: test_parallel.py."""

import torch

from benchbed.runtime.overlap import buckets_of


def sizes(*of: int, most: int) -> list[list[int]]:
    return [[w.numel() for w in bucket] for bucket in buckets_of([torch.zeros(n) for n in of], most)]


def test_weights_are_taken_last_first_up_to_so_many_bytes() -> None:
    assert sizes(1, 2, 3, 4, most=4 * 7) == [[4, 3], [2, 1]]
    assert sizes(1, 2, 3, 4, most=4 * 6) == [[4], [3, 2, 1]]


def test_a_weight_of_more_bytes_is_a_bucket_of_its_own() -> None:
    assert sizes(1, 100, 2, most=16) == [[2], [100], [1]]


def test_a_bucket_is_of_one_type() -> None:
    weights = [torch.zeros(1), torch.zeros(1, dtype=torch.float64), torch.zeros(1, dtype=torch.float64)]
    assert [len(bucket) for bucket in buckets_of(weights, 10**6)] == [2, 1]
    assert buckets_of([], 8) == []
