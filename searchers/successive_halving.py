"""Successive halving: of many architectures, trained a little, the better ones are trained longer. On a table.

Jamieson and Talwalkar, "Non-stochastic Best Arm Identification and Hyperparameter Optimization", AISTATS 2016, with
eta in place of 2, as in Li et al., JMLR 2018: `configurations` uniform draws on the lowest rung, on every further one
that number over eta, rounded down, at least one. When the highest is done it begins again, until the budget is spent.
Rungs, promotion and what a promotion costs are those of `hyperband`, whose bracket S this is.
"""

from pydantic import Field

from .hyperband import Hyperband
from .hyperband import Options as HyperbandOptions


class HalvingOptions(HyperbandOptions):
    """How many it begins with."""

    configurations: int | None = Field(
        None, ge=1, description="architectures on the lowest rung; none: so many that one is left on the highest"
    )


class SuccessiveHalving(Hyperband):
    """The same bracket again and again."""

    Options = HalvingOptions
    options: HalvingOptions

    def bracket(self) -> list[tuple[int, int]]:
        rungs, eta = self.options.rungs, self.options.eta
        n = self.options.configurations or eta ** (len(rungs) - 1)
        return [(max(n // eta**i, 1), epochs) for i, epochs in enumerate(rungs)]
