"""Magnitude: the operation of greatest probability at each position.

The rule of DARTS (Liu et al., ICLR 2019, section 2.4) as NAS-Bench-201 uses it: argmax over all selectable
operations, `none` included on this space. Where a searcher has learned no preference at a position (all
probabilities equal, as random search's are) the operation is drawn at random, and the record says so.
"""

from benchbed.selector import Context, Selection, Selector, argmax_selection


class Magnitude(Selector):
    """argmax of the searcher's probabilities."""

    def step(self, context: Context) -> Selection:
        return argmax_selection(context, context.searcher.probabilities(), {})
