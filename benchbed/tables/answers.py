"""What a table says of one of its cells."""

from typing import NamedTuple

from ..space import Architecture


class Best(NamedTuple):
    """The highest value of a figure, and how many cells share it; `architecture` comes first in the table's order."""

    architecture: Architecture
    value: float
    ties: int


class Answer(NamedTuple):
    """One cell's figure. `n_seeds` is None where the source does not say how many runs the mean is of.

    `spread` is the sample standard deviation of `seeds` in points, None for fewer than two. Where `note` is not
    empty, it says why the seeds' mean differs from `mean`, or by whom the figure is predicted. `predicted`: nothing was
    trained, and `deviation` is how sure the predictor is, in points, None where it does not say.
    """

    mean: float
    n_seeds: int | None
    spread: float | None
    seeds: dict[str, float]
    note: str
    predicted: bool = False
    deviation: float | None = None


class Standing(NamedTuple):
    """Where a cell stands: 1 + the number of cells that are strictly better, of `cells`, and the best one's value."""

    rank: int
    cells: int
    best: float
