"""All that is the space `nb201`: its description, its supernet and its networks."""

from ...moved import moved_names

__getattr__ = moved_names(__name__, ("spaces.nb201.space",), say=True)
