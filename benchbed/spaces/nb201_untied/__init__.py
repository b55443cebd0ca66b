"""All that is the space `nb201-untied`: its description, its supernet and its networks."""

from ...moved import moved_names

__getattr__ = moved_names(__name__, ("spaces.nb201_untied.space",), say=True)
