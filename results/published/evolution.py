"""What might explain that evolution's deviation is not the printed one: noise of one training, and its stopping rule.

NAS-Bench-201's scripts read one 12-epoch training of two; the exports hold their mean. How far one is from the mean is
measured from cells that compute the same function and were trained apart: within a class the means of two vary with
sd / sqrt(2), as one of two varies about their mean. The script of January 2020 looks at the clock after an evaluation
(so that the last one overshoots), and not at all while the first population is drawn.
"""

from itertools import pairwise
from typing import Any

import numpy as np
import torch

from benchbed.black_box import Proposal
from benchbed.cost import without_cost
from benchbed.objectives.table import TableObjective, trainings_of
from benchbed.searchers.random_search import RandomSearch
from benchbed.searchers.regularised_evolution import RegularisedEvolution
from benchbed.searchers.reinforce_search import ReinforceSearch
from benchbed.spaces.classes import classes
from benchbed.stats.interval import mean_interval
from benchbed.streams import Streams
from benchbed.tables import Table

DATASET, EPOCHS, BUDGET = "cifar10", 12, 12_000.0
BINS = (0.0, 30.0, 50.0, 60.0, 70.0, 75.0, 80.0, 82.0, 84.0, 100.0)  # of a class's mean accuracy
FEWEST = 10  # classes of a bin
SEARCHERS = {"random-search": RandomSearch, "regularised-evolution": RegularisedEvolution,
             "reinforce-search": ReinforceSearch}  # fmt: skip


def explanations(table: Table, seeds: int) -> list[dict[str, Any]]:
    """The noise by accuracy, and each searcher's figures as it is, with the noise, the stopping rule, and both."""
    torch.set_num_threads(1)
    noise = noise_by_accuracy(table)
    lines: list[dict[str, Any]] = [{"noise": noise}]
    accuracy, seconds = trainings_of(table, DATASET, EPOCHS)
    middle, deviation = np.array([n["mean"] for n in noise]), np.array([n["deviation"] for n in noise])
    spread = np.interp(accuracy, middle, deviation)
    tests = table.values(DATASET, "test", table.full_epochs)
    for name in SEARCHERS:
        for noisy, rule in ((False, False), (True, False), (False, True), (True, True)):
            found, counts = [], []
            for seed in range(seeds):
                off = np.random.default_rng(seed).normal(0, spread) if noisy else 0.0
                cell, count = search(name, table, accuracy + off, seconds, seed, rule)
                found.append(float(tests[cell.choices]))
                counts.append(count)
            i = mean_interval(found)
            lines.append({
                "searcher": name, "noise of one training": noisy, "rule of January 2020": rule, "mean": i.mean,
                "deviation": i.deviation, "spread of the deviation": spread_of_deviation(found), "n": i.n,
                "below 93": int(sum(x < 93 for x in found)), "evaluations": float(np.mean(counts)),
            })  # fmt: skip
    return lines


def noise_by_accuracy(table: Table) -> list[dict[str, float]]:
    """By accuracy: the deviation, in points, of the mean of two trainings within classes of cells of one function."""
    accuracy = table.values(DATASET, "valid", EPOCHS).reshape(-1)
    several = [accuracy[group.places] for group in classes(table.space) if len(group.places) > 1]
    means = np.array([values.mean() for values in several])
    found = []
    for low, high in pairwise(BINS):
        inside = [several[k] for k in np.flatnonzero((means >= low) & (means < high))]
        if len(inside) >= FEWEST:
            squares = sum(float(((v - v.mean()) ** 2).sum()) for v in inside)
            degrees = sum(len(v) - 1 for v in inside)
            mean = float(np.mean([v.mean() for v in inside]))
            found.append({"mean": mean, "classes": len(inside), "deviation": (squares / degrees) ** 0.5})
    return found


def search(name: str, table: Table, accuracy: np.ndarray, seconds: np.ndarray, seed: int, rule: bool) -> Any:
    """(the incumbent, evaluations) of one search on these 12-epoch accuracies.

    rule: evaluations go on until the clock has passed the budget; evolution's first population is drawn unasked.
    """
    full = table.values(DATASET, "valid", table.full_epochs)
    objective = TableObjective(table.space, full, trainings=lambda epochs: (accuracy, seconds))
    kind: Any = SEARCHERS[name]
    searcher = kind(table.space, kind.Options(budget=BUDGET), Streams(seed))
    problem = without_cost(objective)
    unasked = searcher.options.population if rule and name == "regularised-evolution" else 0
    while True:
        trial = searcher._evaluated(problem, Proposal(searcher.propose(), EPOCHS))
        if not rule and trial.seconds > BUDGET:
            break
        searcher.trials.append(trial)
        searcher.observe(trial)
        if rule and trial.seconds > BUDGET and len(searcher.trials) >= unasked:
            break
    best = max(searcher.trials, key=lambda t: t.reward)
    return best.architecture, len(searcher.trials)


def spread_of_deviation(values: list[float]) -> list[float]:
    """The 95 % percentile interval of the deviation."""
    drawn = np.random.default_rng(0).choice(values, size=(2000, len(values)))
    low, high = np.quantile(drawn.std(axis=1, ddof=1), [0.025, 0.975])
    return [float(low), float(high)]
