"""All that is the space `macro`: its description, its supernet and its networks."""

from ...moved import moved_names

__getattr__ = moved_names(__name__, ("spaces.macro.space",), say=True)
