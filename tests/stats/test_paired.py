"""Paired tests against published worked examples, exact enumerations and published sample sizes."""

from itertools import product

import numpy as np
import pytest
from scipy import stats

from benchbed.stats.paired import cliffs_delta, holm, least_p, least_pairs, permutation, power, seeds_needed, wilcoxon

# Darwin's maize: cross- minus self-fertilised, eighths of an inch (Fisher, The Design of Experiments, 1935, table 3).
MAIZE = [49, -67, 8, 16, 6, 23, 28, 41, 14, 29, 56, 24, 75, 60, -48]


def test_wilcoxons_own_example() -> None:
    """The maize above: T = 24 (Wilcoxon 1945), exact two-sided p 0.0413."""
    found = wilcoxon(MAIZE)
    assert (found.n, found.statistic) == (15, 24.0)
    assert found.p == pytest.approx(0.041259765625)


def test_fishers_count_of_darwins_maize() -> None:
    """Of 2^15 assignments of signs 1,726 have a sum as far from zero as the observed 314 (Fisher 1935, section 21)."""
    found = permutation(MAIZE)
    assert found.p == 1726 / 2**15
    assert found.statistic == pytest.approx(314 / 15)


def test_permutation_is_the_enumeration() -> None:
    d = [0.3, -0.1, 0.4, 0.0, 0.2, 0.2]
    sums = [abs(sum(s * x for s, x in zip(signs, d, strict=True))) for signs in product((1, -1), repeat=6)]
    assert permutation(d).p == np.mean([s >= abs(sum(d)) - 1e-12 for s in sums])


def test_beyond_twenty_pairs_it_is_drawn_and_near_scipys() -> None:
    d = np.random.default_rng(0).normal(0.35, 1, 25)
    own = permutation(d.tolist())
    kind = {"permutation_type": "samples", "n_resamples": 20_000, "vectorized": True, "rng": np.random.default_rng(1)}
    other = stats.permutation_test((d,), lambda x, axis: x.mean(axis), **kind)
    assert own.p == pytest.approx(other.pvalue, abs=0.01)
    assert own == permutation(d.tolist())
    assert permutation([1.0] * 30).p == pytest.approx(1e-5)  # never 0: the observed assignment counts


def test_zeros_and_ties() -> None:
    assert wilcoxon([0.0, 0.0, 0.0]).p == 1.0
    assert permutation([0.0, 0.0]).p == 1.0
    with_zero = wilcoxon([0.0, 1.0, 2.0, 3.0, -1.0])
    assert with_zero.p == pytest.approx(float(stats.wilcoxon([0, 1, 2, 3, -1], zero_method="pratt").pvalue))
    # 0.3 - 0.2 and 0.1 differ in their last bit: they are one value here
    assert wilcoxon([0.3 - 0.2, -0.1, 0.5]) == wilcoxon([0.1, -0.1, 0.5])


@pytest.mark.parametrize("pairs", [2, 5, 15, 20, 21])
def test_the_least_p_is_that_of_equal_differences(pairs: int) -> None:
    assert permutation([1.0] * pairs, 9_999).p == pytest.approx(least_p(pairs, 9_999), rel=1e-9)


def test_level_by_simulation() -> None:
    """Without an effect p is at most 0.05 in at most 5 % of samples; the exact permutation test is not conservative."""
    rng = np.random.default_rng(3)
    p = np.array([[f(d).p for f in (wilcoxon, permutation)] for d in rng.normal(0, 1, (400, 10)).tolist()])
    assert ((p <= 0.05).mean(0) <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / 400)).all()
    assert (p[:, 1] <= 0.05).mean() >= 0.02


def test_cliffs_delta_counts_pairs() -> None:
    assert cliffs_delta([1, 2, 3], [0, 2]) == pytest.approx((2 + 0.0 + 2 - 1 + 0 + 0) / 6 + 0.0)
    assert cliffs_delta([2, 3], [0, 1]) == 1.0
    assert cliffs_delta([0], [0]) == 0.0
    a, b = [3.0, 1.0, 4.0], [1.0, 5.0, 9.0]
    assert cliffs_delta(a, b) == -cliffs_delta(b, a)
    u = stats.mannwhitneyu(a, b).statistic  # U counts a > b, ties by half
    assert cliffs_delta(a, b) == pytest.approx(2 * u / 9 - 1)


