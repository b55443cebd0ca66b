"""Modules that the supernets and networks of several spaces are made of."""
