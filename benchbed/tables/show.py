"""A table, or one cell of it, in words and as JSON facts; a table as a CSV file."""

import csv
import io
from pathlib import Path
from textwrap import wrap
from typing import Any

import numpy as np

from ..runtime.files import write_atomic
from ..runtime.reading import csv_cell
from ..space import Architecture
from .figures import Figure, figure_named
from .table import COSTS, Table


def facts(table: Table) -> dict[str, Any]:
    """The metadata, and for every figure what it covers: cells, runs a cell, per-seed names, the best cell."""
    figures = {}
    for figure in table.figures:
        best, counts = table.best(*figure), table.n_seeds(*figure)
        there = np.isfinite(table.values(*figure))
        figures[str(figure)] = {
            "cells": int(there.sum()),
            "cells_by_runs": None if counts is None else _histogram(counts[there]),
            "seeds": table.meta["seeds"].get(str(figure), []),
            "train_seconds": f"seconds/{figure}" in table.arrays,
            "best": {"accuracy": best.value, "architecture": str(best.architecture), "ties": best.ties},
        }
    return {
        "name": table.name,
        "space": table.meta["space"],
        "fingerprint": table.fingerprint,
        "whole": table.is_whole(),
        "official_index": table.order is not None,
        "figures": figures,
        "further": list(table.further_names),
        "single_trainings": 0 if table.trials is None else len(table.trials.places),  # cells that have them
        "costs": {kind: [d for d in table.datasets if f"{kind}/{d}" in table.arrays] for kind in COSTS},
        "splits": table.meta.get("splits"),  # where they are not the source's own: what stands for them
        **{key: table.meta.get(key) for key in ("units", "sources", "notes", "made", "date")},
        **{key: table.meta[key] for key in ("recipe", "task", "made_with", "quality") if key in table.meta},
    }


def text(table: Table) -> str:
    """The same for a reader, a line a figure."""
    known = facts(table)
    lines = [f"table {table.name} ({known['space']}), fingerprint {table.fingerprint[:16]}, {known['made']}", ""]
    lines.append(f"{'figure':<30}{'cells':>7}{'best':>9}  runs a cell")
    for name, figure in known["figures"].items():
        runs = figure["cells_by_runs"]
        said = "not recorded" if runs is None else ", ".join(f"{n}: {cells:,}" for n, cells in runs.items())
        seeds = f"  (seeds {', '.join(figure['seeds'])})" if figure["seeds"] else ""
        lines.append(f"{name:<30}{figure['cells']:>7,}{figure['best']['accuracy']:>9.4f}  {said}{seeds}")
    lines.append("")
    lines += [f"{kind:<9} {', '.join(datasets) or 'none'}" for kind, datasets in known["costs"].items()]
    seconds = [name for name, figure in known["figures"].items() if figure["train_seconds"]]
    lines.append(f"{'seconds':<9} {', '.join(seconds) or 'none'}")
    if further := known["further"]:
        lines += wrap(f"{'further':<9} {', '.join(further)}", 120, subsequent_indent=" " * 10, break_on_hyphens=False)
    cells = known["single_trainings"]
    lines.append(f"{'trainings':<9} {f'{cells:,} cells, each seed epoch by epoch' if cells else 'none'}")
    lines += [f"{split:<9} {meaning}" for split, meaning in (known["splits"] or {}).items()]
    lines += [f"source    {s['name']}: {s['kind']}" for s in known["sources"]]
    lines += [f"note      {note}" for note in known["notes"] or ()]
    if "images" in (task := known.get("task", {})):
        images = ", ".join(f"{count:,} {split}" for split, count in task["images"].items())
        lines.append(f"task      {task['name']}, images: {images}")
    if recipe := known.get("recipe"):
        lines.append("recipe    " + ", ".join(f"{key} {value}" for key, value in recipe.items()))
    if made_with := known.get("made_with"):
        lines += [f"made with {_conditions(entry)}" for entry in made_with]
    if kept := known.get("quality"):
        lines += ["", *kept["words"]]
    if not known["whole"]:
        lines.append("warning   the content does not have this fingerprint: the file was changed after it was made")
    return "\n".join(lines)


def _conditions(entry: dict[str, Any]) -> str:
    """The versions, commit and machine of a build's worker, in a line."""
    versions, machine = entry.get("versions", {}), entry.get("machine", {})
    words = [f"{name} {versions[name]}" for name in ("benchbed", "torch", "numpy", "python") if name in versions]
    words += [f"commit {str(entry['commit'])[:10]}"] if entry.get("commit") else []
    return ", ".join(words + ([str(machine["processor"])] if machine.get("processor") else []))


def cell_facts(table: Table, cell: Architecture) -> dict[str, Any]:
    """A cell's accuracy and rank by figure, and its neighbours' accuracies; None where the table has none.

    A neighbour that keeps another input of a node has the position that it keeps, and the one `in_place_of` which. Of a
    surrogate every one says whether its accuracies are predicted.
    """
    neighbours = []
    around = list(table.space.neighbours(cell))
    if table.predicts:  # all at once, which single ones then find done
        for f in table.figures:
            table.query([cell, *around], *f)
    for other in around:
        changes = [i for i, (a, b) in enumerate(zip(cell.choices, other.choices, strict=True)) if a != b]
        (i,) = (i for i in changes if other.choices[i] >= 0)
        position = table.space.positions[i]
        changed = {"position": position.name, "operation": position.operations[other.choices[i]]}
        for gone in changes:
            if gone != i:
                changed["in_place_of"] = table.space.positions[gone].name
        accuracies = {str(f): _accuracy(table, other, f) for f in table.figures}
        neighbours.append({**changed, "architecture": other.text, "accuracy": accuracies, **_marked(table, other)})
    figures = {}
    for f in table.figures:
        accuracy = _accuracy(table, cell, f)
        rank = None if accuracy is None else table.standing(cell, f).rank
        own = {"predicted": table.is_predicted(cell, f)} if table.predicts else {}
        figures[str(f)] = {"accuracy": accuracy, "rank": rank, **own}
    return {"name": table.name, "fingerprint": table.fingerprint, "figures": figures, "neighbours": neighbours}


