"""Which of several sets of gates does worst on validation: measured in full, or raced on growing parts of it."""

import math
from collections.abc import Sequence
from typing import Literal, NamedTuple

import torch
from jaxtyping import Float, Int
from scipy.special import stdtrit
from torch import Tensor

from ..objective import Objective

Criterion = Literal["acc", "loss"]


class Compared(NamedTuple):
    """strength: float64 (C,), higher is worse for the network: minus its accuracy in percent, or its loss.

    images: validation images that were forwarded, an image as often as a set of gates saw it; 0 on a table.
    """

    strength: Float[Tensor, " C"]
    images: int


def distinct(gates: Float[Tensor, "*K P O"]) -> tuple[Float[Tensor, "N P O"], Int[Tensor, "*K"]]:
    """Each different set of gates once, and which of them every given one is.

    Masks that share their draws often give the same path: it has one figure, so it is measured once.
    """
    flat = gates.reshape(-1, gates.shape[-2] * gates.shape[-1])
    found, which = flat.unique(dim=0, return_inverse=True)
    if len(found) == len(flat):
        found, which = flat, torch.arange(len(flat))  # in the order given
    return found.reshape(-1, *gates.shape[-2:]), which.reshape(gates.shape[:-2])


def compare(objective: Objective, gates: Float[Tensor, "C K P O"], criterion: Criterion) -> Compared:
    """Every candidate on all of validation, each the mean over its K sets of gates."""
    paths, which = distinct(gates)
    repeated = len(paths) < which.numel()
    measured = objective.measure(paths if repeated else gates)
    strength = -measured.accuracy if criterion == "acc" else measured.loss
    strength = strength[which] if repeated else strength
    return Compared(strength.double().mean(1), len(paths) * measured.images)


def race(
    objective: Objective,
    gates: Float[Tensor, "C K P O"],
    criterion: Criterion,
    error: float,
    order: Sequence[int],
    seek: Literal["greatest", "least"] = "greatest",
) -> Compared:
    """Like `compare`, but a candidate that cannot be the sought one at the stated error is measured no further.

    Validation is taken in parts in the given order, which must be random. After each part every candidate is held
    against the leader by the differences d of the two on each image seen (n of N); it is dropped where

        mean(d) > t(n - 1; 1 - error / ((C - 1) L)) sd(d) / sqrt(n) sqrt(1 - n / N)

    in the leader's favour, L = parts - 1 looks: by Bonferroni's inequality the candidate that a full measurement would
    find is dropped with probability of at most `error`, as far as mean differences are normal. The last root is that
    of draws without replacement. The race ends when one is left, or after the last part, with what `compare` finds.
    The strength of a dropped candidate is over the images that it saw.
    """
    count, sign = len(gates), 1.0 if seek == "greatest" else -1.0
    chance = error / max((count - 1) * (len(order) - 1), 1)
    running, seen, images = list(range(count)), torch.zeros(count, 0, dtype=torch.float64), 0
    strength = torch.zeros(count, dtype=torch.float64)
    total = objective.validation_images
    for done, part in enumerate(order, 1):
        paths, which = distinct(gates[running])
        outcomes = objective.outcomes(paths, part)
        each = -100.0 * outcomes.correct if criterion == "acc" else outcomes.loss
        new = each.double()[which].mean(1)  # (running, images of the part)
        seen, images = torch.cat([seen, new], 1), images + len(paths) * new.shape[1]
        strength[running] = seen.mean(1)
        if not torch.isfinite(seen).all() or done == len(order):
            break
        kept = _in_the_race(sign * seen, chance, total)
        running, seen = [running[k] for k in kept], seen[kept]
        if len(running) == 1:
            break
    return Compared(_behind(strength, running, sign), images)


def _in_the_race(seen: Float[Tensor, "C n"], chance: float, total: int) -> list[int]:
    """The candidates whose mean may still be the greatest, given each one's figure on every image seen."""
    n = seen.shape[1]
    leader = int(seen.mean(1).argmax())
    ahead = seen[leader] - seen
    bound = float(stdtrit(n - 1, 1 - chance)) * ahead.std(1) / math.sqrt(n) * math.sqrt(max(1 - n / total, 0.0))
    return [k for k in range(len(seen)) if k == leader or not bool(ahead[k].mean() > bound[k])]


def _behind(strength: Tensor, running: list[int], sign: float) -> Tensor:
    """Strengths in which no dropped candidate, seen on fewer images, stands before or beside one that stayed."""
    limit = (sign * strength[running]).max()
    behind = torch.nextafter(limit, torch.tensor(-math.inf, dtype=limit.dtype))
    shown = torch.minimum(sign * strength, behind)
    shown[running] = sign * strength[running]
    return sign * shown
