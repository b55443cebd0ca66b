"""A position whose candidates are modules: the gated sum of those that flow, with the weights of this forward pass."""

from collections.abc import Iterable, Sequence

from torch import Tensor, nn
from torch.func import functional_call

from .mixed import Candidate, mixed
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
        running = [(run, gates[column], self._candidate(column, run)) for column, run in row]
        return mixed(x, running, lambda: self._zeros(x))

    def _candidate(self, column: int, run: Run) -> Candidate:
        module = self.candidates[column]
        return holding(module) if run is Run.ECHOED else module

    def _zeros(self, x: Tensor) -> Tensor:
        height, width = (-(-side // self.stride) for side in x.shape[2:])
        return x.new_zeros(len(x), self.channels, height, width)


def holding(module: nn.Module) -> Candidate:
    """The module with its weights of now: run later, it ignores what has been put in their place since."""
    weights: dict[str, Tensor] = dict(module.named_parameters())
    return lambda x: functional_call(module, weights, (x,))
