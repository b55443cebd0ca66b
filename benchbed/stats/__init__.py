"""Intervals of a mean, paired tests, ranks, agreement of rankings, fronts."""
