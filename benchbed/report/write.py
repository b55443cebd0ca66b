"""`report`: the records of a folder as tables, figures, a page and a document, all from one frame."""

import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ..runtime.files import one_line
from ..runtime.reading import LIMITS, csv_cell, read_bytes
from . import crossed, datasets
from .checklist import Item, checklist
from .collect import Collection, collect
from .commands import missing_controls, remake
from .figures import Figure, figures
from .groups import groups
from .latex import booktabs, in_latex, latex
from .looks import Looks
from .markdown import in_prose, markdown_table, write_files
from .page import CELL_WORDS, Part, lead, page, published_lines, sources
from .published import beside
from .tables import caption, frame, markdown, noise_line

if TYPE_CHECKING:
    import pandas as pd

FLOATS = 12  # figures that LaTeX may hold back at once; it has room for 18
LISTED = "files.txt"  # what the report consists of, so that the next one into the folder can remove what it lacks


class Report:
    """A report of one folder of runs, ready to be written; `parts` a group each."""

    def __init__(self, place: Path, out: Path, given: Path | None = None):
        """place: of the runs; out: where it will be written; given: what the user named, for the command.

        Raises BenchbedError where there is no finished run.
        """
        self.out = out
        self.found: Collection = collect(place)
        compared = groups(self.found.records)
        table = frame(compared, with_ceilings=True)
        self.frame = table
        self.parts = []
        self.looks = Looks(compared)
        for group in compared:
            drawn, absent = figures(group, self.found.histories, self.found.clocks, self.looks)
            configs = out / "configs"
            made = [(row.name, remake(group, row, place, configs)) for row in group.rows]
            missing = missing_controls(group, place, configs)
            rows = table[table["group"] == group.title]
            both = crossed.tables(group)
            self.parts.append(Part(group, rows, drawn, absent, missing, beside(group), made, both))
        self.items: list[Item] = checklist(self.found, compared)
        self.command = f"python -m benchbed report {shlex.quote(str(given or place))} --out {shlex.quote(str(out))}"

    def write(self) -> list[Path]:
        """Everything below `out`, each file whole or not at all; the paths of the four that begin it."""
        text: dict[str, str | bytes] = {
            "report.csv": csv_frame(self.frame).to_csv(index=False),
            "report.md": "\n".join(self.markdown()) + "\n",
            "report.tex": document(self.parts),
            "report.html": page(self.found, self.parts, self.looks, self.items, self.command),
        }
        tables: dict[str, str | bytes] = {}
        pictures: dict[str, str | bytes] = {}
        configs: dict[str, str | bytes] = {}
        for part in self.parts:
            slug = part.group.slug
            tables[f"{slug}.md"] = "\n".join(markdown(part.table)) + "\n"
            tables[f"{slug}.tex"] = latex(part.table, " ".join([caption(part.group), *_words(part)]), f"tab:{slug}")
            if every := datasets.latex(part.group):
                tables[f"{slug}-datasets.tex"] = every
            tables |= {f"{slug}-{one.name}.tex": crossed.latex(part.group, one) for one in part.crossed}
            if effects := crossed.csv(part.group):
                tables[f"{slug}-effects.csv"] = effects
            if part.published:
                tables[f"{slug}-published.tex"] = published_latex(part)
            pictures |= _files(part.figures)
            commands = [command for _, command in (*part.commands, *part.missing) if command is not None]
            configs |= {command.file: command.text for command in commands if command.file}
        folders = {"tables": tables, "figures": pictures, "configs": configs, "": text}
        for folder, files in folders.items():
            write_files(self.out / folder, files)
        _leave_only(self.out, [str(Path(folder) / name) for folder, files in folders.items() for name in files])
        return [self.out / name for name in text]

    def markdown(self) -> list[str]:
        """The page's words and tables; the figures as links to their files."""
        lines = [f"# {in_prose(self.found.place.resolve().name)}", "", lead(self.found), ""]
        if self.found.problems:
            lines += ["Not in this report, or odd:", "", *[f"- {in_prose(line)}" for line in self.found.problems], ""]
        for part in self.parts:
            title, below = in_prose(part.group.title), in_prose(caption(part.group))
            lines += [f"## {title}", "", *markdown(part.table), "", below, ""]
            lines += [f"- {in_prose(line)}" for line in (*_words(part), *part.absent)] + [""]
            lines += crossed.markdown(part.crossed) + datasets.markdown(part.group)
            for words, command in part.missing:
                add = f" Add it: `{command.line}`" if command else ""
                lines += [f"Control missing: {in_prose(words)}.{add}", ""]
            if part.published:
                lines += ["Published by others, not made by these runs:", "", *_published_markdown(part), ""]
            for figure in part.figures:
                picture = f"![{figure.kind}](figures/{figure.name}.svg)" if figure.svg else f"```\n{figure.text}\n```"
                lines += [picture, "", in_prose(figure.caption), ""]
        lines += ["## NAS best-practice checklist (Lindauer and Hutter, JMLR 2020)", ""]
        head = ["part", "item", "answer", "what the records say"]
        return lines + markdown_table(head, [list(item) for item in self.items])


