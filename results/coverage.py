"""How often 95 % intervals of a mean cover it: Student's t and two bootstraps, by simulation.

python results/coverage.py    # writes results/coverage.json and the table of results/coverage.md

Student's t is `benchbed.stats.interval.mean_interval`; BCa is scipy's; the bootstrap-t
interval (Efron 1981) divides each resample's deviation from the mean by its own standard error.
"""

import json
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from scipy import stats

from benchbed.report.markdown import markdown_table
from benchbed.runtime.machine import made_with
from benchbed.stats.interval import mean_interval

SIMULATIONS, RESAMPLES, AT_ONCE = 3000, 999, 250
SIZES = (2, 3, 5, 10, 20, 50, 100)
RESULT, PAGE = Path("results/coverage.json"), Path("results/coverage.md")
Ends = tuple[np.ndarray, np.ndarray]
Draw = Callable[[np.random.Generator, tuple[int, int]], np.ndarray]


def collapses(rng: np.random.Generator, shape: tuple[int, int]) -> np.ndarray:
    """Normal values, of which one in ten lies ten deviations lower: a method that now and then collapses."""
    return rng.normal(size=shape) - 10.0 * (rng.random(shape) < 0.1)


VALUES: dict[str, tuple[Draw, float]] = {  # how they are drawn, and their mean
    "normal": (lambda rng, shape: rng.normal(size=shape), 0.0),
    "uniform": (lambda rng, shape: rng.random(shape), 0.5),
    "lognormal": (lambda rng, shape: rng.lognormal(size=shape), float(np.exp(0.5))),
    "Student's t, three degrees": (lambda rng, shape: rng.standard_t(3, size=shape), 0.0),
    "one in ten collapses": (collapses, -1.0),
}


def student(values: np.ndarray, _: np.random.Generator) -> Ends:
    found = [mean_interval(row) for row in values]
    return np.array([i.low for i in found]), np.array([i.high for i in found])


def bca(values: np.ndarray, rng: np.random.Generator) -> Ends:
    found = stats.bootstrap((values,), np.mean, axis=1, n_resamples=RESAMPLES, method="BCa", rng=rng)
    return found.confidence_interval.low, found.confidence_interval.high


def bootstrap_t(values: np.ndarray, rng: np.random.Generator) -> Ends:
    n, low, high = values.shape[1], [], []
    for row in values:
        drawn = row[rng.integers(n, size=(RESAMPLES, n))]
        spread = drawn.std(axis=1, ddof=1)
        t = (drawn.mean(axis=1) - row.mean()) / np.where(spread > 0, spread, np.nan)
        below, above = np.nanquantile(t, [0.025, 0.975])
        low.append(row.mean() - above * row.std(ddof=1))
        high.append(row.mean() - below * row.std(ddof=1))
    return np.array(low), np.array(high)


INTERVALS = {"Student's t": student, "BCa bootstrap": bca, "bootstrap-t": bootstrap_t}


def simulated() -> dict[str, dict[str, dict[str, float]]]:
    """By distribution, interval and size, the share of intervals that hold the mean; one that is not there holds none.

    Of two values a bootstrap is left out: it has three resamples.
    """
    found: dict[str, dict[str, dict[str, float]]] = {}
    for number, (name, (draw, mean)) in enumerate(VALUES.items()):
        found[name] = {interval: {} for interval in INTERVALS}
        for n in SIZES:
            rng = np.random.default_rng([number, n])
            values = draw(rng, (SIMULATIONS, n))
            for interval, ends in INTERVALS.items():
                if n == 2 and ends is not student:
                    continue
                hits = 0
                for start in range(0, SIMULATIONS, AT_ONCE):
                    low, high = ends(values[start : start + AT_ONCE], rng)
                    hits += int(((low <= mean) & (mean <= high)).sum())
                found[name][interval][str(n)] = hits / SIMULATIONS
            print(name, n, {interval: of.get(str(n)) for interval, of in found[name].items()}, flush=True)
    return found


def table(found: dict[str, dict[str, dict[str, float]]]) -> list[str]:
    lines = [
        [name, interval, *(f"{of[str(n)]:.0%}".replace("%", "") if str(n) in of else "" for n in SIZES)]
        for name, intervals in found.items()
        for interval, of in intervals.items()
    ]
    return markdown_table(["values", "interval", *(f"n = {n}" for n in SIZES)], lines)


def main() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # BCa of very few values degenerates, and says so; its NaN counts as a miss
        found = simulated()
    facts = {"simulations": SIMULATIONS, "resamples": RESAMPLES, **made_with(torch.device("cpu"))}
    RESULT.write_text(json.dumps({"covers": found, **facts}, indent=1) + "\n")
    text = PAGE.read_text()
    before, after = text.index("| values |"), text.index("\n\n", text.index("| values |"))
    PAGE.write_text(text[:before] + "\n".join(table(found)) + text[after:])


if __name__ == "__main__":
    main()
