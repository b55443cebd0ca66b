"""SGAS: `darts+sgas` under its old name, with the options of both side by side.

Li et al., CVPR 2020; see the modifier `sgas`.
"""

from benchbed.modifier import Modified

from .darts import DARTS
from .darts import Options as DARTSOptions
from .modifiers.sgas import Decisions
from .modifiers.sgas import Options as DecisionOptions


class Options(DecisionOptions, DARTSOptions):
    """SGAS' criterion and schedule; Adam on alpha is DARTS'."""


class SGAS(Modified):
    """Greedy decisions between the epochs of a DARTS search."""

    Options = Options
    of = DARTS
    by = (("sgas", Decisions),)