def cell_text(table: Table, cell: Architecture) -> str:
    """The same for a reader: every figure with its rank, then a line a neighbour with the longest trainings."""
    known = cell_facts(table, cell)
    lines = [f"in table {table.name}{_of_surrogate(table)}:", ""]
    for figure in table.figures:
        value, rank, guess = (known["figures"][str(figure)].get(key) for key in ("accuracy", "rank", "predicted"))
        said = "" if rank is None else f"  rank {rank:,} of {table.standing(cell, figure).cells:,}"
        lines.append(f"{figure!s:<30}{_shown(value):>9}{said}" + ("  predicted, not trained" if guess else ""))
    last = max(f.epochs for f in table.figures)
    columns = [str(f) for f in table.figures if f.epochs == last and f.split in ("valid", "test")]
    width = max(len(o) for p in table.space.positions for o in p.operations) + 2
    first = max(6, *(len(p.name) for p in table.space.positions)) + 2
    lines += ["", f"{'neighbour':<{first + width}}" + "".join(f"{name:>{len(name) + 2}}" for name in columns)]
    there = known["neighbours"]
    if table.places.missing and not table.predicts:  # a list, which holds few of a cell's neighbours
        there = [other for other in there if any(value is not None for value in other["accuracy"].values())]
    for other in there:
        values = "".join(f"{_shown(other['accuracy'][name]):>{len(name) + 2}}" for name in columns)
        given_up = f"  in place of {other['in_place_of']}" if "in_place_of" in other else ""
        given_up = ("  predicted" if other.get("predicted") else "") + given_up
        lines.append(f"{other['position']:<{first}}{other['operation']:<{width}}{values}{given_up}")
    if absent := len(known["neighbours"]) - len(there):
        lines.append(f"{absent:,} of {len(known['neighbours']):,} neighbours have no figure in the table")
    return "\n".join(lines)


def _of_surrogate(table: Table) -> str:
    return f", a surrogate: what was not trained is {table.words}" if table.predicts else ""


def to_csv(table: Table, file: Path) -> int:
    """Writes column arch, the official index where there is one, a column a figure, and whatever else the table holds.

    The words of the columns are `from_csv`'s, which reads every number back exactly; missing is empty. Single
    trainings alone are left out. Rows are the cells that have a value at all, in the order of the official index where
    the table has one. Returns their number. Raises BenchbedError where the file cannot be written; then nothing is
    left behind.
    """
    columns = _columns(table)
    values = [array for name, array in columns if figure_named(name) or name in table.further_names]
    there: np.ndarray = np.isfinite(np.stack(values)).any(axis=0)
    order = np.arange(there.size) if table.order is None else table.order
    places = order[there[order]].tolist()
    fields = [[_field(value) for value in array[places].tolist()] for _, array in columns]
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(["arch", *(csv_cell(name) for name, _ in columns)])
    writer.writerows(zip((csv_cell(table.strings[place]) for place in places), *fields, strict=True))
    write_atomic(file, out.getvalue().encode())
    return len(places)


def _columns(table: Table) -> list[tuple[str, np.ndarray]]:
    """Every array of the table by its column's name, flattened."""
    found: list[tuple[str, np.ndarray]] = []
    if table.order is not None:
        found.append(("index", table._index_at))
    found += [(str(figure), table.values(*figure)) for figure in table.figures]
    for figure in table.figures:
        if f"count/{figure}" in table.arrays:
            runs = table._array(f"count/{figure}")
            found.append((f"{figure}_runs", np.where(runs > 0, runs.astype(object), np.nan)))  # stay whole numbers
        if f"seconds/{figure}" in table.arrays:
            found.append((f"{figure}_seconds", table.train_seconds(*figure)))
        if f"seeds/{figure}" in table.arrays:
            by_seed = np.moveaxis(table.seeds(*figure), -1, 0)
            found += [(f"{figure}_seed_{n}", a) for n, a in zip(table.seed_names(*figure), by_seed, strict=True)]
    for dataset in table.datasets:
        kinds = {"latency": f"{dataset}_gpu_latency_s", "params": f"{dataset}_params", "flops": f"{dataset}_flops"}
        found += [(name, table.cost(kind, dataset)) for kind, name in kinds.items()
                  if f"{kind}/{dataset}" in table.arrays]  # fmt: skip
    found += [(name, table.further(name)) for name in table.further_names]
    return [(name, array.reshape(-1)) for name, array in found]


def _marked(table: Table, cell: Architecture) -> dict[str, bool]:
    """Of a surrogate, whether a figure of the cell is predicted."""
    return {"predicted": any(table.is_predicted(cell, f) for f in table.figures)} if table.predicts else {}


def _accuracy(table: Table, cell: Architecture, figure: Figure) -> float | None:
    if table.predicts:
        return float(table.query(cell, *figure))
    place = table.places.of(cell)
    value = float(table.values(*figure).reshape(-1)[place]) if place >= 0 else np.nan
    return value if value == value else None


def _shown(value: float | None) -> str:
    return "-" if value is None else f"{value:.4f}"


def _field(value: float) -> str:
    return "" if value != value else repr(value)


def _histogram(counts: np.ndarray) -> dict[str, int]:
    """How many cells have how many runs."""
    return {str(n): int(cells) for n, cells in zip(*np.unique(counts, return_counts=True), strict=True)}
