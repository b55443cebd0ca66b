"""Any searcher with any selector: a group's grid as a matrix, and what a selector or a modifier alone changes.

Random and constant cells, which no search changes, and methods that came from a file stand in the group's first table
only.
"""

import math
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from statistics import fmean
from typing import TYPE_CHECKING, NamedTuple

from ..pipeline.record import GIVEN
from ..runtime.reading import csv_cell
from ..stats.interval import Interval, mean_interval
from ..stats.paired import holm, least_p, permutation
from .groups import LEVEL, RESAMPLES, Group, Row, difference, own_settings
from .latex import PAGE, by_page, in_latex, in_parts, points, stacked
from .markdown import in_prose, in_words, markdown_table, p_in_words, with_deviation

if TYPE_CHECKING:
    import pandas as pd

BASE = "magnitude"  # what other selectors are measured against, where it is there
ALONE = ("random", "constant", GIVEN)  # selectors that take nothing from a search of ours
COLUMNS = ["kind", "searcher", "selector", "base", "pairs", "difference", "low", "high", "p"]  # of the frame
SELECTORS, OVERALL, MODIFIERS = KINDS = ("selector", "selector, mean of searchers", "modifier")


class Grid(NamedTuple):
    """searchers, selectors: their names, with the settings in which they differ from others of the same name."""

    searchers: list[str]
    selectors: list[str]
    rows: dict[tuple[str, str], Row]  # (searcher, selector); some pairs may be missing


class Effect(NamedTuple):
    """A difference in test accuracy, points, over the seeds that both have.

    kind: whether the selector alone differs, that of the mean over searchers, or a modifier. base: the selector or
    searcher that is taken away. p: of the paired permutation test, corrected after Holm for all effects of the kind;
    NaN where one seed is shared.
    """

    kind: str
    searcher: str
    selector: str
    base: str
    difference: Interval
    p: float = math.nan

    @property
    def shown(self) -> bool:
        return self.p <= LEVEL  # False for NaN


class Cell(NamedTuple):
    text: str
    strong: bool = False


class Table(NamedTuple):
    """A table beside a group's first one. name: of its file, behind the group's; head: as long as each line."""

    name: str
    title: str
    caption: str
    head: list[str]
    lines: list[list[Cell]]


def grid_of(group: Group) -> Grid:
    """Every pair of the group, those of ALONE left out."""
    taken = [row for row in group.rows if row.selector not in ALONE]
    searchers = _names(taken, lambda row: row.searcher, lambda key: not _of_selector(key))
    selectors = [""] * len(taken)
    for one in dict.fromkeys(searchers):  # options that a selector takes from its searcher tell no two columns apart
        places = [k for k, name in enumerate(searchers) if name == one]
        own = _names([taken[k] for k in places], lambda row: row.selector, _of_selector)
        for k, name in zip(places, own, strict=True):
            selectors[k] = name
    often = Counter(selectors)
    columns = sorted(often, key=lambda name: (name != BASE, -often[name], name))
    return Grid(sorted(set(searchers)), columns, dict(zip(zip(searchers, selectors, strict=True), taken, strict=True)))


def _of_selector(key: str) -> bool:
    return key.partition(".")[0] == "selector"


def _names(rows: Sequence[Row], name: Callable[[Row], str], wanted: Callable[[str], bool]) -> list[str]:
    """A name for each row: its own, and the wanted settings in which rows of that name differ."""
    own = [{key: x for key, x in own_settings(row.records[0]).items() if wanted(key)} for row in rows]
    alike = defaultdict(list)
    for row, one in zip(rows, own, strict=True):
        alike[name(row)].append(one)
    notes = [difference(one, alike[name(row)]) for row, one in zip(rows, own, strict=True)]
    return [name(row) + (f" ({note})" if note else "") for row, note in zip(rows, notes, strict=True)]


# -- effects -----------------------------------------------------------------------------------------------------------


