"""Constant: the same operation at every position, 3x3 convolution unless told otherwise. A control.

On NAS-Bench-201 the all-3x3 cell is hard to beat, so every table shows it. Nodes that keep some of their inputs keep
those from the earliest sources.
"""

from typing import Any, ClassVar

import numpy as np
from pydantic import Field

from benchbed.errors import BenchbedError, unknown
from benchbed.objective import Objective
from benchbed.searcher import Options as PluginOptions
from benchbed.selector import Context, Selection, Selector
from benchbed.space import Space


class Options(PluginOptions):
    """Which operation."""

    operation: str = Field("nor_conv_3x3", description="the operation's name in the space")


class Constant(Selector[Options]):
    """The cell of one operation."""

    suite_options: ClassVar[dict[str, Any]] = {"operation": "c"}

    @classmethod
    def check(cls, options: Options, space: Space, objective: Objective | None) -> None:
        wanted = options.operation
        for position in space.positions:
            names = [name for name, allowed in zip(position.operations, position.selectable, strict=True) if allowed]
            if wanted not in names:
                refusal = unknown(f"operation at position '{position.name}'", wanted, names)
                raise BenchbedError(f"{refusal} (selector.operation)")

    def step(self, context: Context) -> Selection:
        self.check(self.options, context.space, context.objective)
        choices = tuple(position.operations.index(self.options.operation) for position in context.space.positions)
        kept = context.space.keep_strongest(choices, [0.0] * len(choices))  # all tie: the earliest sources
        architecture = context.space.architecture_of(kept)
        return Selection(architecture, np.full(context.space.mask.shape, np.nan), {})
