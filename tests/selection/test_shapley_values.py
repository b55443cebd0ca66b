"""Shapley values on the table objective: axioms, every order, the sum over all coalitions, and the sampling error."""

import itertools
from math import factorial

import numpy as np
import pytest
import torch

from benchbed import registry
from benchbed.errors import BenchbedError
from benchbed.objectives.table import TableObjective
from benchbed.selection import shapley
from benchbed.selection.shapley import check_empty_rows, estimated, falls
from benchbed.space import Position
from benchbed.spaces.nats_sss.space import NatsSss
from benchbed.spaces.nb201.space import NB201
from benchbed.testing.toys import ToySpace


class TwoEdges(ToySpace):
    """'none' is what a row without operations is, as on a table of cells."""

    positions = (
        Position("first", ("none", "b", "c"), (True, True, True)),
        Position("second", ("c", "none"), (True, True)),
    )


ACCURACY = np.array([[10.0, 20.0], [80.0, 30.0], [40.0, 90.0]])
P = torch.tensor([[0.2, 0.5, 0.3], [0.6, 0.4, 0.0]])
PLAYERS = torch.from_numpy(TwoEdges().mask)


def game(accuracy: np.ndarray = ACCURACY, p: torch.Tensor = P):
    objective = TableObjective(TwoEdges(), accuracy)
    return lambda coalitions: objective.measure(p * coalitions).accuracy


def exact(worth, players=PLAYERS) -> torch.Tensor:
    """sum over S without i of |S|! (n - |S| - 1)! / n! (v(S + i) - v(S)), over all 2^n coalitions."""
    members = [tuple(m) for m in players.nonzero().tolist()]
    n, value = len(members), {}
    for size in range(n + 1):
        for chosen in itertools.combinations(members, size):
            mask = torch.zeros_like(players)
            for i, k in chosen:
                mask[i, k] = True
            value[frozenset(chosen)] = float(worth(mask[None])[0])
    found = torch.zeros(players.shape, dtype=torch.float64)
    for one in members:
        for coalition, worth_of in value.items():
            if one not in coalition:
                weight = factorial(len(coalition)) * factorial(n - len(coalition) - 1) / factorial(n)
                found[one] += weight * (value[coalition | {one}] - worth_of)
    return found


def orders(worth, count: int, truncation: float = 0.0, players=PLAYERS, seed: int = 0) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return [falls(worth, players, truncation, generator) for _ in range(count)]


def test_the_mean_over_every_order_is_the_sum_over_all_coalitions(monkeypatch):
    every = itertools.permutations(range(5))
    monkeypatch.setattr(shapley.torch, "randperm", lambda n, generator: torch.tensor(next(every)))
    torch.testing.assert_close(estimated(orders(game(), 120), "mean"), exact(game()), atol=1e-4, rtol=0)


def test_the_values_add_up_to_what_all_are_worth():
    worth = game()
    whole, none = worth(torch.stack([PLAYERS, torch.zeros_like(PLAYERS)])).tolist()
    assert whole - none == pytest.approx(float(exact(worth).sum()), abs=1e-3)
    for found in orders(worth, 20):  # in every single order
        assert float(found.sum()) == pytest.approx(whole - none, abs=1e-3)


def test_operations_that_are_alike_have_the_same_value_and_one_that_never_flows_has_none():
    twins = ACCURACY.copy()
    twins[2] = twins[1]
    found = exact(game(twins, torch.tensor([[0.4, 0.3, 0.3], [1.0, 0.0, 0.0]])))
    assert float(found[0, 1]) == pytest.approx(float(found[0, 2]), abs=1e-4)
    assert float(found[0, 1]) != pytest.approx(float(found[0, 0]), abs=1e-4)
    sampled = torch.stack(orders(game(twins, torch.tensor([[0.4, 0.3, 0.3], [1.0, 0.0, 0.0]])), 400))
    difference = sampled[:, 0, 1] - sampled[:, 0, 2]
    assert abs(float(difference.mean())) < 4 * float(difference.std()) / 20
    assert (sampled[:, 1, 1:] == 0).all()


def test_the_error_falls_as_the_root_of_the_number_of_orders():
    found, truth = torch.stack(orders(game(), 1600)), exact(game())
    assert float((found.mean(0) - truth).abs().max()) < 5 * float(found.std(0).max()) / 40

    def error(count: int) -> float:
        return float((found.view(-1, count, *PLAYERS.shape).mean(1) - truth).square().mean().sqrt())

    assert error(4) / error(16) == pytest.approx(2.0, rel=0.15)
    assert error(4) / error(64) == pytest.approx(4.0, rel=0.3)


def test_an_order_that_is_truncated_counts_the_fall_below_and_nothing_after(monkeypatch):
    monkeypatch.setattr(shapley.torch, "randperm", lambda n, generator: torch.arange(n))
    worth = {5: 100.0, 4: 90.0, 3: 49.0, 2: 30.0, 1: 20.0, 0: 10.0}

    def by_size(coalitions):
        return torch.tensor([worth[int(c.sum())] for c in coalitions])

    (whole,), (cut,) = orders(by_size, 1), orders(by_size, 1, truncation=0.5)
    assert whole[PLAYERS].tolist() == [10.0, 41.0, 19.0, 10.0, 10.0]
    assert cut[PLAYERS].tolist() == [10.0, 41.0, 0.0, 0.0, 0.0]


@pytest.mark.parametrize("truncation", [0.0, 0.5])
def test_how_many_coalitions_are_measured_at_once_changes_nothing(truncation, monkeypatch):
    before = orders(game(), 10, truncation)
    monkeypatch.setattr(shapley, "CHUNK", 1)
    assert all(torch.equal(a, b) for a, b in zip(before, orders(game(), 10, truncation), strict=True))


def test_the_official_figure_is_the_mean_less_the_deviation_over_the_orders():
    two = [torch.tensor([[1.0, 4.0]], dtype=torch.float64), torch.tensor([[3.0, 4.0]], dtype=torch.float64)]
    assert estimated(two, "mean").tolist() == [[2.0, 4.0]]
    assert estimated(two, "lower").tolist() == [[1.0, 4.0]]


def test_a_table_whose_rows_cannot_be_empty_is_refused() -> None:
    space = NatsSss()
    table = TableObjective(space, np.full([len(p.operations) for p in space.positions], 50.0))
    with pytest.raises(BenchbedError, match="no operation 'none' knows no such network: take objective 'supernet'"):
        check_empty_rows(space, table)
    for kind in ("searcher", "selector"):
        plugin = registry.load(kind, "shapley")
        with pytest.raises(BenchbedError, match="no operation 'none'"):
            plugin.check(plugin.Options(), space, table)
    check_empty_rows(space, None)
    check_empty_rows(NB201(), table)
