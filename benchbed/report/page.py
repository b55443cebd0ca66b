"""The report as one HTML page that needs nothing else: pictures and style are in it, no request leaves it."""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from ..pipeline.record import Record
from . import datasets
from .checklist import OPEN, Item, short
from .collect import Collection
from .commands import Command
from .figures import Figure
from .groups import Group
from .published import Published
from .tables import ACCURACY, brief, caption, noise_line, printed
from .which import cell_of_published, table_of

if TYPE_CHECKING:
    import pandas as pd
    from markupsafe import Markup

CELL_WORDS = "Cell: the one whose figures equal the printed ones; how they came to be equal it does not say."
WIDE = ("ranks", "alpha")  # figures that take the whole width of the page


class Part(NamedTuple):
    """All that the report says of one group. missing: controls; commands: by row's name."""

    group: Group
    table: "pd.DataFrame"
    figures: list[Figure]
    absent: list[str]
    missing: list[tuple[str, Command | None]]
    published: list[Published]
    commands: list[tuple[str, Command]]


def page(found: Collection, parts: Sequence[Part], items: Sequence[Item], own_command: str) -> str:
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
        sections=[_section(part) for part in parts],
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
    return f"{len(found.records)} runs on {searches} searches, {seeds} seeds{when}."


def _section(part: Part) -> dict[str, Any]:
    columns, texts = printed(part.table)
    rows = []
    for row, line in zip(part.table.to_dict("records"), texts, strict=True):
        cells = []
        for column, text in zip(columns, line, strict=True):
            mark = "best" if row["best"] else "close" if row["not_worse"] else ""
            style = "figure" if column.figure else "wrap" if column.heading == "settings" else ""
            cells.append({"text": text, "style": style, "mark": mark if column.heading == ACCURACY else ""})
        rows.append({"cells": cells, "control": row["control"]})
    return {
        "title": part.group.title,
        "slug": part.group.slug,
        "columns": columns,
        "rows": rows,
        "caption": caption(part.group),
        "lines": [noise_line(part.group), *part.absent],
        "missing": part.missing,
        "datasets": datasets.rows(part.group),
        "published": published_lines(part),
        "published_cells": CELL_WORDS,
        "sources": sources(part.published),
        "figures": [_figure(figure) for figure in part.figures],
    }


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
    return {
        "name": figure.name,
        "kind": figure.kind,
        "wide": figure.kind in WIDE,
        "caption": figure.caption,
        "svg": inline(figure.svg.decode(), figure.name, figure.caption) if figure.svg else "",
        "text": figure.text,
    }


def inline(svg: str, name: str, label: str) -> "Markup":
    """An SVG file's drawing as markup that several can stand of in one page: names in it are made its own.

    It takes the width that there is, up to its own; its metadata, which names addresses, is left out.
    """
    from markupsafe import Markup, escape

    body = svg[svg.index("<svg") :]
    body = re.sub(r"<metadata>.*?</metadata>", "", body, flags=re.S)
    body = re.sub(r'\bid="([^"]+)"', rf'id="{name}-\1"', body)
    body = re.sub(r"url\(#([^)]+)\)", rf"url(#{name}-\1)", body)
    body = re.sub(r'href="#([^"]+)"', rf'href="#{name}-\1"', body)
    wide = re.search(r'\bwidth="([\d.]+)pt"', body)
    body = re.sub(r'\s(?:width|height)="[\d.]+pt"', "", body, count=2)
    most = f"max-width:{float(wide[1]) * 4 / 3 * 1.15:.0f}px" if wide else ""
    body = body.replace("<svg", f'<svg role="img" aria-label="{escape(label)}" style="{most}"', 1)
    return Markup(body)


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
