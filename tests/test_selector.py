"""What selectors share: the evaluation mode, the argmax, a state that is refused."""

import numpy as np
import pytest
import torch

from benchbed.selector import Selector, argmax_selection, evaluation_mode
from benchbed.space import Position
from benchbed.streams import Streams
from benchbed.testing.selector_suite import Bench
from benchbed.testing.toys import ToyCell, ToySpace, random_table


def bench(space=None, evaluation="mixture", seed=0) -> Bench:
    space = space or ToySpace()
    return Bench(space, random_table(space, 0), Streams(seed), evaluation)


@pytest.mark.parametrize("own", ["mixture", "sampled"])
def test_auto_is_the_searchers_own_mode(own):
    searcher = bench(evaluation=own).searcher
    assert evaluation_mode("auto", searcher) == own
    assert [evaluation_mode(mode, searcher) for mode in ("mixture", "sampled")] == ["mixture", "sampled"]


def test_argmax_over_what_may_be_selected_keeps_the_notes_and_scores():
    scores = torch.tensor([[1.0, 3, 2, 0], [5, 4, 9, 9], [0, 1, 2, 7]])
    chosen = argmax_selection(bench().context(), scores, {"why": "test"})
    assert chosen.architecture.choices == (1, 0, 2)
    assert chosen.notes == {"why": "test"}
    assert np.array_equal(chosen.scores, scores.numpy())
    assert chosen.scores.dtype == np.float64


def test_a_row_is_tied_by_its_selectable_entries_alone():
    scores = torch.tensor([[1.0, 1, 0, 0], [0, 1, 0, 0], [2, 2, 2, 7]])
    chosen = argmax_selection(bench().context(), scores, {})
    assert chosen.architecture.choices[:2] == (0, 1)  # two of three tied: the lower index
    assert chosen.notes == {"drawn_at_random": ["third"]}


def test_a_position_without_a_choice_is_no_tie():
    class Narrow(ToySpace):
        positions = (Position("first", ("a", "b", "c"), (False, True, False)), *ToySpace.positions[1:])

    scores = torch.tensor([[9.0, 1, 9, 0], [0, 1, 0, 0], [0, 2, 0, 0]])
    chosen = argmax_selection(bench(Narrow()).context(), scores, {})
    assert chosen.architecture.choices == (1, 1, 1)
    assert chosen.notes == {}


def test_argmax_keeps_the_inputs_of_greatest_selectable_score():
    scores = torch.tensor([[9.0, 1, 0], [1, 2, 0], [3, 1, 2], [1, 2, 9], [3, 4, 0], [5, 6, 0], [6, 5, 0], [6, 5, 0]])
    chosen = argmax_selection(bench(ToyCell()).context(), scores, {})
    # y<-1 counts 2: what may not be selected scores nothing; z<-0, z<-1 and z<-x tie: drawn
    assert chosen.architecture.choices[:5] == (1, 1, 0, -1, 1)
    assert chosen.notes == {"inputs_drawn_at_random": ["z<-0", "z<-1", "z<-x"]}


def test_argmax_breaks_a_tie_of_some_inputs_by_the_earlier_source():
    scores = torch.tensor([[9.0, 1, 0], [1, 2, 0], [3, 1, 2], [1, 3, 9], [3, 4, 0], [5, 6, 0], [7, 5, 0], [6, 5, 0]])
    chosen = argmax_selection(bench(ToyCell()).context(), scores, {})
    assert chosen.architecture.choices == (1, 1, 0, -1, 1, 1, 0, -1)
    assert chosen.notes == {}


def test_inputs_that_say_nothing_are_drawn_evenly():
    kept = [
        argmax_selection(bench(ToyCell(), seed=seed).context(), torch.zeros(8, 3), {}).architecture.choices[5:]
        for seed in range(300)
    ]
    counts = [sum(c[i] < 0 for c in kept) for i in range(3)]
    assert sum((n - 100) ** 2 / 100 for n in counts) < 13.9  # chi-square, 2 degrees of freedom, p = 0.001


def test_notes_of_the_caller_are_left_alone():
    notes = {}
    argmax_selection(bench().context(), torch.zeros(3, 4), notes)
    assert notes == {}


def test_a_selector_without_state_refuses_one():
    class OneStep(Selector):
        def step(self, context):
            return None

    selector = OneStep(Selector.Options())
    assert selector.steps(ToySpace()) == 1
    assert selector.state() == {}
    selector.load_state({})
    with pytest.raises(ValueError, match=r"OneStep keeps no state, got \['epoch'\]"):
        selector.load_state({"epoch": 3})
