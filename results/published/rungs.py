"""What might explain BOHB's printed figures: NAS-Bench-201's script gives it rungs and reads none of them.

`exps/algos/BOHB.py` of January 2020 (AutoDL-Projects bb2f405) runs HpBandSter's BOHB with budgets from 12 to 200 and
eta 3, that is 22.2, 66.7 and 200, and its worker's `compute(config, budget)` never looks at `budget`: every evaluation
reads one training of 12 epochs and pays for it, a promoted one again. Its shell script gives num_samples 4,
random_fraction 0 and the Python file min_bandwidth 0.3; bandwidth_factor 3, with which HpBandSter widens the kernel
that it draws candidates from, has no option here.
"""

from typing import Any

import numpy as np
from evolution import BUDGET, DATASET, EPOCHS, noise_by_accuracy, spread_of_deviation

from benchbed import registry
from benchbed.cost import without_cost
from benchbed.objectives.table import TableObjective, trainings_of
from benchbed.stats.interval import mean_interval
from benchbed.streams import Streams
from benchbed.tables import Table

AS_SCRIPT = {"lower": (22, 67), "samples": 4, "random_fraction": 0.0, "least_bandwidth": 0.3}

ROWS = (  # what an evaluation reads; whether the rungs are ignored; whether with the noise of one training
    ("the epochs of its rung, 12 or 200", False, False),
    ("12 epochs on every rung", True, False),
    ("12 epochs on every rung, one training of two", True, True),
)


def explanations(table: Table, seeds: int) -> list[dict[str, Any]]:
    """BOHB as it is told, with the script's rungs and options where each reads 12 epochs, and with its noise."""
    full = table.values(DATASET, "valid", table.full_epochs)
    kinds = [(dataset, split) for dataset in table.datasets for split in ("valid", "test")]
    truth = {f"{dataset} {split}": table.values(dataset, split, table.full_epochs) for dataset, split in kinds}
    short, seconds = trainings_of(table, DATASET, EPOCHS)
    noise = noise_by_accuracy(table)
    spread = np.interp(short, [n["mean"] for n in noise], [n["deviation"] for n in noise])
    lines = []
    for what, ignored, noisy in ROWS:
        cells, counts = [], []
        for seed in range(seeds):
            off = np.random.default_rng(seed).normal(0, spread) if noisy else 0.0

            def read(epochs: int, off: Any = off, ignored: bool = ignored) -> tuple[np.ndarray, np.ndarray]:
                return (short + off, seconds) if ignored else trainings_of(table, DATASET, epochs)

            objective = TableObjective(table.space, full, trainings=read)
            cell, count = search(objective, AS_SCRIPT if ignored else {}, seed)
            cells.append(cell.choices)
            counts.append(count)
        found = {name: [float(values[cell]) for cell in cells] for name, values in truth.items()}
        figures = {name: mean_interval(values)._asdict() for name, values in found.items()}
        spread_of = {name: spread_of_deviation(values) for name, values in found.items()}
        lines.append({"what": what, "evaluations": float(np.mean(counts)), "figures": figures,
                      "spread of the deviation": spread_of})  # fmt: skip
    return lines


def search(objective: TableObjective, options: dict[str, Any], seed: int) -> Any:
    """(the incumbent, evaluations) of one BOHB within the budget."""
    kind: Any = registry.load("searcher", "bohb")
    searcher = kind(objective.space, kind.Options(budget=BUDGET, **options), Streams(seed))
    problem = without_cost(objective)
    while (trial := searcher._evaluated(problem, searcher.propose())).seconds <= BUDGET:
        searcher.trials.append(trial)
        searcher.observe(trial)
    best = max(searcher.trials, key=lambda t: (t.fidelity, t.reward))
    return best.architecture, len(searcher.trials)
