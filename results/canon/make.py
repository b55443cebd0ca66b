"""The page of the canon: every searcher with weights by every selector, from the records of a sweep.

    python -m benchbed sweep examples/canon.toml --workers 2 --mixed --out RUNS
    python results/canon/make.py RUNS

Beside this file it writes README.md, which is page.md.in with the figures in, runs.jsonl, effects.csv, report.csv, the
tables as LaTeX and a critical-difference diagram a selector. A sweep that is not finished counts as far as every pair
has its seeds.
"""

import argparse
import io
from collections.abc import Sequence
from pathlib import Path
from statistics import fmean

import numpy as np

from benchbed.errors import BenchbedError
from benchbed.pipeline.record import Record
from benchbed.report import crossed
from benchbed.report.collect import collect
from benchbed.report.groups import CONSTANT, RANDOM_CELL, RANDOM_SEARCH, Group, Row, groups
from benchbed.report.latex import latex
from benchbed.report.markdown import in_words, json_lines, markdown_table
from benchbed.report.rank_diagram import critical_difference_figure
from benchbed.report.saving import save_figure
from benchbed.report.tables import caption, frame
from benchbed.stats.interval import mean_interval
from benchbed.stats.paired import permutation
from benchbed.stats.ranks import ranks

HERE = Path(__file__).resolve().parent
LEAST = 3  # seeds: two say nothing of a spread


def complete(place: Path) -> Group:
    """The sweep's group of the seeds that every row has. Raises BenchbedError where they are fewer than LEAST."""
    found = groups(collect(place).records)
    if len(found) > 1:
        raise BenchbedError(f"{place} holds {len(found)} groups of runs that cannot be compared: expected one sweep's")
    seeds = found[0].shared_seeds
    if len(seeds) < LEAST:
        raise BenchbedError(f"{place}: every pair has {len(seeds)} seed(s), and the page needs {LEAST}")
    (group,) = groups(record for record in found[0].records if record.seed in seeds)
    return group


def line(record: Record) -> dict[str, object]:
    """What is kept of a run."""
    return {
        "searcher": record.searcher, "selector": record.selector, "seed": record.seed,
        "architecture": record.architecture, "test_accuracy": record.test_accuracy,
        "valid_accuracy": record.valid_accuracy, "supernet_accuracy": record.supernet_accuracy, "rank": record.rank,
        "search_s": round(record.seconds["search"], 1), "selection_s": round(record.seconds["selection"], 1),
        "commit": record.commit,
    }  # fmt: skip


def cells(row: Row) -> tuple[str, ...]:
    return tuple(row.seeds[seed].architecture for seed in sorted(row.seeds))


def distinct(group: Group, grid: crossed.Grid, selector: str) -> dict[str, Row]:
    """By searcher the rows of a selector, without controls and without those that have a random cell's or an earlier
    searcher's cells in every seed, as a modifier that did nothing has."""
    known = {cells(row) for row in group.rows if row.control == RANDOM_CELL}
    found: dict[str, Row] = {}
    for searcher in grid.searchers:
        row = grid.rows[searcher, selector]
        if not row.control and cells(row) not in known:
            found[searcher] = row
            known.add(cells(row))
    return found


def beside_controls(group: Group, grid: crossed.Grid) -> list[str]:
    """By selector: the mean over searchers, seed by seed, minus each control; and how many searchers are above it."""
    controls = [row for row in group.rows if row.control in (CONSTANT, RANDOM_SEARCH)]
    rows = []
    for selector in grid.selectors:
        methods = list(distinct(group, grid, selector).values())
        rows.append([selector, str(len(methods)), *(text for one in controls for text in _minus(methods, one))])
    head = ["selector", "searchers"]
    for one in controls:
        head += [f"minus {one.control} ({one.accuracy.mean:.2f} %)", "p", "searchers above it"]
    return markdown_table(head, rows)


def _minus(methods: Sequence[Row], control: Row) -> list[str]:
    seeds, base = sorted(control.seeds), control.seeds
    each = [fmean(row.seeds[s].test_accuracy for row in methods) - base[s].test_accuracy for s in seeds]
    above = sum(row.accuracy.mean > control.accuracy.mean for row in methods)
    return [in_words(mean_interval(each), signed=True), f"{permutation(each).p:.3f}", f"{above} of {len(methods)}"]


