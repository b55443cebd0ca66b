"""The cursor: every index once a pass, shuffled anew, and saved in the middle."""

import pytest
import torch

from benchbed.objectives.cursor import Cursor
from benchbed.testing.tree import through_file


def _cursor(count, batch, seed=0):
    return Cursor(count, batch, torch.Generator().manual_seed(seed))


@pytest.mark.parametrize(("count", "batch"), [(12, 4), (10, 5), (7, 7), (6, 1)])
def test_a_pass_holds_every_index_once(count, batch):
    cursor = _cursor(count, batch)
    for _ in range(3):
        drawn = torch.cat([cursor.next() for _ in range(cursor.batches)])
        assert sorted(drawn.tolist()) == list(range(count))


def test_the_rest_of_a_pass_is_dropped():
    cursor = _cursor(11, 4)
    assert cursor.batches == 2
    for _ in range(5):
        drawn = torch.cat([cursor.next(), cursor.next()]).tolist()
        assert len(set(drawn)) == 8


def test_passes_are_shuffled_anew():
    cursor = _cursor(50, 50)
    first, second = cursor.next(), cursor.next()
    assert first.tolist() != second.tolist()
    assert first.tolist() != list(range(50))


def test_over_many_passes_no_index_is_left_out():
    """A rest is dropped at random: over 300 passes each index is in 8 of 11 shares, within 5 standard errors."""
    cursor, counts = _cursor(11, 4), torch.zeros(11)
    for _ in range(300 * cursor.batches):
        counts[cursor.next()] += 1
    share = 8 / 11
    assert ((counts / 300 - share).abs() < 5 * (share * (1 - share) / 300) ** 0.5).all()


def test_seeds():
    one, same, other = (torch.cat([c.next() for _ in range(6)]) for c in (_cursor(20, 4, s) for s in (0, 0, 1)))
    assert torch.equal(one, same)
    assert not torch.equal(one, other)


@pytest.mark.parametrize("drawn", range(7))
def test_it_goes_on_from_a_saved_state_in_the_middle_of_a_pass(drawn):
    generator = torch.Generator().manual_seed(0)
    cursor = Cursor(11, 4, generator)
    for _ in range(drawn):
        cursor.next()
    saved = through_file({"cursor": cursor.state(), "generator": generator.get_state()})
    expected = [cursor.next() for _ in range(7)]
    other_generator = torch.Generator().manual_seed(9)
    other = Cursor(11, 4, other_generator)
    other.next()
    other.load_state(saved["cursor"])
    other_generator.set_state(saved["generator"])
    assert all(torch.equal(a, other.next()) for a in expected)
