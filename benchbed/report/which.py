"""Which cell of the table that scored: of rows that always end at one, of published figures; and what is the most."""

from ..errors import BenchbedError
from ..tables.inverse import whois
from ..tables.score import Ceiling, ceiling
from ..tables.table import Table
from .groups import Group, Row
from .published import Published


def table_of(group: Group) -> Table | None:
    """The table that scored the group, where it is here and still the same; else None, and columns stay empty."""
    if not group.by_table:
        return None
    said = group.records[0].config.get("table") or {}
    try:
        table = Table.open(said["name"])
        return table if table.fingerprint == said.get("fingerprint") else None
    except (BenchbedError, KeyError):
        return None


def cell_of(row: Row, table: Table | None) -> str:
    """The official index of the one architecture that all runs of the row chose, such as '#9930'; else ''."""
    chosen = {record.architecture for record in row.records}
    if table is None or table.order is None or len(chosen) > 1:
        return ""
    return f"#{table.index(*chosen)}"


def cell_of_published(row: Published, table: Table | None, dataset: str) -> str:
    """The cell whose figures the published ones equal, as they are printed; 'none', or how many have them.

    Only of figures without a deviation: a mean over several cells is nobody's.
    """
    if table is None or table.order is None or (row.deviation or 0) > 0:
        return ""
    asked = [f"{value:.2f}" for value in (row.valid, row.test) if value is not None]
    cells = [
        cell
        for cell in whois(table, asked).cells
        if all(f.dataset == dataset for f, _ in cell.figures) and cell.figures[-1][0].split == "test"
    ]
    if len(cells) == 1:
        return f"#{cells[0].number}"
    return f"{len(cells)} cells" if cells else "none"


def ceilings(group: Group, table: Table | None) -> list[Ceiling]:
    """One for each number of epochs by which searches of the group evaluated single architectures."""
    if table is None:
        return []
    asked = {record.config["searcher"]["options"].get("fidelity") or record.config.get("fidelity")
             for record in group.records if record.objective == "table"}  # fmt: skip
    known = table.epochs(group.task, "valid")
    return [ceiling(table, group.task, epochs) for epochs in sorted(e for e in asked if e in known)]
