"""Shapley values of operations, by sampled orders in which they leave a supernet.

The players are operations of positions (entries of a mask), v(S) is what the supernet is worth with the operations of
S alone. A player's Shapley value is the mean, over all orders in which the players may leave, of the fall of v as it
leaves (Shapley 1953). Xiao et al., "Shapley-NAS: Discovering Operation Contribution for Neural Architecture Search",
CVPR 2022, section 3.2, estimate it by M random orders, and stop an order once v is below a share of v(all): what has
not left by then counts as 0. Untruncated, the falls of every order add up to v(all) - v(none), and so do the values
(efficiency); the error of the mean falls as 1 / sqrt(M).
"""

from collections.abc import Callable, Sequence
from typing import Literal

import torch
from jaxtyping import Float
from pydantic import Field
from torch import Tensor

from ..errors import BenchbedError
from ..objective import Mask, Objective
from ..searcher import Options
from ..space import Space

Worth = Callable[[Tensor], Tensor]  # v: coalitions, bool (K, P, O), to what each is worth, (K,)
CHUNK = 8  # coalitions that are measured at once: what a truncated order measures in vain is at most one less


class Estimate(Options):
    """How Shapley values are estimated."""

    permutations: int = Field(10, ge=1, description="orders M in which the operations leave (official: 10)")
    truncation: float = Field(
        0.0, ge=0, lt=1, description="an order ends once v is below this share of v(all), 0: never (official: 0.5)"
    )
    estimate: Literal["mean", "lower"] = Field(
        "mean", description="mean over the orders; lower: less their standard deviation, as in the official code"
    )


def check_empty_rows(space: Space, objective: Objective | None) -> None:
    """Raises BenchbedError on a table of a space whose positions cannot be empty: what has left must leave nothing."""
    lacking = [p.name for p in space.positions if "none" not in p.operations]
    if lacking and objective is not None and "weights" not in objective.provides:
        raise BenchbedError(
            f"shapley removes operations until none is left, and a table of a space whose position '{lacking[0]}' has "
            "no operation 'none' knows no such network: take objective 'supernet'"
        )


def falls(worth: Worth, players: Mask, truncation: float, generator: torch.Generator) -> Float[Tensor, "P O"]:
    """By how much v fell as each player left, float64, in one order drawn from `generator`; 0 for what is no player."""
    columns, members = players.shape[1], players.flatten().nonzero().flatten()
    order = members[torch.randperm(len(members), generator=generator)]
    whole = before = float(worth(players[None])[0])
    found = torch.zeros(players.numel(), dtype=torch.float64)
    left = players.clone()
    for leaving in order.split(CHUNK):
        coalitions = left.repeat(len(leaving), 1, 1)
        for k, player in enumerate(leaving.tolist()):
            coalitions[k:, player // columns, player % columns] = False
        left = coalitions[-1]
        for player, after in zip(leaving.tolist(), worth(coalitions).tolist(), strict=True):
            found[player], before = before - after, after
            if after < truncation * whole:
                return found.view(players.shape)
    return found.view(players.shape)


def estimated(orders: Sequence[Float[Tensor, "P O"]], estimate: str) -> Float[Tensor, "P O"]:
    """The values from the falls of each order: their mean, or the mean less the deviation over the orders."""
    found = torch.stack(list(orders))
    mean = found.mean(0)
    return mean if estimate == "mean" else mean - found.std(0, correction=0)
