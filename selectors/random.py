"""Random: an architecture drawn uniformly from the space. A control.

What a selector finds is worth its cost only above this.
"""

import numpy as np

from benchbed.selector import Context, Selection, Selector


class RandomChoice(Selector):
    """Ignores the search."""

    def step(self, context: Context) -> Selection:
        architecture = context.space.random(context.streams.numpy("selection"))
        return Selection(architecture, np.full(context.space.mask.shape, np.nan), {})
