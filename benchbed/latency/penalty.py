"""A cost in the loss and in the reward: the published regularisers, and a hard limit.

    add#linear   L = CE + lambda (E - T) / T
    mul#log      L = scale CE (ln E / ln T)^beta
    reward       R = accuracy (T / cost)^w, and 0 above the limit

E is the expected cost of the probabilities, T the target (ProxylessNAS, ICLR 2019, section 3.3, and its official code).
`mul#log` knows the unit: it needs E > 1 and T > 1 in it, and is refused before a run that could leave that range.
"""

import math
from typing import Any, Literal

import numpy as np
import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor

from ..cost import Cost, Problem, without_cost
from ..errors import BenchbedError
from ..objective import DecidedObjective, Objective
from ..selector import Selection
from ..space import Architecture, Space
from .costs import beyond
from .files import UNIT
from .load import load_cost


class CostOptions(BaseModel):
    """What counts as a cost, and how much. Figures are in the cost's unit: ms, or millions of MACs and parameters."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    table: str = Field(description="FILE, FILE:COLUMN, table:NAME:FIGURE, macs or params")
    target: float = Field(gt=0, description="T: what an architecture should cost")
    regulariser: Literal["add#linear", "mul#log"] = Field(
        "add#linear", description="how a gradient searcher's loss holds the cost (official default: mul#log)"
    )
    weight: float = Field(0.1, ge=0, description="lambda of add#linear (official: 0.1)")
    scale: float = Field(
        0.2, gt=0, description="factor of mul#log (official: 0.2); little else than its step under Adam"
    )
    exponent: float = Field(0.3, gt=0, description="beta of mul#log (official: 0.3)")
    reward_exponent: float = Field(0.1, ge=0, description="w of REINFORCE's reward (official: 0.1; MnasNet: 0.07)")
    limit: float | None = Field(
        None, gt=0, description="what no selected architecture may cost more than; none: no limit"
    )


class CostConfig(CostOptions):
    """The options, and the content of the table: what a search's identity is made of, wherever the file lies."""

    fingerprint: str

    def key(self) -> dict[str, object]:
        return self.model_dump(exclude={"table"})


def configured(config: CostConfig | None, space: Space, name: str) -> Cost | None:
    """The cost of a run's configuration, if it has one."""
    return None if config is None else load_cost(config.table, space, name)


def check_cost(cost: Cost | None, options: CostOptions | None) -> None:
    """Raises BenchbedError where no architecture meets the target or limit, or the regulariser is not defined."""
    if cost is None or options is None:
        return
    least = cost.least()
    for what, value in (("target", options.target), ("limit", options.limit)):
        if value is not None and value < least.value:
            raise beyond(value, cost, what)
    if options.regulariser == "mul#log":
        remedy = f"and mul#log takes a logarithm of it on {cost.name}: use cost.regulariser=add#linear"
        if options.target <= 1:
            raise BenchbedError(f"target of {options.target:g} {cost.unit} is not above 1 {cost.unit}, {remedy}")
        if least.value <= 1:
            raise BenchbedError(
                f"the least cost, {least.value:g} {cost.unit} of {least.architecture}, is not above 1, {remedy}"
            )


def penalised(loss: Tensor, expected: Tensor, options: CostOptions) -> Tensor:
    """The scalar loss with the expected cost in it; differentiable in both."""
    target = options.target
    if options.regulariser == "add#linear":
        return loss + options.weight * (expected - target) / target
    return options.scale * loss * (expected.log() / math.log(target)) ** options.exponent


def rewarded(accuracy: Tensor, costs: Tensor, options: CostOptions) -> Tensor:
    """float32 rewards (K,) of accuracies in percent (K,) and costs (K,)."""
    reward = accuracy.double() / 100 * (options.target / costs) ** options.reward_exponent
    if options.limit is not None:
        reward = torch.where(costs <= options.limit, reward, 0.0)
    return reward.float()


def with_cost(objective: Objective, cost: Cost | None, options: CostOptions | None) -> Problem:
    """The problem of the objective and a cost, or of the objective alone.

    Where rows are decided the cost sees them too: otherwise a searcher that trains on would pay for what is settled.
    """
    if cost is None or options is None:
        return without_cost(objective)
    overlays, base = [], objective
    while isinstance(base, DecidedObjective):
        overlays.append(base.decisions)
        base = base.base

    def of(gates: Tensor) -> Tensor:
        for decisions in overlays:
            gates = decisions.apply(gates)
        return cost.value(gates)

    return Problem(
        objective,
        lambda loss, p: penalised(loss, of(p), options),
        lambda accuracy, gates: rewarded(accuracy, of(gates), options),
    )


def within_limit(selection: Selection, p: Tensor, cost: Cost | None, options: CostOptions | None) -> Selection:
    """The selection, or where its architecture costs more than the limit, the most probable one that does not.

    p: (P, O), the searcher's probabilities; most probable is the greatest product of them, found exactly. The notes
    say what was replaced.
    """
    if cost is None or options is None or options.limit is None:
        return selection
    found = cost.of(selection.architecture)
    if found <= options.limit:
        return selection
    scores = np.log(p.double().clamp_min(torch.finfo(torch.float64).tiny).numpy())
    chosen = cost.best_within(scores, options.limit)
    notes = {"limit": options.limit, "over_the_limit": str(selection.architecture), "cost_of_that": found}
    return Selection(chosen, selection.scores, {**selection.notes, **notes})


def cost_figures(
    cost: Cost | None, options: CostOptions | None, chosen: Architecture, expected: float | None
) -> dict[str, Any]:
    """What a record says of the cost: `latency_ms` of the chosen architecture, and the figures under `cost`.

    expected: of the search's final probabilities; both are None where nothing, or no time, was counted.
    """
    if cost is None or options is None:
        return {"latency_ms": None, "cost": None}
    found = cost.of(chosen)
    figures = {"device": cost.name, "unit": cost.unit, "target": options.target, "limit": options.limit}
    figures |= {"expected": expected, "chosen": found, "least": cost.least().value, "greatest": cost.greatest().value}
    return {"latency_ms": found if cost.unit == UNIT else None, "cost": figures}
