"""Shapley-NAS: when alpha moves, by what, and that a gradient is never asked for."""

import pytest
import torch

from benchbed.cost import without_cost
from benchbed.searcher import Clock
from benchbed.searchers.shapley import ShapleyNAS
from benchbed.selection.shapley import estimated, falls
from benchbed.streams import Streams
from benchbed.testing.searcher_suite import Traced
from benchbed.testing.toys import ToyCell, ToySpace, ToyTable, random_table


def searcher_of(space=ToySpace, **options) -> ShapleyNAS:
    return ShapleyNAS(space(), ShapleyNAS.Options(**options), Streams(0))


CLOCK = Clock(25, 0, 50, 4)


def test_alpha_moves_once_an_epoch_after_the_warm_up():
    searcher = searcher_of()
    due = [(e, s) for e in range(50) for s in range(4) if searcher.arch_steps_due(Clock(e, s, 50, 4))]
    assert due == [(e, 0) for e in range(25, 50)]


@pytest.mark.parametrize("space", [ToySpace, ToyCell])
def test_two_steps_are_the_papers_formula(space):
    table, searcher = random_table(space(), 3), searcher_of(space, permutations=4, truncation=0.0)
    mask, alpha = searcher.mask, searcher.alpha.clone()
    generator, s = Streams(0).generator("gates"), torch.zeros_like(alpha)
    for _ in range(2):
        p = searcher.probabilities()

        def worth(coalitions, p=p):
            return torch.stack([table.measure(p * c).accuracy for c in coalitions]) / 100

        values = estimated([falls(worth, mask, 0.0, generator) for _ in range(4)], "mean").float()
        z = torch.zeros_like(values)
        for group in {position.group for position in searcher.space.positions}:
            rows = torch.tensor([position.group == group for position in searcher.space.positions])[:, None]
            z[mask & rows] = (values[mask & rows] - values[mask & rows].mean()) / values[mask & rows].std()
        s = 0.8 * s + 0.2 * z
        alpha = alpha + 0.1 * s
        searcher.arch_step(without_cost(table), None, CLOCK)
        torch.testing.assert_close(searcher.alpha, alpha)


def test_where_all_are_worth_the_same_alpha_stays():
    class Flat(ToyTable):
        def measure(self, gates, batch=None):
            found = super().measure(gates, batch)
            return found._replace(accuracy=torch.full_like(found.accuracy, 50.0))

    searcher, table = searcher_of(), random_table(ToySpace(), 0)
    before = searcher.alpha.clone()
    searcher.arch_step(without_cost(Flat(table.space, table.losses)), None, CLOCK)
    assert torch.equal(searcher.alpha, before)


@pytest.mark.parametrize(("batches", "count"), [("one", 1), ("each", 6)])
def test_orders_share_a_validation_batch_unless_each_has_its_own(batches, count, monkeypatch):
    searcher, objective, drawn = searcher_of(permutations=6, batches=batches), Traced(), []
    batch = objective.batch
    monkeypatch.setattr(objective, "batch", lambda split: drawn.append(split) or batch(split))
    monkeypatch.setattr(objective, "gate_gradient", None)
    searcher.arch_step(without_cost(objective), None, CLOCK)
    assert drawn == ["valid"] * count


def test_the_lower_figure_is_another_step_and_off_by_default():
    steps = []
    for estimate in ("mean", "lower"):
        searcher = searcher_of(estimate=estimate, truncation=0.0)
        searcher.arch_step(without_cost(random_table(ToySpace(), 1)), None, CLOCK)
        steps.append(searcher.alpha)
    assert ShapleyNAS.Options().estimate == "mean"
    assert not torch.equal(*steps)
