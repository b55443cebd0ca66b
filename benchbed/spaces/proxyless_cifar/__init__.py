"""All that is the space `proxyless-cifar`: its description, its supernet and its networks."""

from ...moved import moved_names

__getattr__ = moved_names(__name__, ("spaces.proxyless_cifar.space",), say=True)
