"""Which table a run has: one that scores it, one that its objective descends, or none."""

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict

from ..errors import BenchbedError
from ..tables import store
from ..tables.figures import DATASETS, Figure, lone_dataset, refusal
from ..tables.surrogate import Surrogate
from ..tables.table import Table
from ..tables.trusted import trusted

DEFAULT_TABLE = "nb201"  # of the table objective, where no other is named
# (space, task) -> the table that scores where nothing else is asked for, if this benchbed comes with it.
SCORED_BY = {("nb201", "digits"): "nb201-digits"}
NO_TABLE = "none"  # --table none: score by training


class TableConfig(BaseModel):
    """A data set of an imported table. What decides a result is the content; the name says where it was found."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str  # or the file
    dataset: str
    fingerprint: str

    def key(self) -> list[str]:
        return ["table", self.fingerprint, self.dataset]

    def open(self) -> Table:
        """The table, whole. Raises BenchbedError if it is no longer the one that the run was configured with."""
        table = trusted(self.name, surrogates=True)
        if table.fingerprint != self.fingerprint:
            raise BenchbedError(f"table {self.name} is not what it was when the run began: start the command again")
        return table


def table_config(raw: Mapping[str, Any], objective: str, space: str) -> TableConfig | None:
    """The table that scores, and that a table objective descends. Raises BenchbedError where it cannot do either."""
    name, dataset = raw.get("table"), raw.get("dataset")
    if name is None and objective != "table":
        name = _own_table(raw, space)
        if dataset is not None and name is not None and dataset not in _datasets(name):
            name = None  # the data set of a table that the user has not named
    if name is None or (name == NO_TABLE and objective != "table"):
        if objective != "table":
            if dataset is not None:
                raise BenchbedError(f"dataset '{dataset}' is of a table: add --table NAME")
            return None
        name = DEFAULT_TABLE
    if dataset is None:
        dataset = lone_dataset(name, _datasets(name))
    table = trusted(name, surrogates=True)
    if table.meta["space"] != space:
        raise BenchbedError(f"table {name} is of the space {table.meta['space']}: it cannot score space '{space}'")
    for split in ("valid", "test"):
        if (figure := Figure(dataset, split, table.full_epochs)) not in table.figures:
            raise refusal(table.name, figure, list(table.figures), space)
    _, path = store.find(name)
    where = name if path.parent in (store.home(), store.EMBEDDED) else str(path.absolute())
    return TableConfig(name=where, dataset=dataset, fingerprint=table.fingerprint)


def known_before(config: TableConfig | None, objective: str, figure: str | None) -> str | None:
    """What is to be known before a search, else None: what it climbs where that is a further figure, or that the table
    that will score has gaps or predicts. Reads no test accuracy."""
    if config is None:
        return None
    table = config.open()
    if isinstance(table, Surrogate):
        said = table.sure(Figure(config.dataset, "valid", table.full_epochs))
        return f"table {table.name} is a surrogate: what was not trained is {table.words}{said and '; '}{said}"
    if figure is not None:
        values = table.further(figure)
        return f"figure '{figure}' goes from {values.min():g} to {values.max():g}: higher counts as better"
    if objective == "table":  # which has none
        return None
    gaps = table.gaps(config.dataset, "valid", table.full_epochs)
    return None if gaps is None else f"table {table.name} {gaps}: another one that is chosen has no score"


def _own_table(raw: Mapping[str, Any], space: str) -> str | None:
    """The table of benchbed's own that scores a run on this space and task where both are left at their defaults."""
    task = raw.get("task", "digits")
    plain = not any(raw.get(key) for key in ("scoring", "task_options", "space_options"))
    name = SCORED_BY.get((space, task))
    if name is None or not plain or raw.get("protocol", "small-digits") != "small-digits":
        return None
    if not (store.EMBEDDED / f"{name}.npz").is_file():
        return None
    _, path = store.find(name)
    if path.parent != store.EMBEDDED and task not in _datasets(name):
        raise BenchbedError(f"{path} hides the table that comes with benchbed, and has no data set '{task}': remove "
                            "it, or say --table NAME")  # fmt: skip
    return name


def _datasets(name: str) -> tuple[str, ...]:
    """What the table of this name has; the benchmark's where it cannot be opened, which is said later."""
    try:
        return Table.open(name).datasets
    except BenchbedError:
        return DATASETS


def further_figure(raw: Mapping[str, Any], table: TableConfig | None, objective: str) -> str | None:
    """Raises BenchbedError where the table has no further figure of this name, or accuracies are asked for beside."""
    if (name := raw.get("figure")) is None:
        return None
    if objective != "table" or table is None:
        raise BenchbedError(f"figure = '{name}': of objective 'table', whose further figure it is")
    if raw.get("fidelity") is not None:
        raise BenchbedError(f"figure = '{name}' and fidelity: a further figure is of no number of epochs, give one")
    table.open().further(name)
    return str(name)


def fidelity(raw: Mapping[str, Any], table: TableConfig | None, objective: str) -> int | None:
    """Raises BenchbedError where the table has no validation accuracy after so many epochs."""
    if (epochs := raw.get("fidelity")) is None:
        return None
    if isinstance(epochs, bool) or not isinstance(epochs, int) or epochs < 1:
        raise BenchbedError(f"fidelity = {epochs!r}: expected an integer of at least 1")
    if objective != "table" or table is None:
        raise BenchbedError(f"fidelity = {epochs}: of objective 'table', whose accuracies after so many epochs it is")
    opened = table.open()
    if (figure := Figure(table.dataset, "valid", epochs)) not in opened.figures:
        raise refusal(opened.name, figure, list(opened.figures), opened.meta["space"])
    return int(epochs)
