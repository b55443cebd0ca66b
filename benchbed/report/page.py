"""The report as one HTML page that needs nothing else: pictures and style are in it, no request leaves it."""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from ..pipeline.record import Record
from . import crossed, datasets
from .checklist import OPEN, Item, short
from .collect import Collection
from .commands import Command
from .figures import Figure
from .groups import Group
from .hover import with_titles
from .inks import INKS, in_ink, swatch
from .looks import Looks
from .published import Published
from .tables import ACCURACY, NAMES, brief, caption, noise_line, printed
from .which import cell_of_published, table_of

if TYPE_CHECKING:
    import pandas as pd
    from markupsafe import Markup

CELL_WORDS = "Cell: the one whose figures equal the printed ones; how they came to be equal it does not say."
WIDE = ("ranks", "alpha")  # figures that take the whole width of the page
BODY = 1180  # pixels of the page on a common screen: what fits there is made to
READ = 0.73  # of its width on a wide page a picture has at least, so that its letters are read; then it is scrolled
METHOD, LETTER, PADDING = 290, 8.5, 20  # pixels at most: of the column of methods, of a letter, beside a text


class Part(NamedTuple):
    """All that the report says of one group. missing: controls; commands: by row's name; crossed: its
    tables of searchers by selectors."""

    group: Group
    table: "pd.DataFrame"
    figures: list[Figure]
    absent: list[str]
    missing: list[tuple[str, Command | None]]
    published: list[Published]
    commands: list[tuple[str, Command]]
    crossed: list[crossed.Table]


def page(
    found: Collection, parts: Sequence[Part], looks: Looks, items: Sequence[Item], own_command: str
) -> str:
    """The page's text. The same records give the same text."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("benchbed.report", "."), autoescape=True, undefined=StrictUndefined,
        trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
    return environment.get_template("page.html.j2").render(
        title=f"benchbed: {found.place.resolve().name}",
        lead=lead(found),
        problems=found.problems,
        sections=[_section(part, looks) for part in parts],
        inks=INKS,
        cue=cue,
        checklist=_by_part(items),
        provenance=_provenance(found.records),
        commands=[(name, command.line) for part in parts for name, command in part.commands],
        own_command=own_command,
        runs=found.records,
    )


def lead(found: Collection) -> str:
    """How much there is, and from when: of the records, so that a page does not change when it is made again."""
    days = sorted(r.finished[:10] for r in found.records if r.finished)
    when = f", {days[0]}" + (f" to {days[-1]}" if days[-1] != days[0] else "") if days else ""
    searches, seeds = len({r.search for r in found.records}), len({r.seed for r in found.records})
    said = f"{len(found.records)} runs on {searches} searches, {seeds} seeds{when}."
    if guessed := sum(r.surrogate is not None for r in found.records):
        some = "All" if guessed == len(found.records) else f"{guessed:,}"
        said += f" {some} of them are scored by a surrogate: their accuracies are predicted, not trained."
    return said


def _section(part: Part, looks: Looks) -> dict[str, Any]:
    columns, texts = printed(part.table)
    names = [k for k, column in enumerate(columns) if column.heading in NAMES]
    rest = [k for k in range(len(columns)) if k not in names]
    own = {row.name: swatch(looks.of_row(row)) for row in part.group.rows}
    rows = []
    for row, line in zip(part.table.to_dict("records"), texts, strict=True):
        cells = []
        for column, text in ((columns[k], line[k]) for k in rest):
            mark = "best" if row["best"] else "close" if row["not_worse"] else ""
            style = "figure" if column.figure else ""
            cells.append({"text": text, "style": style, "mark": mark if column.heading == ACCURACY else ""})
        rows.append({**_method(row, own), "cells": cells, "control": row["control"]})
    published = published_lines(part)
    return {
        "title": part.group.title,
        "slug": part.group.slug,
        "columns": [columns[k] for k in rest],
        "rows": rows,
        "caption": caption(part.group),
        "lines": [noise_line(part.group), *part.absent],
        "missing": part.missing,
        "beside": _beside(part, own),
        "least": wide([[columns[k].heading for k in rest], *([line[k] for k in rest] for line in texts)]) + METHOD,
        "published_least": wide([list(line.values()) for line in published]),
        "published": published,
        "published_cells": CELL_WORDS,
        "sources": sources(part.published),
        "figures": [_figure(figure) for figure in part.figures],
    }


def _beside(part: Part, swatches: Mapping[str, "Markup"]) -> list[dict[str, Any]]:
    """The tables that stand below a group's first one; a method's swatch stands before its name."""
    made = list(part.crossed)
    if across := datasets.rows(part.group):
        lines = [[crossed.Cell(text) for text in line] for line in across[1:]]
        made.append(crossed.Table("datasets", datasets.TITLE, datasets.caption(part.group), across[0], lines))
    return [
        {**table._asdict(), "swatches": [swatches.get(line[0].text, "") for line in table.lines],
         "least": wide([table.head[1:], *([cell.text for cell in line[1:]] for line in table.lines)]) + METHOD}
        for table in made
    ]  # fmt: skip


def cue(columns: int) -> str:
    """What stands above a table where the screen may be too narrow for it."""
    return f"{columns} columns: those that do not fit are reached by scrolling the table sideways."


def wide(lines: Sequence[Sequence[str]]) -> int:
    """How wide a table of these texts may be, in pixels, without the column of methods; rather more than less.

    lines: the headings first, which are broken at spaces.
    """
    if not lines:
        return 0
    head = [max(map(len, text.split()), default=0) for text in lines[0]]
    letters = [max(n, *(len(line[k]) for line in lines[1:])) for k, n in enumerate(head)]
    return sum(round(LETTER * n) + PADDING for n in letters)


def _method(row: Mapping[str, Any], swatches: Mapping[str, "Markup"]) -> dict[str, Any]:
    """Which method a row of the frame is, in one cell: a ceiling has no selector and no swatch."""
    name = f"{row['searcher']} x {row['selector']}" if row["selector"] else row["searcher"]
    whole = f"{name} ({row['settings']})" if row["settings"] else name
    return {"name": name, "settings": row["settings"], "swatch": swatches.get(whole, "")}


def letters(rows: Sequence[Published]) -> dict[str, str]:
    """A letter for each source, in the order of the rows."""
    return {source: chr(ord("a") + k) for k, source in enumerate(dict.fromkeys(row.source for row in rows))}


def sources(rows: Sequence[Published]) -> str:
    """Each source behind its letter."""
    return "; ".join(f"({letter}) {source}" for source, letter in letters(rows).items())


def published_lines(part: Part) -> list[dict[str, str]]:
    """The published figures in words, in the order of a table's columns; the source by letter."""
    table = table_of(part.group)
    cells = [cell_of_published(row, table, part.group.task) for row in part.published]
    return [_published(row, cell, part.published) for row, cell in zip(part.published, cells, strict=True)]


