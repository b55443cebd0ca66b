"""Fronts by hand and by their definition; hypervolumes by hand and by counting."""

import numpy as np
import pytest

from benchbed.stats.pareto import dominated, front, hypervolume, undominated


def test_a_front_by_hand():
    cost = np.array([3.0, 1.0, 2.0, 2.0, 4.0, 1.0])
    accuracy = np.array([90.0, 80.0, 85.0, 84.0, 88.0, 80.0])
    assert front(cost, accuracy).tolist() == [1, 2, 0]


def test_a_front_is_what_nothing_beats():
    rng = np.random.default_rng(0)
    cost, accuracy = rng.integers(0, 30, 200).astype(float), rng.integers(0, 30, 200).astype(float)
    kept = {(cost[i], accuracy[i]) for i in front(cost, accuracy)}
    for c, a in zip(cost, accuracy, strict=True):
        beaten = ((cost <= c) & (accuracy >= a) & ((cost < c) | (accuracy > a))).any()
        assert ((c, a) in kept) == (not beaten)
    assert np.all(np.diff(cost[front(cost, accuracy)]) > 0)


def test_a_hypervolume_by_hand():
    cost, accuracy = np.array([1.0, 2.0, 5.0, 0.5]), np.array([82.0, 90.0, 99.0, 79.0])
    assert hypervolume(cost, accuracy, 4.0, 80.0) == pytest.approx(1 * 2 + 2 * 10)
    assert hypervolume(cost[3:], accuracy[3:], 4.0, 80.0) == 0


def test_a_hypervolume_is_the_share_of_points_that_are_dominated():
    rng = np.random.default_rng(1)
    cost, accuracy = rng.uniform(0, 10, 12), rng.uniform(50, 100, 12)
    x, y = rng.uniform(0, 10, 200_000), rng.uniform(60, 100, 200_000)
    dominated = ((cost[:, None] <= x) & (accuracy[:, None] >= y)).any(0).mean()
    assert hypervolume(cost, accuracy, 10.0, 60.0) == pytest.approx(400 * dominated, rel=0.01)


def test_nothing_undominated_is_beaten_and_all_else_is():
    rng = np.random.default_rng(2)
    for columns in (2, 3, 4):
        values = rng.integers(0, 6, (150, columns)).astype(float)
        kept = undominated(values)
        beats = (values[:, None] >= values).all(2) & (values[:, None] > values).any(2)
        rows = {tuple(row) for row in values[~beats.any(0)]}
        assert {tuple(row) for row in values[kept]} == rows
        assert len(kept) == len(rows)  # of equal ones the first
        assert kept.tolist() == sorted(kept)


def test_a_volume_by_hand_and_by_counting():
    boxes = np.array([[1.0, 2.0, 3.0], [3.0, 1.0, 1.0], [-1.0, 5.0, 5.0]])
    assert dominated(boxes) == pytest.approx(6 + 3 - 1)
    rng = np.random.default_rng(3)
    for columns in (1, 2, 3, 4):
        values, points = rng.random((15, columns)), rng.random((100_000, columns))
        share = (values[:, None] >= points).all(2).any(0).mean()
        assert dominated(values) == pytest.approx(share, abs=0.006)


def test_in_two_columns_it_is_the_hypervolume():
    rng = np.random.default_rng(4)
    cost, accuracy = rng.uniform(0, 1, 30), rng.uniform(0, 1, 30)
    assert dominated(np.stack([1 - cost, accuracy], 1)) == pytest.approx(hypervolume(cost, accuracy, 1.0, 0.0))
