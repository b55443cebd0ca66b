"""`find_best` and `statistics`: questions about all cells, answered without reading them all where a column allows."""

from typing import Any

import numpy as np

from ..tables.figures import Figure
from ..tables.records import OFFICIAL
from .means import DATASETS, HOW, ours
from .refusals import DropinError

_CLOSE = 1e-6  # points within which a column's mean and a record's may differ by rounding


def best_cell(api: Any, dataset: str, setname: str, flops: Any, params: Any, hp: str) -> tuple[int, Any]:
    """(index, accuracy in percent) of the highest mean over seeds; the lowest index of equal ones; (-1, None) if none.

    `flops` and `params`, in millions, are limits. Names are official. Where the table has a column of the figure,
    cells are tried from its top down until none below can be as good, so that a few records are read, not all.
    """
    if dataset not in DATASETS:
        raise DropinError(f"unknown data set {dataset!r}: known: {', '.join(DATASETS)}")
    if hp not in api.avaliable_hps:
        raise DropinError(f"table {api.table.name} has nothing of hp={hp!r}: it has {', '.join(api.avaliable_hps)}")
    column = _column(api, dataset, setname, hp)
    indexes = np.array(api._indexes, dtype=np.intp)
    if column is not None:
        indexes = indexes[np.isfinite(column[indexes])]
        indexes = indexes[np.argsort(-column[indexes], kind="stable")]
    best: int = -1
    highest: Any = None
    seen = False
    for index in indexes.tolist():
        if best >= 0 and column is not None and column[index] < highest - _CLOSE:
            break
        results = api._cell(index).get(hp)
        if results is None or (column is None and dataset not in results.get_dataset_names()):
            continue
        seen = True
        if flops is not None or params is not None:
            cost = results.get_compute_costs(dataset)
            if (flops is not None and cost["flops"] > flops) or (params is not None and cost["params"] > params):
                continue
        accuracy = results.get_metrics(dataset, setname)["accuracy"]
        if best < 0 or accuracy > highest or (accuracy == highest and index < best):
            best, highest = index, accuracy
    if not seen:
        raise DropinError(f"table {api.table.name} has nothing on '{setname}' of {dataset} after {hp} epochs: {HOW}")
    return best, highest


def _column(api: Any, dataset: str, setname: str, hp: str) -> np.ndarray | None:
    """float64, by official index: the figure's means; None where the table has no such column."""
    sets = OFFICIAL.get((dataset, "x-valid" if setname == "valid" else setname))
    known = sets is not None and Figure(*sets, int(hp)) in api.table.figures
    if api.table.trials is None and not known:
        raise DropinError(
            f"table {api.table.name} has no accuracy on '{setname}' of {dataset} after {hp} epochs: {HOW}"
        )
    if sets is None or not known or api._pinned:  # pinned: a script has had them in hand, and may have changed them
        return None
    column: np.ndarray = api.table.values(*sets, int(hp)).reshape(-1)[api.table.order]
    return column


def trial_counts(api: Any, dataset: str, hp: str) -> dict[int, int]:
    """{seeds: cells}. Without single trainings, from the table's numbers of runs."""
    if dataset not in DATASETS:
        raise DropinError(f"unknown data set {dataset!r}: known: {', '.join(DATASETS)}")
    if api.table.trials is None:
        return _counted(api, dataset, hp)
    found: dict[int, int] = {}
    forms: dict[int, int] = {}  # of a cell -> its number of seeds: few forms stand for all cells
    for index in api._indexes:
        if index in api._pinned:
            number = len(api._of(index, hp).dataset_seed.get(dataset, ()))
        else:
            form = int(api.table.trials.index[api.table.order[index], 0])
            if form not in forms:
                forms[form] = len(api._of(index, hp).dataset_seed.get(dataset, ()))
            number = forms[form]
        found[number] = found.get(number, 0) + 1
    return found


def _counted(api: Any, dataset: str, hp: str) -> dict[int, int]:
    name = ours(dataset)
    splits = [OFFICIAL[sets][1] for sets in OFFICIAL if sets[0] == dataset]
    for figure in (Figure(name, split, int(hp)) for split in splits if hp.isdigit()):
        if figure in api.table.figures and (counts := api.table.n_seeds(*figure)) is not None:
            numbers, cells = np.unique(counts.reshape(-1)[api.table.order][api._indexes], return_counts=True)
            return dict(zip(numbers.tolist(), cells.tolist(), strict=True))
    raise DropinError(f"table {api.table.name} has no numbers of seeds on {dataset} after {hp} epochs: {HOW}")