def _leave_only(out: Path, written: Sequence[str]) -> None:
    """Removes what an earlier report into `out` wrote and this one did not: a picture of a group that is gone.

    Only what that report itself has listed goes, and only below `out`.
    """
    listed = out / LISTED
    with one_line(listed, "read"):
        text = read_bytes(listed, LIMITS.lines_bytes).decode(errors="replace") if listed.is_file() else ""
        before = text.replace("\0", "").splitlines()
    for name in sorted(set(before) - set(written)):
        old = out / name
        inside = old.resolve().is_relative_to(out.resolve())
        if inside and old.is_file():
            with one_line(old, "remove"):
                old.unlink(missing_ok=True)
    write_files(out, {LISTED: "".join(f"{name}\n" for name in sorted(written))})


def csv_frame(table: "pd.DataFrame") -> "pd.DataFrame":
    """The frame as a CSV file has it: no text that a spreadsheet would run as a formula, no name of a column either."""
    return table.map(csv_cell).rename(columns=csv_cell)


def _words(part: Part) -> list[str]:
    """What a table must say beside its figures: the noise floor, and which controls it lacks."""
    lacking = [f"Control missing: {words}." for words, _ in part.missing]
    return [noise_line(part.group), *lacking]


def _files(drawn: Sequence[Figure]) -> Mapping[str, bytes]:
    return {f"{f.name}.{kind}": data for f in drawn for kind, data in (("svg", f.svg), ("pdf", f.pdf)) if data}


PUBLISHED_HEAD = ["method", "test accuracy, %", "validation, %", "cell", "search, s", "status", "source"]


def _published_rows(part: Part) -> list[list[str]]:
    return [list(line.values()) for line in published_lines(part)]


def _published_markdown(part: Part) -> list[str]:
    return [*markdown_table(PUBLISHED_HEAD, _published_rows(part)), "", f"{sources(part.published)}. {CELL_WORDS}"]


def published_latex(part: Part) -> str:
    """The published figures as a booktabs table; the sources in its caption, by letter."""
    lines = [list(map(in_latex, line)) for line in _published_rows(part)]
    words = f"Published on {part.group.space}, {part.group.task}; not made by these runs. "
    words += f"{sources(part.published)}. {CELL_WORDS}"
    return booktabs(PUBLISHED_HEAD, lines, "lrrrrll", words, f"tab:{part.group.slug}-published")


def document(parts: Sequence[Part]) -> str:
    """A LaTeX document that takes in every table and figure; compiled in its own folder by pdflatex."""
    lines = [
        r"\documentclass[10pt,a4paper]{article}",
        r"\usepackage[margin=15mm]{geometry}",
        r"\usepackage{booktabs,graphicx}",
        r"\begin{document}",
    ]
    for part in parts:
        lines += [f"\\section*{{{in_latex(part.group.title)}}}", f"\\input{{tables/{part.group.slug}.tex}}"]
        lines += [f"\\input{{tables/{part.group.slug}-{table.name}.tex}}" for table in part.crossed]
        if datasets.across(part.group):
            lines.append(f"\\input{{tables/{part.group.slug}-datasets.tex}}")
        if part.published:
            lines.append(f"\\input{{tables/{part.group.slug}-published.tex}}")
        for number, figure in enumerate(figure for figure in part.figures if figure.pdf):
            if number % FLOATS == 0:
                lines.append(r"\clearpage")
            size = "width=\\linewidth,height=0.6\\textheight,keepaspectratio"
            lines += [
                "\\begin{figure}[htbp]\n\\centering",
                f"\\includegraphics[{size}]{{figures/{figure.name}.pdf}}",
                f"\\caption{{{in_latex(figure.caption)}}}\n\\end{{figure}}",
            ]
        lines.append(r"\clearpage")
    return "\n".join([*lines, r"\end{document}"]) + "\n"
