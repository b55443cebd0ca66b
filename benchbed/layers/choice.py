"""A position whose candidates are modules: the gated sum of those that flow."""

from collections.abc import Iterable, Sequence

from torch import Tensor, nn

from .mixed import mixed, nothing
from .plan import Run

Row = Sequence[tuple[int, Run]]  # of a plan: (column, how) of each operation that runs


class Choice(nn.Module):
    """The candidates of one position, each with weights of its own: (n, c, h, w) to (n, channels, h/stride, w/stride).

    `forward(x, gates, row)`: the gated sum by scalar gates, one a column, of what the plan's row runs. Sizes round up.
    """

    def __init__(self, candidates: Iterable[nn.Module], channels: int, stride: int = 1):
        super().__init__()
        self.candidates = nn.ModuleList(candidates)
        self.channels, self.stride = channels, stride

    def forward(self, x: Tensor, gates: Sequence[Tensor], row: Row) -> Tensor:
        running = [(run, gates[column], self.candidates[column]) for column, run in row]
        return mixed(x, running, lambda: nothing(x, self.channels, self.stride))