def between_selectors(group: Group, grid: crossed.Grid) -> list[str]:
    """By pair of selectors: their difference in the mean over searchers of which both have a cell of their own, and
    that leave something to select."""
    base, rows = grid.selectors[0], []
    for selector in grid.selectors[1:]:
        one, other = distinct(group, grid, selector), distinct(group, grid, base)
        both = [name for name in one if name in other and cells(one[name]) != cells(other[name])]
        each = [fmean(one[name].seeds[s].test_accuracy - other[name].seeds[s].test_accuracy for name in both)
                for s in sorted(group.shared_seeds)]  # fmt: skip
        above = sum(one[name].accuracy.mean > other[name].accuracy.mean for name in both)
        words = in_words(mean_interval(each), signed=True)
        rows.append([f"{selector} minus {base}", str(len(both)), words, f"{permutation(each).p:.3f}",
                     f"{above} of {len(both)}"])  # fmt: skip
    return markdown_table(["", "searchers", "mean", "p", "searchers in which it is above"], rows)


def cost(grid: crossed.Grid) -> list[str]:
    """Seconds by searcher: of the search, and of each selector's selection, means over seeds."""
    rows = []
    for searcher in grid.searchers:
        own = {selector: grid.rows[searcher, selector].records for selector in grid.selectors}
        search = fmean(record.seconds["search"] for record in own[grid.selectors[0]])
        selections = [fmean(record.seconds["selection"] for record in records) for records in own.values()]
        rows.append([searcher, f"{search:.0f}", *(f"{seconds:.1f}" for seconds in selections)])
    return markdown_table(["searcher", "search, s", *(f"{one}, s" for one in grid.selectors)], rows)


def diagrams(grid: crossed.Grid, out: Path) -> list[str]:
    """A critical-difference diagram of the searchers for each selector; the page's lines."""
    lines = []
    for selector in grid.selectors:
        rows = [grid.rows[searcher, selector] for searcher in grid.searchers]
        scores = np.array([[row.seeds[s].test_accuracy for row in rows] for s in sorted(rows[0].seeds)])
        found, name = ranks(scores), f"ranks-{selector}.svg"
        picture = io.BytesIO()
        save_figure(critical_difference_figure(grid.searchers, found), picture, "svg", name)
        (out / name).write_bytes(picture.getvalue())
        words = f"Searchers by `{selector}`: mean ranks over {found.n} seeds, Friedman p = {found.p:.3g}."
        lines += [f"![critical-difference diagram by {selector}]({name})", "", words, ""]
    return lines


def write(group: Group, out: Path) -> None:
    """Every file of the page into the folder."""
    grid, beside = crossed.grid_of(group), crossed.tables(group)
    (out / "runs.jsonl").write_text(json_lines(line(record) for record in group.records))
    (out / "effects.csv").write_text(crossed.csv(group))
    table = frame([group])
    (out / "report.csv").write_text(table.to_csv(index=False))
    (out / "canon.tex").write_text(latex(table, caption(group), "tab:canon"))
    for one in beside:
        (out / f"{one.name}.tex").write_text(crossed.latex(group, one))
    commits = sorted({(record.commit or "unknown")[:10] for record in group.records})
    processors = sorted({str(record.machine.get("processor")) for record in group.records})
    hours = sum(record.seconds["selection"] for record in group.records) / 3600
    hours += sum({record.search: record.seconds["search"] for record in group.records}.values()) / 3600
    text = (HERE / "page.md.in").read_text()
    (out / "README.md").write_text(
        text.format(
            title=group.title, seeds=len(group.shared_seeds), runs=f"{len(group.records):,}", hours=f"{hours:.1f}",
            commits=", ".join(commits), processors=", ".join(processors), grid="\n".join(crossed.markdown(beside)),
            controls="\n".join(beside_controls(group, grid)), between="\n".join(between_selectors(group, grid)),
            diagrams="\n".join(diagrams(grid, out)),
            cost="\n".join(cost(grid)),
        )
    )  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("runs", type=Path, help="the sweep's folder")
    write(complete(parser.parse_args().runs), HERE)


if __name__ == "__main__":
    main()
