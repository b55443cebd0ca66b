"""All that is the space `mbconv`: its description, its supernet and its networks."""

from ...moved import moved_names

__getattr__ = moved_names(__name__, ("spaces.mbconv.space",), say=True)
