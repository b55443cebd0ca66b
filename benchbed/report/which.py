"""Which cell of the table that scored: of rows that always end at one, of published figures; and what is the most."""

import numpy as np

from ..errors import BenchbedError
from ..tables.inverse import equal_to, given_figure
from ..tables.score import Ceiling, ceiling
from ..tables.table import Table
from ..tables.trusted import trusted
from .groups import Group, Row
from .published import Published


def table_of(group: Group) -> Table | None:
    """The table that scored the group, where it is here and still the same; else None, and columns stay empty."""
    if not group.by_table:
        return None
    said = group.records[0].config.get("table") or {}
    try:
        table = trusted(said["name"], surrogates=True)
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
    there = np.ones(len(table.places), dtype=bool)
    for split, value in (("valid", row.valid), ("test", row.test)):
        if value is not None:
            asked = given_figure(f"{value:.2f}")
            there &= equal_to(asked, table.values(dataset, split, table.full_epochs).reshape(-1))
    places = np.flatnonzero(there)
    if len(places) == 1:
        return f"#{table.index(table.places.architecture(int(places[0])))}"
    return f"{len(places)} cells" if len(places) else "none"


def ceilings(group: Group, table: Table | None) -> list[Ceiling]:
    """One for each number of epochs by which searches of the group evaluated single architectures."""
    if table is None:
        return []
    asked = {record.config["searcher"]["options"].get("fidelity") or record.config.get("fidelity")
             for record in group.records if record.objective == "table"}  # fmt: skip
    known = table.epochs(group.task, "valid")
    return [ceiling(table, group.task, epochs) for epochs in sorted(e for e in asked if e in known)]
