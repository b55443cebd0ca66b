"""Supernets that were trained elsewhere: their checkpoints by key names, or a module of the user's own."""
