"""The Bayesian signed-rank test against closed forms, symmetry, and the authors' own package."""

import os
import sys
from pathlib import Path

import numpy as np
import pytest

from benchbed.stats.bayes import signed_rank


def test_of_one_difference_in_closed_form() -> None:
    """w1 ~ Beta(1, s). With d < 2 rope < 2 d only the sum of d with itself, w1^2, lies above: P(w1^2 > 1/2)."""
    for prior in (0.5, 1.0, 2.0):
        found = signed_rank([1.0], rope=0.7, prior=prior)
        assert found.better == pytest.approx((1 - np.sqrt(0.5)) ** prior, abs=0.015)
        assert found.worse == 0
        assert found.same == pytest.approx(1 - found.better)


def test_of_two_differences_in_closed_form() -> None:
    """With a rope that only 2 + 2 passes: w^2, w ~ Beta(1, 1 + s), and P(w^2 > 1/2) = (1 - sqrt 1/2)^(1 + s)."""
    found = signed_rank([0.1, 2.0], rope=1.5)
    assert found.better == pytest.approx((1 - np.sqrt(0.5)) ** 1.5, abs=0.015)


def test_signs_turn_it_round() -> None:
    d = np.random.default_rng(0).normal(0.3, 1, 12)
    found, turned = signed_rank(d.tolist(), 0.1), signed_rank((-d).tolist(), 0.1)
    assert turned.better == pytest.approx(found.worse, abs=0.015)
    assert sum(found) == pytest.approx(1)
    assert signed_rank([1.0, -1.0]).better == pytest.approx(0.5, abs=0.015)


def test_where_the_answer_is_plain() -> None:
    assert signed_rank([1.0, 2.0, 3.0]) == (1, 0, 0)
    assert signed_rank([-1.0, -2.0, -3.0]) == (0, 0, 1)
    assert signed_rank([0.1, -0.1, 0.05], rope=1) == (0, 1, 0)
    assert signed_rank([0.0, 0.0]) == (0.5, 0, 0.5)


def test_the_same_differences_give_the_same_probabilities() -> None:
    d = np.random.default_rng(1).normal(size=600).tolist()  # so many that the draws come in pieces
    assert signed_rank(d) == signed_rank(d)


@pytest.mark.parametrize(
    ("differences", "rope", "words"),
    [([], 0.0, "a list of"), ([np.nan], 0.0, "value nan"), ([1.0], -1.0, "rope -1"), ([1.0], np.nan, "rope nan")],
)
def test_bad_input(differences: list[float], rope: float, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        signed_rank(differences, rope)


def test_it_is_the_authors_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """baycomp (Corani and Benavoli; janezd/baycomp), which says less and greater in this order."""
    clone = Path(os.environ.get("BENCHBED_ORIGINALS", ""), "baycomp")
    if not (clone / "baycomp").is_dir():
        pytest.skip("needs BENCHBED_ORIGINALS, a folder with a clone of janezd/baycomp")
    monkeypatch.syspath_prepend(str(clone))
    theirs = __import__("baycomp").SignedRankTest
    for seed, n, rope in ((0, 10, 0.2), (1, 5, 0.5), (2, 30, 0.1), (3, 12, 0.3)):
        d = np.round(np.random.default_rng(seed).normal(0.3, 1, n), 1)
        less, same, greater = theirs.probs(np.zeros(n), d, rope, nsamples=20_000, random_state=seed)
        assert signed_rank(d.tolist(), rope) == pytest.approx((greater, same, less), abs=0.015)
    sys.modules.pop("baycomp")
