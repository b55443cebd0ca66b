"""Perturb's schedule, but each decision by alpha's magnitude: PT-Mag, the control of perturbation's tuning.

Wang et al., ICLR 2021 (DARTS-PT), section 5: positions are decided one at a time and the supernet is tuned in between,
as `perturb` does, but the operation that is kept is the one of greatest probability at that moment. What it gains over
`magnitude` is due to the tuning, what `perturb` gains over it to the criterion. A node keeps the inputs whose operation
had the greatest probability when it was decided, ties to the earlier: from then on a decided row's alpha has no
gradient and only decays. Where all probabilities of a position are equal the operation is drawn at random, and noted.
"""

from typing import Any, ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor

from benchbed.objective import Decisions
from benchbed.selection.progressive import Inputs, Progressive, ProgressiveOptions
from benchbed.selector import Context


class Options(ProgressiveOptions):
    """The schedule of `perturb`. Defaults: `recommended`."""

    order: Literal["random", "forward", "backward"] = Field(
        "random", description="the positions' and nodes' order (official: random)"
    )


class PerturbMagnitude(Progressive[Options]):
    """Progressive decisions by magnitude."""

    presets: ClassVar[dict[str, Any]] = {
        "official": {
            "interval": 5, "order": "random", "tune_lr_factor": 0.1, "tune_alpha": True, "schedule": "official"
        },
        "recommended": {
            "interval": 5, "order": "random", "tune_lr_factor": 0.1, "tune_alpha": True, "schedule": "even"
        },
    }  # fmt: skip

    def decide_operation(self, context: Context, decisions: Decisions, position: int) -> tuple[int, Tensor]:
        """The selectable operation of greatest gate, ties to the lowest index."""
        p = context.searcher.probabilities()[position] * context.searcher.strength()[position]
        columns = context.selectable[position].nonzero().flatten().tolist()
        scores = torch.full_like(p, torch.nan)
        scores[columns] = p[columns]
        values = p[columns].tolist()
        if len(values) > 1 and max(values) == min(values) and position not in context.dropped:
            drawn = int(torch.randint(len(columns), (1,), generator=context.streams.generator("selection")))
            self.notes.setdefault("drawn_at_random", []).append(context.space.positions[position].name)
            return columns[drawn], scores
        return columns[values.index(max(values))], scores

    def decide_inputs(self, context: Context, decisions: Decisions, node: int) -> Inputs:
        """The inputs of greatest gate, as it was when their operations were decided."""
        assert self.scores is not None
        rule = context.space.nodes[node]
        strength = [float(self.scores[i, self.choices[i]]) for i in rule.incoming]
        ranked = sorted(range(len(strength)), key=lambda k: -strength[k])  # stable: ties stay by source
        dropped = tuple(sorted(rule.incoming[k] for k in ranked[rule.keep :]))
        return Inputs(dropped, tuple(strength))