def effects(grid: Grid) -> list[Effect]:
    """What each selector and each modifier changes, p corrected; searcher by searcher, and a selector over all."""
    found = [*_of_selectors(grid), *_of_modifiers(grid)]
    for kind in KINDS:
        tested = [k for k, one in enumerate(found) if one.kind == kind and not math.isnan(one.p)]
        for k, p in zip(tested, holm([found[k].p for k in tested]), strict=True):
            found[k] = found[k]._replace(p=p)
    return found


def _of_selectors(grid: Grid) -> Iterator[Effect]:
    if not grid.selectors:
        return
    base, *others = grid.selectors
    for selector in others:
        both = {one: (grid.rows.get((one, selector)), grid.rows.get((one, base))) for one in grid.searchers}
        pairs = {one: by_seed for one, rows in both.items() if (by_seed := _differences(*rows))}
        for one, by_seed in pairs.items():
            yield _effect(SELECTORS, one, selector, base, list(by_seed.values()))
        shared = set.intersection(*map(set, pairs.values())) if pairs else set()
        if len(pairs) > 1 and shared:
            means = [fmean(by_seed[seed] for by_seed in pairs.values()) for seed in sorted(shared)]
            yield _effect(OVERALL, f"mean of {len(pairs)} searchers", selector, base, means)


def _of_modifiers(grid: Grid) -> Iterator[Effect]:
    for one in grid.searchers:
        base = one.rpartition("+")[0]
        for selector in grid.selectors if base in grid.searchers else ():
            if by_seed := _differences(grid.rows.get((one, selector)), grid.rows.get((base, selector))):
                yield _effect(MODIFIERS, one, selector, base, list(by_seed.values()))


def _differences(row: Row | None, base: Row | None) -> dict[int, float]:
    """Test accuracy of the one minus the other's by shared seed, in the order of the seeds."""
    if row is None or base is None:
        return {}
    a, b = row.seeds, base.seeds
    return {seed: a[seed].test_accuracy - b[seed].test_accuracy for seed in sorted(a.keys() & b.keys())}


def _effect(kind: str, searcher: str, selector: str, base: str, differences: Sequence[float]) -> Effect:
    p = permutation(differences, RESAMPLES).p if len(differences) > 1 else math.nan
    return Effect(kind, searcher, selector, base, mean_interval(differences), p)


def frame(group: Group) -> "pd.DataFrame":
    """A row an effect, plain numbers: points, and NaN where one pair or equal ones leave nothing to say."""
    import pandas as pd

    rows = [(*e[:4], e.difference.n, e.difference.mean, e.difference.low, e.difference.high, e.p)
            for e in effects(grid_of(group))]  # fmt: skip
    return pd.DataFrame(rows, columns=COLUMNS)


def csv(group: Group) -> str:
    """The same as a file; empty where there is no effect."""
    found = frame(group)
    return "" if found.empty else found.map(csv_cell).to_csv(index=False)


# -- tables ------------------------------------------------------------------------------------------------------------


def tables(group: Group) -> list[Table]:
    """The matrix, the selectors' effects and the modifiers'; each where there is something to compare."""
    grid = grid_of(group)
    found = effects(grid)
    by_modifier = [e for e in found if e.kind == MODIFIERS]
    by_selector = [e for e in found if e.kind != MODIFIERS]
    made = []
    if len({e.searcher for e in by_selector if e.kind == SELECTORS}) > 1:
        made.append(_matrix(grid))
        base = grid.selectors[0]
        words = (
            f"Test accuracy by a selector minus that by {base}, of the same searcher, points: the mean over the seeds "
            "that both have with its 95 % t interval; the last line averages the searchers seed by seed."
        )
        made.append(_of_effects("selectors", f"What a selector changes, beside {base}", words, by_selector))
    if by_modifier:
        words = (
            "Test accuracy of a searcher with its last modifier minus that of the searcher without it, by the same "
            "selector, points: the mean over the seeds that both have with its 95 % t interval."
        )
        made.append(_of_effects("modifiers", "What a modifier changes", words, by_modifier))
    return made


