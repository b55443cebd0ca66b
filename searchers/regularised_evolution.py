"""Regularised evolution: tournaments in a population whose oldest member dies. On a table.

Real et al., "Regularized Evolution for Image Classifier Architecture Search", AAAI 2019, algorithm 1. The population
begins with uniform draws. In each cycle `sample` members are drawn with replacement, as in the authors' code, the best
of them is changed in one decision, to a neighbour that is drawn uniformly, and the child takes the place of the oldest
member. The defaults, 10 and 3, are NATS-Bench's (its scripts' --ea_population and --ea_sample_size). On NAS-Bench-201 a
uniform neighbour is a uniform edge with another uniform operation.

NATS-Bench's code draws the first population whatever it costs and lets the last training overshoot the budget; here
both are held to it (`benchbed.black_box`).
"""

from pydantic import Field

from benchbed.black_box import BlackBoxOptions, BlackBoxSearcher, Trial
from benchbed.space import Architecture


class Options(BlackBoxOptions):
    """The two sizes."""

    population: int = Field(10, ge=1, description="members of the population (NATS-Bench: 10)")
    sample: int = Field(3, ge=1, description="members of a tournament, drawn with replacement (NATS-Bench: 3)")


class RegularisedEvolution(BlackBoxSearcher[Options]):
    """The child of a tournament's winner replaces the oldest member."""

    draws_uniformly = True

    @property
    def population(self) -> list[Trial]:
        """The members, oldest first: who came last, for each that came one left."""
        return self.trials[-self.options.population :]

    def propose(self) -> Architecture:
        rng, members = self.draws(), self.population
        if len(members) < self.options.population:
            return self.drawn(rng)
        tournament = [members[i] for i in rng.integers(len(members), size=self.options.sample)]
        parent = max(tournament, key=lambda trial: trial.reward)
        children = list(self.space.neighbours(parent.architecture))
        return children[rng.integers(len(children))] if children else parent.architecture
