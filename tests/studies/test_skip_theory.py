"""The closed form of DARTS-PT's section 3.2 against the numeric minimum: oracle 7."""

import math
from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import minimize_scalar

from benchbed.errors import BenchbedError
from benchbed.studies.analysis.skip_theory import Errors, logit_gap


class Mixture(NamedTuple):
    """conv, skip: theta, which sum to 1; variance: of the mixture's error; interior: whether both are above 0."""

    conv: float
    skip: float
    variance: float
    interior: bool


def variance(errors: Errors, conv: float) -> float:
    """The variance of the error of the mixture with theta_conv = `conv`."""
    a, b, c = errors.checked()
    return conv**2 * a + (1 - conv) ** 2 * b + 2 * conv * (1 - conv) * c


def optimum(errors: Errors) -> Mixture:
    """The mixture of least variance with weights of at least 0, which a softmax gives.

    Both are above 0 exactly if the covariance is below both variances; else the better operation takes everything.
    Where the two errors are the same random variable every mixture is as good, and the even one is given.
    """
    a, b, c = errors.checked()
    spread = a + b - 2 * c  # var(o - x)
    if spread <= 0:
        return Mixture(0.5, 0.5, variance(errors, 0.5), True)
    conv = min(1.0, max(0.0, (b - c) / spread))
    return Mixture(conv, 1.0 - conv, variance(errors, conv), c < min(a, b))


POSITIVE = st.floats(0.01, 100)


@st.composite
def errors(draw):
    a, b = draw(POSITIVE), draw(POSITIVE)
    return Errors(a, b, draw(st.floats(-0.999, 0.999)) * math.sqrt(a * b))


@given(errors())
def test_the_closed_form_is_the_numeric_minimum_over_theta(e):
    """On [0, 1], boundaries included."""
    found = minimize_scalar(lambda t: variance(e, t), bounds=(0, 1), method="bounded", options={"xatol": 1e-10})
    least = min(found.fun, variance(e, 0.0), variance(e, 1.0))
    best = optimum(e)
    assert math.isclose(best.variance, least, rel_tol=1e-7, abs_tol=1e-12)
    assert best.conv + best.skip == pytest.approx(1)
    spread = e.conv + e.skip - 2 * e.shared
    if best.interior:
        assert math.isclose(best.variance, (e.conv * e.skip - e.shared**2) / spread, rel_tol=1e-6, abs_tol=1e-9)
        at = [best.conv - 1e-3, best.conv + 1e-3]
        assert all(variance(e, t) >= best.variance for t in at), "a minimum, for the second derivative is 2 var(o - x)"


@given(errors())
def test_the_sign_is_that_of_the_variances_whatever_the_covariance(e):
    gap = logit_gap(e)
    assert (gap > 0) == (e.conv > e.skip)
    assert (gap < 0) == (e.conv < e.skip)


@given(errors(), st.floats(-50, 50))
def test_the_softmax_of_the_logits_is_the_optimal_mixture_and_a_common_shift_changes_nothing(e, shift):
    best = optimum(e)
    if not best.interior:
        return
    logits = np.log([e.skip - e.shared, e.conv - e.shared]) + shift  # conv, skip
    theta = np.exp(logits - logits.max()) / np.exp(logits - logits.max()).sum()
    assert theta == pytest.approx([best.conv, best.skip], rel=1e-6, abs=1e-9)
    assert logits[1] - logits[0] == pytest.approx(logit_gap(e), abs=1e-6)


def test_the_boundary_is_reached_where_the_covariance_is_not_below_both_variances():
    for a, b, c, conv in ((1.0, 0.25, 0.25, 0), (1.0, 0.25, 0.3, 0), (0.25, 1.0, 0.3, 1), (0.25, 1.0, 0.25, 1)):
        best = optimum(Errors(a, b, c))
        assert (best.conv, best.skip, best.interior) == (conv, 1 - conv, False)
        assert best.variance == min(a, b)
        assert logit_gap(Errors(a, b, c)) == (math.inf if a > b else -math.inf)


def test_equal_variances_are_mixed_evenly():
    for c in (-0.9, 0.0, 0.5, 0.99):
        assert optimum(Errors(1.0, 1.0, c)).conv == pytest.approx(0.5)
        assert logit_gap(Errors(1.0, 1.0, c)) == 0
    same = optimum(Errors(1.0, 1.0, 1.0))  # the same error twice: every mixture is as good
    assert (same.conv, same.variance, same.interior) == (0.5, 1.0, True)


def test_the_published_numeric_check():
    """x = m + .3 e1, o = m + .5 e2 + .1 (x - m): the reference's sample gave .25177, .069754 and 1.08922."""
    rng = np.random.default_rng(0)
    e1, e2 = rng.standard_normal((2, 200_000))
    b = 0.3 * e1
    a = 0.5 * e2 + 0.1 * b
    (va, c), (_, vb) = np.cov(a, b)
    e = Errors(float(va), float(vb), float(c))
    assert optimum(e).conv == pytest.approx(0.25177, abs=2e-3)
    assert optimum(e).variance == pytest.approx(0.069754, abs=5e-4)
    assert logit_gap(e) == pytest.approx(1.08922, abs=1e-2)
    exact = Errors(0.25 + 0.1**2 * 0.09, 0.09, 0.1 * 0.09)
    assert optimum(exact).conv == pytest.approx(0.081 / 0.3229)
    grid = np.linspace(0, 1, 1001)
    mixed = [np.var(t * a + (1 - t) * b) for t in grid]
    assert abs(grid[int(np.argmin(mixed))] - optimum(e).conv) <= 1e-3
    assert min(mixed) == pytest.approx(optimum(e).variance, rel=1e-4)


@pytest.mark.parametrize("given", [(-1.0, 1.0, 0.0), (1.0, 1.0, 1.5), (math.nan, 1.0, 0.0), (1.0, math.inf, 0.0)])
def test_what_no_errors_have(given):
    with pytest.raises(BenchbedError, match="variances"):
        optimum(Errors(*given))
    with pytest.raises(BenchbedError, match="variances"):
        logit_gap(Errors(*given))
