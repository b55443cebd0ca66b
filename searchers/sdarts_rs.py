"""SDARTS-RS: `darts+sdarts-rs` under its old name, with the options of both side by side.

Chen and Hsieh, ICML 2020; see the modifier `sdarts-rs`.
"""

from benchbed.modifier import Modified

from .darts import DARTS
from .darts import Options as DARTSOptions
from .modifiers.sdarts_rs import Options as SmoothingOptions
from .modifiers.sdarts_rs import Smoothing


class Options(SmoothingOptions, DARTSOptions):
    """DARTS' architecture step, and how far the gates of a weight step may be from p."""


class SmoothDARTS(Modified):
    """DARTS with uniform noise on the gates of its weight steps."""

    Options = Options
    of = DARTS
    by = (("sdarts-rs", Smoothing),)
