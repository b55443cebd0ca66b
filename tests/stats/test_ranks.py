"""Friedman and Nemenyi against Demsar's worked example, his table of critical values, and scipy."""

import numpy as np
import pytest
from scipy import stats

from benchbed.stats.ranks import cliques, critical_difference, ranks

# AUC of C4.5, C4.5+m, C4.5+cf, C4.5+m+cf on 14 data sets: Demsar, JMLR 7 (2006), table 6. His ranks
# in 'voting' (the last but one) tell the last two apart, whose printed values are equal.
DEMSAR = np.array([
    [0.763, 0.768, 0.771, 0.798], [0.599, 0.591, 0.590, 0.569], [0.954, 0.971, 0.968, 0.967],
    [0.628, 0.661, 0.654, 0.657], [0.882, 0.888, 0.886, 0.898], [0.936, 0.931, 0.916, 0.931],
    [0.661, 0.668, 0.609, 0.685], [0.583, 0.583, 0.563, 0.625], [0.775, 0.838, 0.866, 0.875],
    [1.000, 1.000, 1.000, 1.000], [0.940, 0.962, 0.965, 0.962], [0.619, 0.666, 0.614, 0.669],
    [0.972, 0.981, 0.9751, 0.975], [0.957, 0.978, 0.946, 0.970],
])  # fmt: skip


def test_demsars_example() -> None:
    """Section 3.2.2: mean ranks 3.143, 2.000, 2.893, 1.964; F_F = 3.69, chi2 = 9.28 without ties' correction."""
    found = ranks(DEMSAR)
    assert found.mean == pytest.approx([3.143, 2.000, 2.893, 1.964], abs=5e-4)
    n, k = DEMSAR.shape
    uncorrected = 12 * n / (k * (k + 1)) * (float((found.mean**2).sum()) - k * (k + 1) ** 2 / 4)
    assert uncorrected == pytest.approx(9.28, abs=0.005)
    assert (n - 1) * uncorrected / (n * (k - 1) - uncorrected) == pytest.approx(3.69, abs=0.01)
    assert found.chi2 > uncorrected
    theirs = stats.friedmanchisquare(*DEMSAR.T)
    assert (found.chi2, found.p) == pytest.approx((theirs.statistic, theirs.pvalue))
    assert found.difference == pytest.approx(1.25, abs=0.005)  # his CD at 0.05
    assert ranks(DEMSAR, 0.1).difference == pytest.approx(1.12, abs=0.005)


@pytest.mark.parametrize(
    ("level", "values"),
    [
        (0.05, [1.960, 2.343, 2.569, 2.728, 2.850, 2.949, 3.031, 3.102, 3.164]),
        (0.10, [1.645, 2.052, 2.291, 2.459, 2.589, 2.693, 2.780, 2.855, 2.920]),
    ],
)
def test_his_critical_values(level: float, values: list[float]) -> None:
    """Table 5(a): two to ten methods."""
    for k, q in zip(range(2, 11), values, strict=True):
        assert critical_difference(k, 100, level) / np.sqrt(k * (k + 1) / 600) == pytest.approx(q, abs=1.1e-3)


def test_iman_davenport_by_its_definition() -> None:
    scores = np.random.default_rng(0).normal(size=(9, 4))
    found = ranks(scores)
    theirs = stats.friedmanchisquare(*scores.T).statistic
    assert pytest.approx(8 * theirs / (9 * 3 - theirs)) == found.F
    assert found.p_F == pytest.approx(stats.f.sf(found.F, 3, 24))


def test_extremes() -> None:
    same = ranks(np.ones((5, 3)))
    assert (same.chi2, same.p, same.F) == (0.0, 1.0, 0.0)
    assert same.mean.tolist() == [2.0, 2.0, 2.0]
    always = ranks(np.tile([3.0, 2.0, 1.0], (6, 1)))
    assert always.mean.tolist() == [1.0, 2.0, 3.0]
    assert always.F > 1e300
    assert np.isnan(always.p_F)  # not 0: of three blocks that rank k methods alike chance makes more than none
    assert always.chi2 == pytest.approx(12)  # n (k - 1): the greatest


def test_cliques() -> None:
    """Demsar's figure 1(a) at 0.10: C4.5+m+cf and C4.5+m differ from C4.5, C4.5+cf from none."""
    found = ranks(DEMSAR, 0.10)
    assert cliques(found.mean.tolist(), found.difference) == [(3, 1, 2), (2, 0)]
    assert cliques([1.0, 2.0, 3.0], 0.5) == []
    assert cliques([1.0, 2.0, 3.0], 1.0) == [(0, 1), (1, 2)]
    assert cliques([3.0, 1.0, 2.0], 5.0) == [(1, 2, 0)]


def test_bad_input() -> None:
    with pytest.raises(ValueError, match="1 blocks and 3 methods"):
        ranks(np.ones((1, 3)))
    with pytest.raises(ValueError, match="not finite"):
        ranks(np.array([[1.0, np.nan], [1.0, 2.0]]))


@pytest.mark.usefixtures("unchecked")
def test_lists_are_taken_and_what_is_no_table_is_refused() -> None:
    assert ranks([[1, 2], [2, 1]]).mean.tolist() == [1.5, 1.5]
    with pytest.raises(ValueError, match="scores of 1 dimension"):
        ranks([1.0, 2.0])
