"""SDARTS-ADV: `darts+sdarts-adv` under its old name, with the options of both side by side.

Chen and Hsieh, ICML 2020; see the modifier `sdarts-adv`.
"""

from benchbed.modifier import Modified

from .darts import DARTS
from .darts import Options as DARTSOptions
from .modifiers.sdarts_adv import Adversary
from .modifiers.sdarts_adv import Options as AdversaryOptions


class Options(AdversaryOptions, DARTSOptions):
    """DARTS' architecture step, how far the gates of a weight step may be from p, and the ascent's steps."""


class AdversarialDARTS(Modified):
    """DARTS with the worst gates within eps in its weight steps."""

    Options = Options
    of = DARTS
    by = (("sdarts-adv", Adversary),)
