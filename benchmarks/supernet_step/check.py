"""Before anything is timed: both networks compute the same function, outputs and gradients.

The norm: ||ours - reference|| / ||reference||, Euclidean, over all logits, over the gradients of all weights taken as
one vector, and over the gate gradient. Three comparisons, at the weights of one initialisation:

- float64: at most 1e-10. It shows that both are the same function, ReLU and all.
- float32, every ReLU of both networks replaced by SiLU: at most 1e-5.
- float32 as timed: at most 1e-5 in the logits. Gradients are reported, not judged: where rounding carries a ReLU's
  input across zero, its derivative jumps, and the reference itself moves by up to about 1e-2 from float64.
"""

from contextlib import nullcontext
from typing import Any
from unittest.mock import patch

import torch
from reference import ReferenceSupernet, copy_weights, weight_pairs
from torch import Tensor
from torch.nn import functional as F

from benchbed.layers.plan import Plan
from benchbed.objectives.capture import gate_gradients, weight_gradients
from benchbed.spaces.nb201.supernet import NB201Supernet

QUANTITIES = ("logits", "weight gradient", "gate gradient")
LIMITS = {"float64": 1e-10, "float32, SiLU for ReLU": 1e-5, "float32": 1e-5}


def _smooth(x: Tensor, inplace: bool = False) -> Tensor:
    return F.silu(x)


def _quantities(ours: bool, size: dict[str, int], inputs: tuple[Tensor, Tensor, Tensor], plan: Plan) -> list[Tensor]:
    torch.manual_seed(0)
    reference, network = ReferenceSupernet(**size), NB201Supernet(**size)
    copy_weights(reference, network)
    chosen = (network if ours else reference).to(inputs[0].dtype).to(memory_format=torch.channels_last)
    pairs = weight_pairs(reference, network)  # of now: a conversion may make other parameters
    with torch.no_grad():
        logits = chosen(inputs[0], inputs[2], plan)
    weight_gradients(chosen, nullcontext, plan, inputs)
    weights = torch.cat([(b if ours else a).grad.flatten() for a, b in pairs])
    (gates,) = gate_gradients(chosen, nullcontext, plan, inputs)[1]
    return [logits, weights, gates]


def distances(
    size: dict[str, int], images: Tensor, labels: Tensor, gates: Tensor, plan: Plan
) -> dict[str, list[float]]:
    """Per comparison, the distance of each of `QUANTITIES`. size: channels, cells; images: float32 (n, 3, h, w)."""
    found: dict[str, list[float]] = {}
    for name in LIMITS:
        dtype = torch.float64 if name == "float64" else torch.float32
        inputs = (images.to(dtype).contiguous(memory_format=torch.channels_last), labels, gates.to(dtype))
        smooth: Any = patch.object(F, "relu", _smooth) if "SiLU" in name else nullcontext()
        with smooth:
            ours, reference = (_quantities(which, size, inputs, plan) for which in (True, False))
        found[name] = [float((a - b).norm() / b.norm()) for a, b in zip(ours, reference, strict=True)]
    return found


def failures(found: dict[str, list[float]]) -> list[str]:
    """One line per distance that is over its limit (or no number)."""
    judged = [(name, q, d) for name, row in found.items() for q, d in zip(QUANTITIES, row, strict=True)]
    return [
        f"{name}: {quantity} off by {distance:.1e}, {LIMITS[name]:.0e} is allowed"
        for name, quantity, distance in judged
        if (name != "float32" or quantity == "logits") and not distance <= LIMITS[name]
    ]