def _matrix(grid: Grid) -> Table:
    lines, counts = [], set[int]()
    for searcher in grid.searchers:
        own = [grid.rows.get((searcher, selector)) for selector in grid.selectors]
        means = [row.accuracy.mean for row in own if row is not None]
        if len(means) < 2:  # nothing to choose between: the first table has it
            continue
        counts |= {row.accuracy.n for row in own if row is not None}
        best = max(means) if max(means) > min(means) else math.nan
        lines.append([Cell(searcher), *(_mean(row, best) for row in own)])
    many = f"{min(counts)}" if len(counts) == 1 else f"{min(counts)} to {max(counts)}"
    words = (
        f"Mean test accuracy, %, ± sample deviation over n = {many} seeds, by searcher and selector; bold: the best "
        "mean of a searcher, tested or not. Random and constant cells, which no search changes, are not repeated here."
    )
    return Table("grid", "Searchers by selectors", words, ["searcher", *grid.selectors], lines)


def _mean(row: Row | None, best: float) -> Cell:
    return Cell("-") if row is None else Cell(with_deviation(row.accuracy), row.accuracy.mean == best)


def _of_effects(name: str, title: str, words: str, found: Sequence[Effect]) -> Table:
    """A line a searcher, a column a selector."""
    columns = list(dict.fromkeys(e.selector for e in found))
    at = {(e.searcher, e.selector): e for e in found}
    searchers = sorted({(e.kind == OVERALL, e.searcher) for e in found})
    lines = [[Cell(one), *(_in_words(at.get((one, column))) for column in columns)] for _, one in searchers]
    return Table(name, title, f"{words} {_tests_in_words(found)}", ["searcher", *columns], lines)


def _tests_in_words(found: Sequence[Effect]) -> str:
    """Which test p is of, and whether it can show anything at all."""
    counted = Counter(e.kind == OVERALL for e in found if not math.isnan(e.p))
    if not counted:
        return "One seed is shared, which allows no test."
    words = f"p: two-sided paired permutation test, Holm's correction for {counted[False]} comparisons"
    words += f", and for the {counted[True]} of the last line apart" if counted[True] else ""
    words += f"; bold: at most {LEVEL:g}."
    pairs = max(e.difference.n for e in found if e.kind != OVERALL)
    least = counted[False] * least_p(pairs, RESAMPLES)
    if least > LEVEL:
        words += f" So many comparisons of {pairs} seeds give no p below {min(least, 1):.2g}, whatever differs."
    return words


def _in_words(effect: Effect | None) -> Cell:
    if effect is None:
        return Cell("-")
    text = in_words(effect.difference, signed=True)
    if math.isnan(effect.difference.low):  # one pair, or all of them equal: no test says more
        return Cell(text)
    return Cell(f"{text}, p {p_in_words(effect.p)}", effect.shown)


def markdown(made: Sequence[Table]) -> list[str]:
    """The tables with their words, below headings."""
    found = []
    for table in made:
        lines = [[f"**{cell.text}**" if cell.strong else cell.text for cell in line] for line in table.lines]
        title, below = in_prose(table.title), in_prose(table.caption)
        found += [f"### {title}", "", *markdown_table(table.head, lines), "", below, ""]
    return found


def latex(group: Group, table: Table) -> str:
    """A booktabs table; what a page has no room for, to the right or below, goes on in another one."""
    parts = []
    for columns in _pages(table):
        head = [stacked(table.head[k]) for k in columns]
        lines = [[_in_latex(line[k]) for k in columns] for line in table.lines]
        parts += [(head, some, "l" + "r" * (len(columns) - 1)) for some in by_page(lines)]
    return in_parts(parts, f"{group.title}. {table.caption}", f"tab:{group.slug}-{table.name}")


def _in_latex(cell: Cell) -> str:
    text = in_latex(cell.text)
    return rf"\textbf{{{text}}}" if cell.strong else text


def _pages(table: Table) -> list[list[int]]:
    """The places of the columns that fit a page together; the first, which names the searcher, on each."""
    wide = [points([name, *(line[k].text for line in table.lines)]) for k, name in enumerate(table.head)]
    found = [[0]]
    for k in range(1, len(wide)):
        if len(found[-1]) > 1 and sum(wide[j] for j in (*found[-1], k)) > PAGE:
            found.append([0])
        found[-1].append(k)
    return found