def test_holms_steps() -> None:
    """Times 4, 3, 2, 1 from the smallest, and never below what came before."""
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.6, 0.9]) == [1.0, 1.0]
    assert holm([]) == []
    with pytest.raises(ValueError, match=r"p values lie in \[0, 1\]"):
        holm([1.2])


@pytest.mark.parametrize(("size", "published"), [(0.2, 199), (0.5, 34), (0.8, 15)])
def test_published_sample_sizes(size: float, published: int) -> None:
    """Of the paired t test at 80 % power and 5 %, by Cohen's small, medium and large effect (G*Power's)."""
    assert seeds_needed(size, 1.0) == published
    assert power(published, size, 1.0) >= 0.8 > power(published - 1, size, 1.0)
    assert seeds_needed(-10 * size, 10.0) == published  # unit and sign do not matter


def test_power_by_simulation() -> None:
    d = np.random.default_rng(4).normal(0.9, 1.0, (4000, 12))
    found = (stats.ttest_1samp(d, 0, axis=1).pvalue <= 0.05).mean()
    assert power(12, 0.9, 1.0) == pytest.approx(found, abs=0.03)


def test_more_comparisons_need_more_seeds() -> None:
    assert seeds_needed(0.5, 1.0, comparisons=6) > seeds_needed(0.5, 1.0)
    assert [seeds_needed(100.0, 1.0, comparisons=k) for k in (1, 2, 4)] == [6, 7, 8]  # fewer can show nothing


@pytest.mark.parametrize(("effect", "deviation", "comparisons"), [(5.0, 0.5, 5), (2.0, 0.2, 45), (2.0, 1.0, 1)])
def test_the_seeds_needed_are_the_first_that_are_enough(effect: float, deviation: float, comparisons: int) -> None:
    """Counted up one by one, where the test can be significant at all; a great effect has a power of one, no NaN."""
    level = 0.05 / comparisons
    able = [n for n in range(2, 60) if 2.0 ** (1 - n) <= level]
    first = next(n for n in able if power(n, effect, deviation, level) >= 0.8)
    assert seeds_needed(effect, deviation, comparisons=comparisons) == first
    assert least_pairs(0.05, comparisons) == able[0]
    assert all(0 <= power(n, effect, deviation, level) <= 1 for n in range(2, 60))
    n = able[0]
    assert permutation([1.0] * n).p * comparisons <= 0.05 < permutation([1.0] * (n - 1)).p * comparisons


def test_the_search_for_seeds_ends_at_the_most_that_are_looked_at() -> None:
    needed = seeds_needed(0.01, 1.0)
    assert 57_344 < needed < 100_000  # between the last doubling and the limit
    assert power(needed, 0.01, 1.0) >= 0.8 > power(needed - 1, 0.01, 1.0)


def test_power_is_the_noncentral_ts() -> None:
    for n, shift in ((3, 0.5), (8, 1.0), (40, 0.3)):
        edge = stats.t.ppf(0.975, n - 1)
        own = stats.nct.sf(edge, n - 1, shift * n**0.5) + stats.nct.cdf(-edge, n - 1, shift * n**0.5)
        assert power(n, shift, 1.0) == pytest.approx(own, abs=1e-4)


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (lambda: wilcoxon([]), "expected a list of numbers, got 0"),
        (lambda: permutation([1.0, float("nan")]), "value nan: a test takes finite numbers"),
        (lambda: seeds_needed(0.0, 1.0), "effect 0"),
        (lambda: seeds_needed(float("nan"), 1.0), "effect nan: expected .* a finite number that is not zero"),
        (lambda: power(1, 1.0, 1.0), "pairs 1, .*expected 2 or more"),
        (lambda: power(10, 1.0, 0.0), "deviation 0, .*above 0"),
        (lambda: power(10, 1.0, 1.0, 2.0), "level 2"),
        (lambda: seeds_needed(1.0, 0.0), "deviation 0: expected a positive number"),
        (lambda: seeds_needed(1.0, 1.0, wanted=1.0), "power 1"),
        (lambda: seeds_needed(1e-6, 1.0), "more than 100,000 seeds"),
    ],
)
def test_bad_input(call, text: str) -> None:
    with pytest.raises(ValueError, match=text):
        call()
