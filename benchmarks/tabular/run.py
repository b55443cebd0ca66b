"""How many evaluations a second a search on a table makes, beside Optuna's own loop without a table or a searcher.

    python benchmarks/tabular/run.py [--rounds 10 --evaluations 109] [--out FILE.json]

Each round makes one whole search of every searcher on NAS-Bench-201's space, on drawn accuracies (no data is needed),
each evaluation taking the same simulated time, so that all make equally many. 'look-up' is the objective's `evaluate`
alone, as often. 'optuna alone' is a study in memory with the same sampler and six categorical parameters that is asked
and told a constant: what Optuna itself takes. Processor seconds count, since other work may hold a core; every round
begins with another arm. The interval of a ratio is a 95 % bootstrap over rounds.
"""

import json
import sys
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import optuna
import torch

from benchbed import registry
from benchbed.cost import without_cost
from benchbed.modifier import Modified
from benchbed.objectives.table import TableObjective
from benchbed.runtime import machine
from benchbed.runtime.script import Parser, ended
from benchbed.searcher import Clock
from benchbed.spaces.nb201.space import NB201
from benchbed.streams import Streams

RESAMPLES = 10_000
SEARCHERS: dict[str, dict[str, Any]] = {  # with options beside the budget; rungs cost the same here
    "random-search": {}, "regularised-evolution": {}, "local-search": {}, "reinforce-search": {}, "optuna": {},
    "successive-halving": {"lower": [12], "fidelity": 200}, "hyperband": {"lower": [12], "fidelity": 200},
    "asha": {"lower": [12], "fidelity": 200}, "bohb": {"lower": [12], "fidelity": 200}, "npenas": {}, "bananas": {},
    "gp": {}, "random-search+proxy-warmup": {},
}  # fmt: skip
ARMS = ("look-up", *SEARCHERS, "optuna alone")
SECONDS = 100.0  # of every evaluation, simulated


def objective() -> TableObjective:
    """A table of drawn accuracies."""
    space, shape = NB201(), (5,) * 6
    accuracy = np.random.default_rng(0).uniform(20, 95, shape)
    return TableObjective(space, accuracy, trainings=lambda epochs: (accuracy, np.full(shape, SECONDS)))


def search(name: str, table: TableObjective, evaluations: int, seed: int) -> None:
    """One search of so many evaluations."""
    loaded = registry.load("searcher", name)
    searcher = loaded(table.space, loaded.Options(budget=SECONDS * evaluations, **SEARCHERS[name]), Streams(seed))
    searcher.arch_step(without_cost(table), None, Clock(0, 0, 1, 1))
    made = len((searcher.base if isinstance(searcher, Modified) else searcher).trials)
    if made != evaluations:
        raise RuntimeError(f"{name} made {made} evaluations, not {evaluations}")


def look_up(table: TableObjective, evaluations: int, seed: int) -> None:
    cell = table.space.random(np.random.default_rng(seed))
    for _ in range(evaluations):
        table.evaluate(cell, 12)


def optuna_alone(evaluations: int, seed: int) -> None:
    """The sampler's default loop on a constant."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(direction="maximize", sampler=optuna.samplers.TPESampler(seed=seed))
    space = {f"edge {i}": optuna.distributions.CategoricalDistribution(range(5)) for i in range(6)}
    for _ in range(evaluations):
        study.tell(study.ask(dict(space)), 1.0)


def arms(evaluations: int) -> dict[str, Callable[[int], None]]:
    """Name -> what one round of it does, given a seed."""
    table = objective()
    found: dict[str, Callable[[int], None]] = {"look-up": partial(look_up, table, evaluations)}
    found |= {name: partial(search, name, table, evaluations) for name in SEARCHERS}
    return found | {"optuna alone": partial(optuna_alone, evaluations)}


def timed(steps: dict[str, Callable[[int], None]], rounds: int) -> dict[str, list[float]]:
    """Processor seconds of every arm in every round; round r begins with arm r, and one before the first warms up."""
    names, seconds = list(steps), {name: [] for name in steps}  # type: dict[str, list[float]]
    for r in range(-1, rounds):
        for k in range(len(names)):
            name = names[(r + k) % len(names)]
            before = time.process_time()
            steps[name](r + 1)
            if r >= 0:
                seconds[name].append(time.process_time() - before)
    return seconds


def summary(seconds: dict[str, list[float]], evaluations: int) -> dict[str, dict[str, Any]]:
    """Evaluations a second, and the mean time over that of 'optuna alone' with its interval."""
    base = np.array(seconds["optuna alone"])
    chosen = np.random.default_rng(0).integers(len(base), size=(RESAMPLES, len(base)))
    found = {}
    for name, values in seconds.items():
        own = np.array(values)
        low, high = np.quantile(own[chosen].mean(1) / base[chosen].mean(1), [0.025, 0.975])
        found[name] = {
            "per_second": evaluations / float(own.mean()),
            "ratio": float(own.mean() / base.mean()),
            "interval": [float(low), float(high)],
        }
    return found


def main(arguments: list[str] | None = None) -> int:
    parser = Parser(__doc__)
    parser.counts(rounds=10, evaluations=109)
    options = parser.parse_args(arguments)
    if options.rounds < 2:
        parser.error(f"--rounds {options.rounds}: a spread needs at least 2")
    torch.set_num_threads(1)
    found = summary(timed(arms(options.evaluations), options.rounds), options.evaluations)
    for name, row in found.items():
        low, high = row["interval"]
        print(f"{name:22} {row['per_second']:10,.0f} a second   time over optuna alone {row['ratio']:.3f} "
              f"({low:.3f} to {high:.3f})")  # fmt: skip
    if options.out:
        given = {"rounds": options.rounds, "evaluations": options.evaluations}
        result = {"options": given, **machine.made_with(torch.device("cpu")), "arms": found}
        options.out.write_text(json.dumps(result, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(ended(main))
