"""The selector shapley against values by enumeration, and what it measures on."""

import itertools

import pytest
import torch

from benchbed.objectives.table import TableObjective
from benchbed.selectors.shapley import Options, Shapley
from benchbed.streams import Streams
from benchbed.testing.selector_suite import Bench
from benchbed.testing.toys import ToySpace


def bench(seed: int = 0) -> Bench:
    space = ToySpace()
    accuracy = 100 * torch.rand(3, 2, 4, generator=torch.Generator().manual_seed(seed)).numpy()
    return Bench(space, TableObjective(space, accuracy), Streams(seed))


def exact(on: Bench) -> torch.Tensor:
    """By all 2^9 coalitions at once: the expected fall as a player leaves, weighted as Shapley does."""
    p, mask = on.searcher.probabilities(), on.searcher.mask
    members = mask.nonzero()
    n = len(members)
    inside = torch.tensor(list(itertools.product((False, True), repeat=n)))  # (2^n, n)
    gates = torch.zeros(len(inside), *mask.shape)
    gates[:, members[:, 0], members[:, 1]] = inside * p[mask]
    worth = on.objective.measure(gates).accuracy.double()
    size = inside.sum(1).double()
    found = torch.zeros(mask.shape, dtype=torch.float64)
    for number, (i, k) in enumerate(members.tolist()):
        without = ~inside[:, number]
        partner = torch.arange(len(inside))[without] + 2 ** (n - 1 - number)
        s = size[without]
        weight = (torch.lgamma(s + 1) + torch.lgamma(n - s) - torch.lgamma(torch.tensor(n + 1.0))).exp()
        found[i, k] = (weight * (worth[partner] - worth[without])).sum()
    return found


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_it_estimates_the_values_and_takes_the_greatest_that_may_be_selected(seed):
    on = bench(seed)
    truth, mask = exact(on), on.searcher.mask
    found = on.run(Shapley(Options(permutations=300)))
    scores = torch.from_numpy(found.scores)
    assert torch.isnan(scores[~mask]).all()
    assert float((scores - truth)[mask].abs().max()) < 5.0
    wanted = torch.where(torch.from_numpy(on.space.selectable), scores.nan_to_num(-1e9), -1e9).argmax(1)
    assert list(found.architecture.choices) == wanted.tolist()


def test_what_the_searcher_has_left_behind_is_no_player_and_is_not_chosen():
    on = bench()
    best = on.run(Shapley(Options(permutations=20))).architecture.choices[0]
    on = bench()
    on.searcher.mask[0, best] = False
    found = on.run(Shapley(Options(permutations=20)))
    assert found.architecture.choices[0] != best
    assert torch.isnan(torch.from_numpy(found.scores)[0, best])


def test_a_step_is_one_order():
    on, lines = bench(), []
    selector = Shapley(Options(permutations=3))
    context = on.context()._replace(log=lines.append)
    assert [selector.step(context) is None for _ in range(selector.steps(on.space))] == [True, True, False]
    assert lines == [{"permutations": n} for n in (1, 2, 3)]


def test_with_images_it_looks_at_so_many_of_them():
    on, seen = bench(), []
    objective = on.objective
    objective.provides, objective.validation_images = frozenset({"images"}), 600
    objective.seen = lambda view: seen.append(view) or objective
    on.run(Shapley(Options(permutations=2)))
    on.run(Shapley(Options(permutations=1, images=None)))
    on.run(Shapley(Options(permutations=1, images=100)))
    assert [view.images for view in seen] == [600, 600, 100]
