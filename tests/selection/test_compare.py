"""Full comparisons and races, on images whose outcomes are made up."""

import pytest
import torch

from benchbed.objective import Measure, Outcomes
from benchbed.objectives.supernet import SupernetObjective, SupernetOptions
from benchbed.selection.compare import compare, distinct, race
from benchbed.spaces.nb201.space import NB201
from benchbed.streams import Streams
from benchbed.task import Seal, Split, Task
from benchbed.testing.toys import ToySpace, ToyTable, random_table


class Images(ToyTable):
    """Candidate c (gate [0, c] is 1) classifies image i right where right[c, i] holds; loss is 1 - that."""

    provides = frozenset({"images"})

    def __init__(self, right, parts):
        super().__init__(ToySpace(), random_table(ToySpace(), 0).losses)
        self.right, self.parts, self.validation_images = right.float(), parts, right.shape[1]
        self.forwarded = [0] * len(right)

    def outcomes(self, gates, part):
        candidates, n = gates[:, 0].argmax(1), self.validation_images // self.parts
        for c in candidates.tolist():
            self.forwarded[c] += n
        right = self.right[candidates, part * n : (part + 1) * n]
        return Outcomes(1 - right, right)

    def measure(self, gates, batch=None):
        right = self.right[gates[..., 0, :].argmax(-1)].mean(-1)
        return Measure(1 - right, 100 * right, self.validation_images)


def candidates(count):
    gates = torch.zeros(count, 1, 3, 4)
    for c in range(count):
        gates[c, 0, 0, c] = 1
    return gates


def drawn(accuracies, images, seed):
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(len(accuracies), images, generator=generator) < torch.tensor(accuracies)[:, None]


@pytest.mark.parametrize("criterion", ["acc", "loss"])
@pytest.mark.parametrize("seek", ["greatest", "least"])
def test_clear_differences_end_a_race_early_with_the_same_winner(criterion, seek):
    objective = Images(drawn([0.9, 0.5, 0.88, 0.2], 2000, 0), 20)
    full = compare(objective, candidates(4), criterion)
    found = race(objective, candidates(4), criterion, 0.05, torch.randperm(20).tolist(), seek)
    pick = torch.argmax if seek == "greatest" else torch.argmin
    best = int(pick(full.strength))
    assert int(pick(found.strength)) == best
    assert full.images == 4 * 2000
    assert found.images == sum(objective.forwarded) < (2000 if seek == "greatest" else 8000)
    loser = 0 if seek == "greatest" else 3
    assert objective.forwarded[loser] < 400


def test_a_race_without_a_difference_is_the_full_measurement():
    right = drawn([0.7], 600, 1).expand(3, -1)
    objective = Images(right, 6)
    found = race(objective, candidates(3), "acc", 0.05, [3, 0, 5, 1, 2, 4])
    torch.testing.assert_close(found.strength, compare(objective, candidates(3), "acc").strength)
    assert found.images == 3 * 600
    assert int(found.strength.argmax()) == 0  # ties to the lowest, as without a race


def test_the_winner_of_the_full_measurement_is_dropped_no_more_often_than_stated():
    """Candidates that are equal in truth are the hardest; a fifth of races that drop the true one is allowed."""
    wrong, trials = 0, 300
    for seed in range(trials):
        objective = Images(drawn([0.7, 0.7, 0.72], 1200, seed), 8)
        best = int(compare(objective, candidates(3), "acc").strength.argmax())
        order = torch.randperm(8, generator=torch.Generator().manual_seed(seed)).tolist()
        wrong += int(race(objective, candidates(3), "acc", 0.2, order).strength.argmax()) != best
    assert wrong <= 0.2 * trials


def test_a_dropped_candidate_never_stands_before_one_that_stayed():
    """Of the first part it got 60 % right and the others 20: dropped. On all images they get more than that right."""
    right = torch.ones(3, 1000, dtype=torch.bool)
    right[0, :80], right[1, :40], right[2, :80] = False, False, False
    right[2, 990:992] = False
    objective = Images(right, 10)
    found = race(objective, candidates(3), "acc", 0.05, list(range(10)))
    assert objective.forwarded == [1000, 100, 1000]
    assert found.strength.tolist() == pytest.approx([-92, -91.8, -91.8], abs=1e-6)
    assert int(found.strength.argmax()) == 2


def test_repeated_gates_are_measured_once_and_give_the_same_figures():
    table = random_table(ToySpace(), 2)
    paths = torch.stack([torch.from_numpy(table.space.gates(table.space.parse(t))) for t in ("a-c-b", "b-a-d")])
    gates = paths[torch.tensor([[0, 1, 1, 0], [1, 1, 1, 0]])]  # (2, 4, P, O)
    found, which = distinct(gates)
    assert len(found) == 2
    assert torch.equal(found[which], gates)
    expected = table.measure(gates).loss.double().mean(1)
    assert torch.equal(compare(table, gates, "loss").strength, expected)
    seen = distinct(gates[:, :2].flatten(0, 1)[:3:2])
    assert torch.equal(seen[0][seen[1]], gates[:, :2].flatten(0, 1)[:3:2])


def test_outcomes_of_all_parts_are_what_measure_gives():
    generator = torch.Generator().manual_seed(0)
    split = Split(torch.randn(50, 3, 8, 8, generator=generator), torch.arange(50) % 4)
    task = Task("noise", 4, (3, 8, 8), split, split, Seal(lambda: split), fingerprint="noise")
    options = SupernetOptions.model_validate(
        {"channels": 2, "cells": 1, "batch": 10, "valid_batch": 10, "eval_batch": 20}
    )
    objective = SupernetObjective(NB201(), task, options, Streams(0), epochs=1)
    gates = torch.rand(2, 1, 6, 5, generator=generator)
    assert (objective.parts, objective.validation_images) == (3, 50)
    parts = [objective.outcomes(gates, k) for k in range(3)]
    assert [p.loss.shape for p in parts] == [(2, 1, 17), (2, 1, 17), (2, 1, 16)]
    measured = objective.measure(gates)
    torch.testing.assert_close(torch.cat([p.loss for p in parts], 2).mean(2), measured.loss)
    torch.testing.assert_close(100 * torch.cat([p.correct for p in parts], 2).mean(2), measured.accuracy)
