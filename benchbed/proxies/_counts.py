"""Parameters and FLOPs of a case's network: by its space's formula, or counted as it runs where there is none."""

from ..proxy import Case
from ..training.counted import counted


def count(case: Case, what: str) -> float:
    """what: 'params' or 'flops', multiply-accumulates of one image."""
    assert case.architecture is not None
    known = case.space.counts(case.architecture, case.shape, case.classes, channels=case.channels, cells=case.cells)
    if what not in known:
        known = counted(case.network(), case.shape, case.classes)
    return float(known[what])
