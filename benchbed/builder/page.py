"""The page of a built table: its quality, and pictures of what is in it."""

import warnings
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ..report.draw import draw_cell
from ..report.saving import empty_figure, save_figure
from ..runtime.files import one_line, write_atomic
from ..spaces.classes import CellClass
from ..tables.figures import Figure
from ..tables.table import Table
from .quality import Quality, by_class, quality, seeds_by_class, text, trained

if TYPE_CHECKING:
    from matplotlib.axes import Axes

SHOWN = 3  # best and worst cells that are drawn


def write_page(table: Table, reference: Table | None, file: Path, command: str) -> Quality:
    """Writes the Markdown page `file` and its pictures beside it (`NAME.svg`, `NAME-best-1.svg`, ...).

    Raises BenchbedError where the table was not built or a file cannot be written.
    """
    found = quality(table, reference)
    figure = Figure(found.dataset, "test", table.full_epochs)
    groups = trained(table, figure)
    own = by_class(table, groups, figure)
    with one_line(file.parent, "make"):
        file.parent.mkdir(parents=True, exist_ok=True)
    stem = file.stem
    _picture(table, reference, groups, own, figure, file.with_name(f"{stem}.svg"))
    order = np.argsort(-own, kind="stable")
    ends = {"best": order[:SHOWN], "worst": order[::-1][:SHOWN]}
    drawn = []
    for end, places in ends.items():
        for number, i in enumerate(places.tolist(), 1):
            name = f"{stem}-{end}-{number}.svg"
            draw_cell(table.space, groups[i].trained, file.with_name(name))
            cell = groups[i].trained.text.replace("|", "\\|")  # bars that are no ends of the table's fields
            drawn.append(f"| {end} {number} | {own[i]:.2f} | `{cell}` | ![cell]({name}) |")
    write_atomic(file, _page(table, reference, found, drawn, stem, command).encode())
    return found


def _page(table: Table, reference: Table | None, found: Quality, drawn: list[str], stem: str, command: str) -> str:
    recipe, task = table.meta["recipe"], table.meta["task"]
    made = table.meta["made_with"]
    commits = sorted({str(m.get("commit")) for m in made})
    processors = sorted({f"{m['machine']['processor']}, {m['machine']['device']}" for m in made})
    versions = sorted({f"torch {m['versions']['torch']}, numpy {m['versions']['numpy']}" for m in made})
    which = "every cell" if found.trained == found.whole else f"{found.trained:,} of {found.whole:,} classes of cells"
    images = ", ".join(f"{count:,} {split}" for split, count in task.get("images", {}).items())
    return "\n".join(
        [
            f"# {table.name}: a benchmark of {which} on {found.dataset}",
            "",
            f"Made by `{command}`, from the table of fingerprint `{table.fingerprint[:16]}`.",
            "",
            "```text",
            text(found, table.name, reference.name if reference else None),
            "```",
            "",
            *(f"- {note}." for note in table.meta["notes"]),
            f"- Task: {task['name']}, images: {images or 'not said'}; fingerprint `{task['fingerprint'][:16]}`.",
            f"- Recipe: {', '.join(f'{k} {v}' for k, v in recipe.items())}.",
            f"- Trained with {'; '.join(versions)} on {'; '.join(processors)}; at commit {', '.join(commits)}.",
            "",
            f"![distribution, seeds, reference, operations]({stem}.svg)",
            "",
            "| | test accuracy, % | cell | |",
            "|---|---|---|---|",
            *drawn,
            "",
        ]
    )


def _picture(
    table: Table, reference: Table | None, groups: list[CellClass], own: np.ndarray, figure: Figure, path: Path
) -> None:
    from matplotlib import rc_context

    with rc_context({"font.size": 8}):
        canvas = empty_figure(10, 7)
        panels = canvas.subplots(2, 2)
        panels[0, 0].hist(own, bins=60, color="#0072B2")
        panels[0, 0].set(xlabel="test accuracy of a class, %", ylabel="classes", title="distribution")
        _seeds(panels[0, 1], seeds_by_class(table, groups, figure), table.seed_names(*figure))
        _reference(panels[1, 0], reference, groups, own)
        _operations(panels[1, 1], table, figure)
        with one_line(path, "write"):
            save_figure(canvas, path, "svg", "table")


def _seeds(panel: "Axes", seeds: np.ndarray, names: tuple[str, ...]) -> None:
    panel.set_title("seed against seed")
    if seeds.shape[1] < 2:
        panel.text(0.5, 0.5, "one seed", ha="center")
        return
    panel.plot(seeds[:, 0], seeds[:, 1], ".", markersize=2, color="#0072B2", rasterized=True)
    panel.set(xlabel=f"test accuracy, seed {names[0]}, %", ylabel=f"seed {names[1]}, %")


def _reference(panel: "Axes", reference: Table | None, groups: list[CellClass], own: np.ndarray) -> None:
    panel.set_title("rank against the reference's")
    if reference is None:
        panel.text(0.5, 0.5, "no reference given", ha="center")
        return
    dataset = reference.datasets[0]
    other = by_class(reference, groups, Figure(dataset, "test", reference.full_epochs))
    there = np.isfinite(other)
    ranks = [np.argsort(np.argsort(-values[there])) + 1 for values in (other, own)]
    panel.plot(*ranks, ".", markersize=2, color="#0072B2", rasterized=True)
    panel.set(xlabel=f"rank in {reference.name} on {dataset} (1: best)", ylabel="rank here (1: best)")


def _operations(panel: "Axes", table: Table, figure: Figure) -> None:
    """The mean accuracy of the architectures that hold an operation at a position."""
    positions, values = table.space.positions, table.values(*figure)
    axes = range(len(positions))
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Mean of empty slice")  # a sample may lack an operation at a position
        means = [np.nanmean(values, axis=tuple(a for a in axes if a != i)) for i in axes]
    for k, name in enumerate(positions[0].operations):
        panel.plot(axes, [m[k] if k < len(m) else np.nan for m in means], "o-", markersize=4, label=name)
    panel.set_xticks(axes, [p.name for p in positions])
    panel.set(xlabel="edge", ylabel="mean test accuracy, %", title="operation by edge, over all cells")
    low, high = panel.get_ylim()
    panel.set_ylim(low, high + 0.2 * (high - low))  # room for the legend above the lines
    panel.legend(fontsize=7, ncols=3, loc="upper center")
