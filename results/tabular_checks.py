"""What moves the figures of results/tabular.md: other clocks, noisy evaluations, other details of evolution.

    python results/tabular_checks.py [--seeds 500]

On the real table (imported as nb201), CIFAR-10, the budget and options of `study tabular`. Nothing of it is an option:
it asks whether a difference from the published figures has the reason that one might think of.
"""

import argparse
from collections.abc import Callable

import numpy as np
import torch

from benchbed.objectives.table import TableObjective, trainings_of
from benchbed.searchers.regularised_evolution import RegularisedEvolution
from benchbed.space import Architecture
from benchbed.studies.tabular import parse_entry, scored, search
from benchbed.tables.table import Table

DATASET = "cifar10"
PASS, PASSES = 1.03, 1.3  # a cell's time with one validation pass, and with one an epoch
NOISE = 0.87  # points: half the difference of two 12-epoch trainings, root mean square over the three cells at hand
EDGES = np.array([1 / 3, 1 / 6, 1 / 6, 1 / 9, 1 / 9, 1 / 9])  # of a node drawn first and then one of its edges


def objective(table: Table, factor: float = 1.0, noise: float = 0.0, seed: int = 0) -> TableObjective:
    """Evaluations that take `factor` times as long and are off by Gaussian noise, fixed for a cell and a seed."""
    accuracy, seconds = trainings_of(table, DATASET, 12)
    off = np.random.default_rng(seed).normal(0, noise, accuracy.shape) if noise else 0.0
    full = table.values(DATASET, "valid", table.full_epochs)
    return TableObjective(table.space, full, trainings=lambda epochs: (accuracy + off, factor * seconds))


def without_replacement(self: RegularisedEvolution) -> Architecture:
    rng, members = self.draws(), self.population
    if len(members) < self.options.population:
        return self.space.random(rng)
    tournament = [members[i] for i in rng.choice(len(members), size=self.options.sample, replace=False)]
    children = list(self.space.neighbours(max(tournament, key=lambda trial: trial.reward).architecture))
    return children[rng.integers(len(children))]


def node_first(self: RegularisedEvolution) -> Architecture:
    """The published mutation: a uniform node, one of its edges, another operation."""
    rng, members = self.draws(), self.population
    if len(members) < self.options.population:
        return self.space.random(rng)
    tournament = [members[i] for i in rng.integers(len(members), size=self.options.sample)]
    choices = list(max(tournament, key=lambda trial: trial.reward).architecture.choices)
    i = int(rng.choice(6, p=EDGES))
    choices[i] = int(rng.choice([k for k in range(5) if k != choices[i]]))
    return self.space.architecture_of(tuple(choices))


def show(words: str, text: str, seeds: int, table: Table, factor: float = 1.0, noise: float = 0.0) -> None:
    """One line: the test accuracy over seeds, and the cells evaluated."""
    entry, shared, runs = parse_entry(text, {}), objective(table, factor), []
    for seed in range(seeds):
        on = objective(table, factor, noise, seed) if noise else shared
        runs.append(scored(table, DATASET, search(entry, on, seed)))
    tests = np.array([run.test for run in runs])
    cells = np.mean([run.evaluations for run in runs])
    print(f"| {text} | {words} | {tests.mean():.2f} ± {tests.std(ddof=1):.2f} | {(tests < 93).sum()} | {cells:.1f} |",
          flush=True)  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=500)
    seeds, table = parser.parse_args().seeds, Table.open("nb201")
    torch.set_num_threads(1)
    print("| searcher | with | test, % | below 93 | evaluations |\n|---|---|---|---|---|")
    for text in ("random-search", "regularised-evolution", "reinforce-search"):
        show("as it is", text, seeds, table)
        show("one validation pass, x1.03", text, seeds, table, PASS)
        show("a pass an epoch, x1.3", text, seeds, table, PASSES)
        show("noise of one training, 0.87", text, seeds, table, noise=NOISE)
    evolution, own = "regularised-evolution", RegularisedEvolution.propose
    show("sample 10", f"{evolution}:sample=10", seeds, table)
    changes: dict[str, Callable[[RegularisedEvolution], Architecture]] = {
        "a tournament without replacement": without_replacement,
        "a node first, then its edge": node_first,
    }
    for words, propose in changes.items():
        RegularisedEvolution.propose = propose  # type: ignore[method-assign]
        show(words, evolution, seeds, table)
    RegularisedEvolution.propose = own  # type: ignore[method-assign]


if __name__ == "__main__":
    main()
