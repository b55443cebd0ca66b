"""The NAS-Bench-201 supernet with gates of its own for every cell: no motif is repeated."""

from ..nb201.space import EDGES
from ..nb201.supernet import NB201Supernet


class NB201UntiedSupernet(NB201Supernet):
    """`forward(images, gates, plan)`: logits for gates (6 * 3N, 5), cell by cell from the image on.

    At gates that are the same for every cell it is `NB201Supernet` with the same weights.
    """

    def rows(self, cell: int) -> slice:
        return slice(cell * len(EDGES), (cell + 1) * len(EDGES))
