"""One search, every data set of the table: the rows that papers on NAS-Bench-201 print, validation and test on each."""

from statistics import fmean, stdev
from typing import Literal

from .groups import Group
from .latex import in_latex
from .markdown import markdown_table

SPLITS: tuple[Literal["valid"], Literal["test"]] = ("valid", "test")
TITLE = "The same cells on every data set of the table"


def across(group: Group) -> list[str]:
    """The data sets that every record of the group has figures on; empty unless there are several."""
    every = [list(record.datasets or {}) for record in group.records]
    shared = [name for name in every[0] if all(name in names for names in every)]
    return shared if len(shared) > 1 else []


def rows(group: Group) -> list[list[str]]:
    """The headings, then method, number of seeds, and mean and sample deviation of each figure, a row a setting.

    Nothing for a group without several data sets.
    """
    if not (names := across(group)):
        return []
    lines = [["method", "n", *(f"{name} {split}" for name in names for split in SPLITS)]]
    for row in group.rows:
        texts = []
        for name in names:
            for split in SPLITS:
                values = [(record.datasets or {})[name][split] for record in row.records]
                spread = f" ± {stdev(values):.2f}" if len(values) > 1 else ""
                texts.append(f"{fmean(values):.2f}{spread}")
        lines.append([row.name, str(row.accuracy.n), *texts])
    return lines


def caption(group: Group) -> str:
    """What the figures are."""
    return (
        f"The same cells on every data set of the table, searched for on {group.task}: mean validation and test "
        "accuracy, %, ± sample deviation over seeds, after the full training."
    )


def markdown(group: Group) -> list[str]:
    """The table and its words; nothing for a group without several data sets."""
    if not (lines := rows(group)):
        return []
    return [*markdown_table(lines[0], lines[1:]), "", caption(group), ""]


def latex(group: Group) -> str:
    """A booktabs table with a pair of columns a data set; empty for a group without several data sets."""
    if not (names := across(group)):
        return ""
    over = " & ".join(f"\\multicolumn{{2}}{{c}}{{{in_latex(name)}}}" for name in names)
    rules = "".join(f"\\cmidrule(lr){{{3 + 2 * k}-{4 + 2 * k}}}" for k in range(len(names)))
    under = " & ".join(SPLITS * len(names))
    body = "\n".join(" & ".join(map(in_latex, line)) + r" \\" for line in rows(group)[1:])
    return (
        "\\begin{table}[htbp]\n\\centering\n"
        f"\\caption{{{in_latex(caption(group))}}}\n\\label{{tab:{group.slug}-datasets}}\n"
        f"\\footnotesize\\setlength{{\\tabcolsep}}{{4pt}}\n\\begin{{tabular}}{{lr{'rr' * len(names)}}}\n\\toprule\n"
        f"& & {over} \\\\\n{rules}\nmethod & n & {under} \\\\\n\\midrule\n{body}\n\\bottomrule\n"
        "\\end{tabular}\n\\end{table}\n"
    )
