"""Which operations run, decided on the CPU from the gates' values before the network is entered."""

from enum import IntEnum

import torch
from torch import Tensor


class Run(IntEnum):
    """How one operation of one position takes part in a forward pass."""

    UNIT = 0  # its gate is exactly 1 and nobody asks for its gradient: the output is taken as it is
    GATED = 1  # the output is multiplied by the gate
    PROBED = 2  # its gate is 0 but its gradient is asked for: run on a detached input, added with weight 0
    ECHOED = 3  # likewise, but run in the backward pass, which keeps nothing of it in between
    ONES = 4  # likewise, but not run at all: its gate gets the gradient of an operation that gives ones everywhere


Plan = tuple[tuple[tuple[int, Run], ...], ...]  # per position: (column, how), in column order


def plan(gates: Tensor, need: Tensor | None = None, probe: Run = Run.PROBED) -> Plan:
    """The plan for gates (P, O) when the gradient on the entries of `need` (bool (P, O)) is asked for.

    `probe` says how an operation runs whose gate is zero and whose gradient is needed. Probed or echoed, it passes no
    gradient to its input: its gate is zero, so that gradient is zero anyway. Second derivatives need it gated.
    """
    values = gates.detach().tolist()
    wanted = need.tolist() if need is not None else [[False] * len(row) for row in values]
    return tuple(
        tuple(
            (column, _how(value, want, probe))
            for column, (value, want) in enumerate(zip(row, wants, strict=True))
            if value != 0.0 or want
        )
        for row, wants in zip(values, wanted, strict=True)
    )


def _how(value: float, want: bool, probe: Run) -> Run:
    if value == 0.0:
        return probe
    return Run.UNIT if value == 1.0 and not want else Run.GATED


def full_plan(mask: Tensor) -> Plan:
    """The plan in which every operation of the mask (bool (P, O)) runs and is gated: the dense step."""
    return plan(torch.full(mask.shape, 0.5) * mask)