def _published(row: Published, cell: str, rows: Sequence[Published]) -> dict[str, str]:
    return {
        "method": row.method,
        "test": f"{row.test:.2f}" + ("" if row.deviation is None else f" ± {row.deviation:.2f}"),
        "valid": "" if row.valid is None else f"{row.valid:.2f}",
        "cell": cell,
        "seconds": "" if row.seconds is None else brief(row.seconds),
        "status": "published" if row.verified else "published, second-hand",
        "source": letters(rows)[row.source],
    }


def _figure(figure: Figure) -> dict[str, Any]:
    svg = with_titles(figure.svg.decode(), figure.hover) if figure.svg else ""
    return {
        "name": figure.name,
        "kind": figure.kind,
        "wide": figure.kind in WIDE,
        "caption": figure.caption,
        "svg": inline(svg, figure.name, figure.caption) if svg else "",
        "least": _least(_width(svg)) - 1,
        "text": figure.text,
        "swatches": [swatch(look) for look in figure.looks],
    }


def _width(svg: str) -> int:
    """Of a picture on the page at most, in pixels, a little larger than in a paper; 0 where it does not say."""
    wide = re.search(r'\bwidth="([\d.]+)pt"', svg)
    return round(float(wide[1]) * 4 / 3 * 1.15) if wide else 0


def _least(width: int) -> int:
    return min(round(READ * width), BODY)


def inline(svg: str, name: str, label: str) -> "Markup":
    """An SVG file's drawing as markup that several can stand of in one page: names in it are made its own.

    Its colours are the page's, so that they follow a dark scheme. It takes the width that there is, up to its own, and
    no less than its letters need; its metadata, which names addresses, is left out.
    """
    from markupsafe import Markup, escape

    most = _width(svg)
    body = svg[svg.index("<svg") :]
    body = re.sub(r"<metadata>.*?</metadata>", "", body, flags=re.S)
    body = re.sub(r'\bid="([^"]+)"', rf'id="{name}-\1"', body)
    body = re.sub(r"url\(#([^)]+)\)", rf"url(#{name}-\1)", body)
    body = re.sub(r'href="#([^"]+)"', rf'href="#{name}-\1"', body)
    body = re.sub(r'(<g id="[^"]*patch_\d+">\s*<path [^>]*style="fill: )#ffffff"', r'\1none"', body)  # the page's own
    body = re.sub(r'\s(?:width|height)="[\d.]+pt"', "", body, count=2)
    style = f"max-width:{most}px;min-width:{_least(most)}px" if most else ""
    role = "group" if '<g class="hover">' in body else "img"  # of an image nobody is read what is in it
    body = body.replace("<svg", f'<svg role="{role}" aria-label="{escape(label)}" style="{style}"', 1)
    return Markup(in_ink(body))


def _by_part(items: Sequence[Item]) -> list[tuple[str, list[dict[str, str]]]]:
    parts: dict[str, list[dict[str, str]]] = {}
    for item in items:
        style = "open" if item.answer == OPEN else item.answer
        parts.setdefault(item.part, []).append({**item._asdict(), "style": style})
    return list(parts.items())


def _provenance(records: Sequence[Record]) -> list[dict[str, Any]]:
    """How many runs were made with each commit, machine and set of versions."""
    counts = Counter((r.commit or "unknown", machine(r.machine), versions(r.versions)) for r in records)
    return [
        {"runs": count, "commit": short(commit), "machine": where, "versions": what}
        for (commit, where, what), count in counts.most_common()
    ]  # fmt: skip


def machine(facts: Mapping[str, Any]) -> str:
    if not facts:
        return "unknown"
    cores = f"{facts.get('cores')} cores, {facts.get('threads')} thread(s)"
    return f"{facts.get('processor')}, {cores}, {facts.get('device')}; {facts.get('system')}"


def versions(found: Mapping[str, str]) -> str:
    return ", ".join(f"{name} {value}" for name, value in found.items()) or "unknown"
