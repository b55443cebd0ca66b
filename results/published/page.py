"""Published tables beside our own figures: results/published/published.md.

    python results/published/page.py

What is made again from tables alone comes first, from the files that `make.py` has written (see `again`). Then
the published figures are those of published.toml, with where each was read; not one of them was measured here. Our own
are named in published.json, an entry a cell:

    table, row, column   the cell of published.toml
    file, where, figure  the lines of a results file (.jsonl) and the number in each, a path such as "figures.test";
                         the cell shows their mean over seeds, with its interval where there are several
    protocol             "as published", or what differs
    page, by             where it is described, who measured
    machine, commit      only where the lines themselves do not say

A row without an entry says that it was not run yet. An entry that fits no cell or no line stops the command.
"""

import json
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import again
import predictors
import zero_cost

from benchbed.stats.interval import mean_interval

HERE = Path(__file__).resolve().parent
RESULTS = HERE.parent
READ = {
    "S": "the paper's double-blind submission",
    "F": "pictures of the paper's tables",
    "T": "second-hand",
    "C": "code or README",
    "U": "unverified: from memory",
}
MISSING = "not run yet"
MADE_AGAIN = "made again: see above"


def cell_of(entry: Mapping[str, Any], tables: Sequence[Mapping[str, Any]]) -> tuple[str, str]:
    """(table id, row) of an entry. Raises SystemExit where published.toml has no such cell."""
    for table in tables:
        if table["id"] == entry["table"]:
            if entry["column"] not in table["columns"] or entry["row"] not in [row[0] for row in table["rows"]]:
                break
            return entry["table"], entry["row"]
    raise SystemExit(f"published.json: no cell {entry['table']} / {entry['row']} / {entry['column']} in published.toml")


def figure(line: Mapping[str, Any], path: str) -> Any:
    """What a line holds at a path of keys with dots."""
    value: Any = line
    for key in path.split("."):
        value = value[key]
    return value


def lines_of(entry: Mapping[str, Any], folder: Path) -> list[dict[str, Any]]:
    """The lines of the entry's file that it means. Raises SystemExit where there is none, or one seed twice."""
    lines = [json.loads(text) for text in (folder / entry["file"]).read_text().splitlines()]
    found = [x for x in lines if all(figure(x, path) == value for path, value in entry["where"].items())]
    seeds = [x["seed"] for x in found]
    if not found or len(set(seeds)) < len(seeds):
        raise SystemExit(f"{entry['file']}: {len(found)} lines of {len(set(seeds))} seeds have {entry['where']}")
    return found


def measured(entry: Mapping[str, Any], folder: Path) -> str:
    """Our cell: the figure, how many seeds, what differs from the published protocol, and where it was measured."""
    lines = lines_of(entry, folder)
    i = mean_interval([float(figure(x, entry["figure"])) for x in lines])
    interval = f" ({i.low:.2f} to {i.high:.2f})" if i.n > 1 and i.low == i.low else ""
    machine = entry.get("machine") or _joined(f"{x['machine']['processor']}, {x['machine']['device']}" for x in lines)
    commit = entry.get("commit") or _joined(x["commit"][:7] for x in lines)
    seeds = "1 seed" if i.n == 1 else f"{i.n} seeds"
    return (
        f"{entry['column']}: **{i.mean:.2f}**{interval}, {seeds}; {entry['protocol']}; {entry['by']}, {machine}, "
        f"commit {commit} ([page](../{entry['page']}))"
    )


def _joined(words: Any) -> str:
    return " and ".join(dict.fromkeys(words))


def page(
    tables: Sequence[Mapping[str, Any]], entries: Sequence[Mapping[str, Any]], folder: Path, made: Path = HERE
) -> str:
    """The page, in Markdown. folder: of the entries' files; made: of what `make.py` has written."""
    ours: dict[tuple[str, str], list[str]] = {}
    for entry in entries:
        ours.setdefault(cell_of(entry, tables), []).append(measured(entry, folder))
    for line in again.lines_of(made / "searches.jsonl"):
        if (place := again.ROWS.get((line["paper"], line["searcher"]))) is not None:
            ours.setdefault(place, []).append(MADE_AGAIN)
    which = json.loads((made / "cells.json").read_text()) if (made / "cells.json").exists() else {}
    rows = sum(len(table["rows"]) for table in tables)
    text = [
        "# Published tables beside ours",
        "",
        "The figures of the DARTS-PT and ProxylessNAS papers, and of the tables that they are read beside. **None of "
        "the published figures was measured here**; *read in* says in what text their digits were "
        f"checked. Of {rows} rows {len(ours)} have a figure of ours, with what differs from the published protocol.",
        "",
        "Made by `python results/published/make.py`, which goes on where it was stopped; the page alone by `page.py`, "
        "from [published.toml](published.toml), [published.json](published.json) and the `.jsonl` files beside them. "
        "All of it took 21 minutes on two cores that other work shared, in one run; the authors' proxies, read from "
        "[authors-proxies.csv](authors-proxies.csv), about 4 s of one core a cell.",
        "",
        "## Made again from the benchmark's table alone",
        *again.searches(made, tables),
        "",
        "### Evolution's deviation on CIFAR-10 (0.30 is printed): what might explain it",
        *again.evolution(made),
        "",
        "### BOHB, whose figures are outside: what explains most of it",
        *again.rungs(made, tables),
        "",
        "### How what is cheap to know ranks with test accuracy after 200 epochs",
        *again.correlations(made),
        "",
        "### Zero-cost proxies: published scores against the benchmark's accuracies",
        *zero_cost.section(made, printed("correlation"), READ),
        "",
        "### Predictors: Kendall's tau-b by the number of trainings",
        *predictors.section(made, printed("predictor"), READ),
    ]
    for table in tables:
        text += ["", f"## {table['title']}", "", f"{table['source']}."]
        if "note" in table:
            text[-1] += f" {table['note']}"
        cell = which.get(table["id"], {})
        columns = [*table["columns"], "read in", *(["which cell"] if cell else []), "ours"]
        text += ["", f"| | {' | '.join(columns)} |", "|---" * (len(columns) + 1) + "|"]
        for name, *values in table["rows"]:
            read = READ[table.get("tags", {}).get(name, table["tag"])]
            own = "<br>".join(ours.get((table["id"], name), [MISSING]))
            text.append(f"| {' | '.join([name, *values, read, *([cell.get(name, '')] if cell else []), own])} |")
    if which:
        text += ["", "*Which cell*: the one of the benchmark whose figures equal all the printed ones, by its official "
                 "index; how they came to be equal it does not say."]  # fmt: skip
    return "\n".join(text) + "\n"


def printed(kind: str) -> list[dict[str, Any]]:
    """The entries of published.toml of a kind: table, correlation or predictor."""
    found: list[dict[str, Any]] = tomllib.loads((HERE / "published.toml").read_text())[kind]
    return found


def tables() -> list[dict[str, Any]]:
    return printed("table")


def write() -> None:
    """The page, beside this file."""
    entries = json.loads((HERE / "published.json").read_text())
    (HERE / "published.md").write_text(page(tables(), entries, RESULTS))
    print(f"written: {HERE / 'published.md'}")


if __name__ == "__main__":
    write()
