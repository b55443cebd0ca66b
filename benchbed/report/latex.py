"""The tables as booktabs LaTeX, for a paper."""

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from .tables import ACCURACY, Column, marked, printed

if TYPE_CHECKING:
    import pandas as pd

NARROW = {"settings": r"p{22mm}"}  # columns that break their lines
PAGE = 512  # points of a line of `write.document`: A4 with margins of 15 mm
LINES = 45  # of a table on such a page, beside a caption
SPARED = ("params, M", "median rank", "P(best better)", "cell", "mean regret", "FLOPs, M", "mean cost", "p", "control")
GAP = 3  # points on either side of a column: tight ones fit a dozen of them on a page


def latex(table: "pd.DataFrame", caption: str, label: str) -> str:
    """A booktabs table of one group's rows; the best bold, what is not significantly worse underlined.

    Columns that a page has no room for are left out, in the order of SPARED, and named in the caption; rows go on in
    another table.
    """
    columns, texts = printed(table)
    kept = list(range(len(columns)))
    spared = [k for name in SPARED for k in kept if columns[k].heading == name]
    left_out = []
    while spared and sum(_points(columns[k], [line[k] for line in texts]) for k in kept) > PAGE:
        left_out.append(spared.pop(0))
        kept.remove(left_out[-1])
    if left_out:
        names = ", ".join(columns[k].heading for k in sorted(left_out))
        caption += f" For want of room without: {names}; report.csv has all."
    lines = [[in_latex(line[k]) for k in kept] for line in texts]
    place = [columns[k].heading for k in kept].index(ACCURACY)
    for row, line in zip(table.to_dict("records"), lines, strict=True):
        line[place] = marked(row, line[place], r"\textbf{{{}}}", r"\underline{{{}}}")
    kinds = "".join("r" if columns[k].figure else NARROW.get(columns[k].heading, "l") for k in kept)
    head = [stacked(columns[k].heading) for k in kept]
    return in_parts([(head, some, kinds) for some in by_page(lines)], caption, label)


def stacked(heading: str) -> str:
    """A long heading of several words on two lines, the second not much longer than the first."""
    words = heading.split(" ")
    cuts = [k for k in range(1, len(words)) if len(" ".join(words[k:])) <= 0.65 * len(heading)]
    if len(heading) <= 10 or not cuts:
        return heading
    return "\n".join((" ".join(words[: cuts[0]]), " ".join(words[cuts[0] :])))


def _points(column: Column, texts: Sequence[str]) -> float:
    """How wide a column is in small letters of LaTeX, with the gaps beside it; rather more than less."""
    if column.heading in NARROW:
        return 2 * GAP + 62.6  # 22 mm
    return points([column.heading, *texts])


def points(texts: Sequence[str]) -> float:
    """How wide a column of these texts is, the heading first; rather more than less."""

    def wide(text: str) -> float:
        return sum(2.9 if x in "fijlrt.,:;|!()- " else 7.1 if x in "mw%#±<>=" or x.isupper() else 4.5 for x in text)

    return 2 * GAP + max(map(wide, (*texts[1:], *stacked(texts[0]).split("\n"))))


def by_page(lines: Sequence[list[str]]) -> list[Sequence[list[str]]]:
    """The lines in as many tables as it takes."""
    return [lines[k : k + LINES] for k in range(0, max(len(lines), 1), LINES)]


def in_parts(parts: Sequence[tuple[list[str], Sequence[list[str]], str]], caption: str, label: str) -> str:
    """A table of (heading, lines, kinds) that goes on in further ones, each of which says which part it is."""
    made = []
    for number, (head, lines, kinds) in enumerate(parts, 1):
        words = f"The same, part {number} of {len(parts)}." if number > 1 else caption
        own = label + (f"-{number}" if number > 1 else "")
        made.append(booktabs(head, lines, kinds, words, own, rf"\setlength{{\tabcolsep}}{{{GAP}pt}}"))
    return "\n".join(made)


def booktabs(
    head: Iterable[str], lines: Iterable[Sequence[str]], kinds: str, caption: str, label: str, more: str = ""
) -> str:
    """A table in small letters (packages booktabs and, for nothing else, none).

    head, caption: plain text, the lines of a heading one above the other. lines: LaTeX as it is; kinds: the columns',
    such as 'lrr'; more: LaTeX before the table begins.
    """
    rows = [" & ".join(line) + r" \\" for line in (list(map(_heading, head)), *lines)]
    return "\n".join(
        [r"\begin{table}[htbp]", r"\centering", f"\\caption{{{in_latex(caption)}}}", f"\\label{{{label}}}",
         rf"\footnotesize{more}", f"\\begin{{tabular}}{{{kinds}}}", r"\toprule", rows[0], r"\midrule", *rows[1:],
         r"\bottomrule", r"\end{tabular}", r"\end{table}", ""]
    )  # fmt: skip


def _heading(text: str) -> str:
    lines = [in_latex(line) for line in text.split("\n")]
    return lines[0] if len(lines) == 1 else r"\shortstack[r]{" + r"\\".join(lines) + "}"


_LATEX = {
    "\\": r"\textbackslash{}", "{": r"\{", "}": r"\}", "%": r"\%", "&": r"\&", "#": r"\#", "$": r"\$",
    "_": r"\_\allowbreak{}", "|": r"\textbar{}\allowbreak{}",  # an architecture's string may be broken there
    "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "±": r"$\pm$", "<": r"$<$", ">": r"$>$",
    "[": "{[}", "]": "{]}", "*": "{*}",  # after the end of a row they would be its options
}  # fmt: skip


def in_latex(text: str) -> str:
    """Text as LaTeX prints it, in any engine: what is no ASCII and not known here becomes a question mark."""
    return "".join(_LATEX.get(letter, letter if letter.isascii() else "?") for letter in text)
