"""Experiment trackers: each file is one, behind an extra of the same name."""
