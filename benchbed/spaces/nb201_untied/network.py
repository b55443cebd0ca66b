"""The NAS-Bench-201 network in which every one of the 3N cells is its own."""

from ...errors import BenchbedError
from ..nb201.network import EDGES, NONE, POOL, NB201Network


class NB201UntiedNetwork(NB201Network):
    """Images to logits as `NB201Network`; `choices` are six numbers a cell, cell by cell from the image on."""

    def cells(self, choices: tuple[int, ...], count: int) -> list[tuple[int, ...]]:
        if len(choices) != count * len(EDGES) or not all(NONE <= op <= POOL for op in choices):
            raise BenchbedError(
                f"{len(choices)} choices name no {count} NAS-Bench-201 cells: six numbers from 0 to 4 each"
            )
        return [choices[i : i + len(EDGES)] for i in range(0, len(choices), len(EDGES))]
