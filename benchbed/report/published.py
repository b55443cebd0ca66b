"""Published figures beside ours: only those of the same space and data set, each with its source and how sure it is."""

from importlib.resources import files
from typing import NamedTuple

from ..runtime.reading import parse_toml
from .groups import Group

SECOND_HAND = "T"  # the tag of figures that were read in a table of another paper
OF_TABLE = {"imagenet16": "imagenet16-120"}  # a task's name where a table's data set has another


class Published(NamedTuple):
    """One published figure: accuracies in percent, seconds of the search; None where it was not given."""

    method: str
    test: float
    deviation: float | None
    valid: float | None
    seconds: float | None
    tag: str
    source: str

    @property
    def verified(self) -> bool:
        return self.tag != SECOND_HAND


def beside(group: Group) -> list[Published]:
    """The figures that a group's records can be compared with, in the order of the file.

    The space at its defaults and the data set must be the same; what a surrogate predicts is compared with nothing.
    Where a table scored, its full training is taken for the benchmark's; a training from scratch must be as long, and
    its network as large, as the published one.
    """
    if group.space_options or group.predicted:
        return []
    data, scoring = OF_TABLE.get(group.task, group.task), group.records[0].config.get("scoring") or {}
    found = []
    for one in parse_toml((files(__package__) / "published.toml").read_text())["set"]:
        wanted = one["network"]
        same = wanted.items() <= scoring.items() if not group.by_table else _full(group) == wanted["epochs"]
        if one["space"] == group.space and same:
            found += [_row(row, one["source"]) for row in one["rows"] if row["data"] == data]
    return found


def _full(group: Group) -> int:
    """The epochs behind the scoring table's accuracies; older records do not say, and were NAS-Bench-201's."""
    return int((group.records[0].table or {}).get("epochs", 200))


def _row(row: dict[str, object], source: str) -> Published:
    fields = {name: row.get(name) for name in Published._fields if name != "source"}
    return Published(**fields, source=source)  # type: ignore[arg-type]
