"""The loop's order, its clock, and what it does at a loss that is not finite."""

import math

import pytest
import torch

from benchbed.cost import without_cost
from benchbed.searcher import Clock, Options, Searcher
from benchbed.streams import Streams
from benchbed.testing.toys import ToySpace, ToyTable, random_table
from benchbed.training.search_loop import NonFiniteLoss, train_epoch


class Scripted(ToyTable):
    """Notes what is asked of it; weight losses come from a list; its weights may claim to be on another device."""

    provides = frozenset({"weights"})

    def __init__(self, weight_losses, device="cpu"):
        super().__init__(ToySpace(), random_table(ToySpace(), 0).losses)
        self.events, self.weight_losses, self.device = [], list(weight_losses), device
        self.steps_per_epoch = len(weight_losses)

    def batch(self, split):
        self.events.append(split)
        return None

    def weight_step(self, gates, batch):
        self.events.append(("w", float(gates[0, 0])))
        return torch.tensor(self.weight_losses.pop(0))

    def weights(self):
        return {"w": torch.empty(1, device=self.device)}


class Clerk(Searcher):
    """Notes its clocks; architecture losses come from a list where one is given."""

    def __init__(self, due=lambda clock: 1, first=True, losses=()):
        super().__init__(ToySpace(), Options(), Streams(0))
        self.due, self.losses, self.clocks, self.calls = due, list(losses), [], 0
        self.arch_first = first

    def arch_steps_due(self, clock):
        return self.due(clock)

    def weight_gates(self, objective, batch, clock):
        self.clocks.append(clock)
        return torch.full((3, 4), float(clock.step))

    def arch_step(self, problem, batch, clock):
        problem.objective.events.append("a")
        self.calls += 1
        return {"loss": self.losses.pop(0) if self.losses else 0.5, "calls": float(self.calls)}

    def probabilities(self):
        return self.mask / self.mask.sum(1, keepdim=True)

    def state(self):
        return {}

    def load_state(self, tree):
        """Nothing to restore."""


def run(objective, searcher, **options):
    return train_epoch(without_cost(objective), searcher, 2, 5, **options)


def test_architecture_steps_come_before_the_weight_step_of_the_same_batch():
    objective, searcher = Scripted([1.0, 2.0]), Clerk()
    run(objective, searcher)
    assert objective.events == ["train", "a", ("w", 0.0), "train", "a", ("w", 1.0)]
    assert searcher.clocks == [Clock(2, 0, 5, 2), Clock(2, 1, 5, 2)]


def test_or_after_it_where_the_searcher_says_so():
    objective = Scripted([1.0, 2.0])
    run(objective, Clerk(first=False))
    assert objective.events == ["train", ("w", 0.0), "a", "train", ("w", 1.0), "a"]


def test_as_many_architecture_steps_as_are_due():
    objective = Scripted([1.0] * 4)
    run(objective, Clerk(due=lambda clock: clock.step))
    assert "".join(e if e == "a" else "w" for e in objective.events if e != "train") == "wawaawaaaw"


def test_none_while_alpha_is_not_trained():
    objective = Scripted([1.0, 3.0])
    means = run(objective, Clerk(), train_alpha=False)
    assert "a" not in objective.events
    assert means == {"loss": 2.0}


class Closing(Clerk):
    def end_epoch(self, objective, clock):
        objective.events.append(("end", clock))


@pytest.mark.parametrize("first", [True, False])
def test_an_epoch_ends_once_after_its_last_step(first):
    objective = Scripted([1.0, 3.0])
    run(objective, Closing(first=first))
    assert [e for e in objective.events if e[0] == "end"] == [("end", Clock(2, 1, 5, 2))]
    assert objective.events[-1][0] == "end"


@pytest.mark.parametrize("train_alpha", [True, False])
def test_nothing_ends_in_tuning(train_alpha):
    """What a searcher decides between epochs (SGAS) would else take the selector's decisions."""
    objective = Scripted([1.0, 3.0])
    run(objective, Closing(due=lambda clock: 0), train_alpha=train_alpha, tuning=True)
    assert objective.events == ["train", ("w", 0.0), "train", ("w", 1.0)]


def test_the_means_of_weight_losses_and_of_what_architecture_steps_log():
    means = run(Scripted([1.0, 2.0, 6.0]), Clerk(due=lambda clock: 2, losses=[1, 1, 1, 1, 1, 7]))
    assert means == {"loss": 3.0, "arch_loss": 2.0, "arch_calls": 3.5}


class Weightless(Scripted):
    provides = frozenset()

    def weights(self):
        return {}

    def weight_step(self, gates, batch):
        raise AssertionError("an objective without weights was asked for a weight step")


def test_an_objective_without_weights_has_architecture_steps_alone():
    objective, searcher, shown = Weightless([0.0] * 3), Clerk(due=lambda clock: clock.step), []
    means = run(objective, searcher, on_step=lambda clock, loss: shown.append(loss))
    assert objective.events == ["train", "train", "a", "train", "a", "a"]
    assert searcher.clocks == []  # no gates are drawn for a step that is not made
    uniform = float(objective.losses.mean())  # the Clerk's probabilities, by enumeration
    assert means == pytest.approx({"loss": uniform, "arch_loss": 0.5, "arch_calls": 2.0})
    assert shown == pytest.approx([uniform] * 3)


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_a_weight_loss_that_is_not_finite_stops_at_its_step(bad):
    objective = Scripted([1.0, bad, 1.0])
    with pytest.raises(NonFiniteLoss, match=rf"^the loss is {bad} at epoch 3, step 2 \(weight step\)$"):
        run(objective, Clerk())
    assert objective.events.count("train") == 2


def test_an_architecture_loss_that_is_not_finite_stops_before_the_weights_move():
    objective = Scripted([1.0, 1.0])
    with pytest.raises(NonFiniteLoss, match=r"^the loss is nan at epoch 3, step 1 \(architecture step\)$"):
        run(objective, Clerk(losses=[math.nan]))
    assert objective.events == ["train", "a"]


def test_every_step_is_shown_on_the_cpu():
    shown = []
    run(Scripted([1.0, 2.0]), Clerk(), on_step=lambda clock, loss: shown.append((clock.step, loss)))
    assert shown == [(0, 1.0), (1, 2.0)]


def test_an_accelerator_is_looked_at_every_fifty_steps_and_at_the_end():
    shown = []
    objective = Scripted([1.0] * 120, device="meta")
    run(objective, Clerk(), on_step=lambda clock, loss: shown.append(clock.step))
    assert shown == [49, 99, 119]


@pytest.mark.parametrize(("bad", "seen_at"), [(0, 50), (49, 50), (50, 100), (119, 120)])
def test_no_loss_is_missed_between_two_looks(bad, seen_at):
    objective = Scripted([math.nan if step == bad else 1.0 for step in range(120)], device="meta")
    with pytest.raises(NonFiniteLoss, match=f"step {seen_at} "):
        run(objective, Clerk())
