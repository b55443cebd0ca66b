"""Magnitude: the argmax, and what happens where there is none."""

import pytest
import torch

from benchbed.selectors.magnitude import Magnitude
from benchbed.streams import Streams
from benchbed.testing.selector_suite import Bench
from benchbed.testing.toys import ToySpace, random_table


def select(alpha: list[list[float]], seed: int = 0):
    bench = Bench(ToySpace(), random_table(ToySpace(), 0), Streams(seed))
    with torch.no_grad():
        bench.searcher.alpha.copy_(torch.tensor(alpha))
    return bench, bench.run(Magnitude(Magnitude.Options()))


def test_the_most_probable_selectable_operation_and_its_probabilities_as_scores():
    bench, chosen = select([[0, 2, 1, 0], [1, 0, 0, 0], [0, 1, 2, 9]])
    assert chosen.architecture.choices == (1, 0, 2)  # 'a', the most probable at the third, may not be selected
    assert chosen.notes == {}
    e = torch.tensor([1.0, torch.e**2, torch.e])
    torch.testing.assert_close(torch.from_numpy(chosen.scores[0, :3]).float(), e / e.sum())
    assert "selection" not in bench.streams.state()  # nothing was drawn


def test_a_tie_of_some_goes_to_the_lowest_index():
    _, chosen = select([[0, 2, 2, 0], [1, 0, 0, 0], [1, 3, 3, 0]])
    assert chosen.architecture.choices == (1, 0, 1)
    assert chosen.notes == {}


def test_rows_without_a_preference_are_drawn_evenly_and_noted():
    picks = []
    for seed in range(300):
        _, chosen = select([[1, 1, 1, 0], [1, 0, 0, 0], [0, 0, 0, 5]], seed)
        assert chosen.notes == {"drawn_at_random": ["first", "third"]}
        assert chosen.architecture.choices[1] == 0
        picks.append(chosen.architecture.choices)
    for position in (0, 2):
        counts = [sum(c[position] == k for c in picks) for k in range(4)]
        assert counts[3] == 0
        assert sum((n - 100) ** 2 / 100 for n in counts[:3]) < 13.8  # chi-square, 2 degrees of freedom, p = 0.001


@pytest.mark.parametrize("seed", [0, 1])
def test_draws_follow_from_the_selection_stream(seed):
    flat = [[0.0] * 4] * 3
    assert select(flat, seed)[1].architecture == select(flat, seed)[1].architecture
