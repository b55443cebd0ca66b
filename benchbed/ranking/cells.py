"""Which architectures are scored: all of a space, so many drawn at random, or those of a file; each network once."""

from pathlib import Path

import numpy as np

from ..errors import BenchbedError
from ..space import Architecture, Space, counted
from ..spaces.classes import countable, grouped
from ..tables.csv_reader import Sheet
from ..tables.notations import KEYS, native
from ..tables.places import Grid, is_grid
from ..typed import whole_number

TRIES = 100  # draws for each architecture that is still wanted, where a space is too large to be numbered
_DRAW = 26  # seeds the draw of the architectures, the same for every run: more of them hold those that fewer held


def members(space: Space, text: str | None) -> list[Architecture]:
    """The architectures that `--cells` asks for, each once: None all, N so many at random, FILE.csv those of a file.

    Raises BenchbedError for a space too large to be scored whole, and for a file or a number that it has not.
    """
    if text is not None and text.endswith(".csv"):
        return of_file(space, Path(text))
    grid = Grid(space) if is_grid(space) else None
    whole = space.size() if grid is None else len(grid)
    count = whole if text is None else whole_number(text)
    if text is None and grid is None:
        raise BenchbedError(f"the space has {counted(whole)} architectures: give --cells N, so many drawn at random")
    if count is None or count < 1 or (count > whole):
        raise BenchbedError(
            f"--cells '{text}': expected a number from 1 to {counted(whole)}, or a file that ends in .csv"
        )
    rng = np.random.default_rng(_DRAW)
    if grid is not None:
        return [grid.architecture(int(place)) for place in rng.permutation(whole)[:count]]
    drawn: dict[Architecture, None] = {}
    for _ in range(TRIES * count):
        drawn.setdefault(space.random(rng))
        if len(drawn) == count:
            return list(drawn)
    raise BenchbedError(f"--cells {count}: {TRIES * count:,} draws gave {len(drawn):,} architectures")


def of_file(space: Space, path: Path) -> list[Architecture]:
    """Those of a CSV file's column `arch`, in any notation that `table import` reads, each once."""
    sheet = Sheet(path)
    return list(dict.fromkeys(architectures(space, sheet)))


def architectures(space: Space, sheet: Sheet) -> list[Architecture]:
    """A row each. Raises BenchbedError that names the line for one that the space has not."""
    key = next((name for name in KEYS if name in sheet.header), KEYS[0])  # the last is refused: no such column
    found = []
    for row, text in enumerate(sheet.text(key)):
        try:
            found.append(space.parse(native(text, space)))
        except BenchbedError as error:
            raise BenchbedError(f"{sheet.where(row)}: {error}") from None
    return found


def stand_ins(space: Space, cells: list[Architecture]) -> list[Architecture]:
    """For each the architecture that is scored in its place: of those that are its network the lightest.

    A space of over `MOST` architectures is not looked through: there each stands for itself.
    """
    if not countable(space):
        return cells
    lightest = {form: group.cells[0] for form, group in grouped(space, space.network_form).items()}
    return [lightest[space.network_form(cell)] for cell in cells]
