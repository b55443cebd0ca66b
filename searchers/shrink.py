"""Shrink: `darts+shrink` under its old name.

A baseline of progressive shrinking by alpha; see the modifier `shrink`.
"""

from benchbed.modifier import Modified

from .darts import DARTS, Options
from .modifiers.shrink import Shrinking


class Shrink(Modified):
    """DARTS whose lowest alpha goes first; what is left at the end is the architecture."""

    Options = Options
    of = DARTS
    by = (("shrink", Shrinking),)
