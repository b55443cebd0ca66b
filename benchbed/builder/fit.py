"""`table fit`: a surrogate of a table's trainings, and how well it predicts architectures that it did not see.

Cross-validation: the trainings are dealt into folds at random, one of each set of architectures that compute the same
function; a predictor learns from all folds but one and predicts that one. Over all held-out architectures: Kendall's
tau within the folds with its 95 % interval (`benchbed.stats.folds`), tau inside the truth's top tenth, which has too
few of one fold and counts pairs of all, the root mean square error, and the share of accuracies within one and two of
the deviations that the predictor states (of a normal one 68 and 95 %). Beside them the number of parameters, and a
constant: the mean of what was learned from. Each fold's predictor has seen fewer trainings than the surrogate's own,
which learns from all.
"""

import math
from collections.abc import Mapping
from datetime import UTC, datetime
from importlib.metadata import version
from typing import Any, NamedTuple

import numpy as np

from .. import __version__
from ..errors import BenchbedError
from ..ranking.asked import predictor_of
from ..stats.folds import tau_within
from ..stats.kendall import kendall
from ..streams import Streams
from ..tables import store
from ..tables.figures import Figure
from ..tables.importing import free_path
from ..tables.places import ROWS
from ..tables.surrogate import Recipe, Surrogate, Trainings, code_of, fitted, probes, said_of, trainings
from ..tables.table import RECIPE, Table
from ..tables.trusted import trusted

LEAST = 20  # trainings
TOP = 0.1  # the share of the held-out ones whose order is looked at by itself
FEW = 10  # so few have no order worth a tau
PROBES = 32  # predictions by which a later fit is known again
LIBRARIES = ("numpy", "scipy", "scikit-learn")
KEPT = ("accuracy", "seeds", "count", "seconds")  # arrays of a figure that go with it
BESIDE = ("operations", "units", "splits", "sources", "notes", "task", "classes", "recipe")  # metadata that stays


class Held(NamedTuple):
    """What was predicted of the trainings while they were held out, in their order; fold: the number of each one's."""

    accuracy: np.ndarray
    deviation: np.ndarray
    constant: np.ndarray
    fold: np.ndarray


def recipe_of(text: str, seed: int) -> Recipe:
    """The recipe of 'NAME' or 'NAME:KEY=VALUE[,...]'. Raises BenchbedError for an unknown name or option."""
    _, options = predictor_of(text)
    name = text.partition(":")[0]
    return Recipe(predictor=name, options=options.model_dump(mode="json"), text=text, seed=seed, code=code_of(name))


def held_out(recipe: Recipe, table: Table, learned: Trainings, folds: int) -> Held:
    """Predictions of every training by a predictor that did not see its fold."""
    n = len(learned.accuracy)
    fold = np.empty(n, dtype=np.intp)
    fold[Streams(recipe.seed).numpy("folds").permutation(n)] = np.arange(n) % folds
    found = Held(np.empty(n), np.empty(n), np.empty(n), fold)
    for number in range(folds):
        inside, outside = np.flatnonzero(fold == number), np.flatnonzero(fold != number)
        made = fitted(recipe, table, [learned.architectures[i] for i in outside], learned.accuracy[outside])
        said = said_of(made, [learned.architectures[i] for i in inside], f"predictor '{recipe.text}'")
        found.accuracy[inside], found.deviation[inside] = said
        found.constant[inside] = learned.accuracy[outside].mean()
    return found


def checked(held: Held, truth: np.ndarray, parameters: np.ndarray | None) -> dict[str, Any]:
    """What the file's docstring names; None for what cannot be said."""
    tau = tau_within(held.accuracy, truth, held.fold)
    inside = truth >= np.quantile(truth, 1 - TOP)
    error, stated = np.abs(held.accuracy - truth), held.deviation.any()
    found = {
        "n": len(truth),
        "folds": int(held.fold.max()) + 1,
        "tau": tau.value,
        "tau_low": tau.low,
        "tau_high": tau.high,
        "top": int(inside.sum()),
        "top_tau": kendall(held.accuracy[inside], truth[inside]) if inside.sum() >= FEW else math.nan,
        "rmse": _root(error),
        "rmse_constant": _root(held.constant - truth),
        "within_1": float((error <= held.deviation).mean()) if stated else math.nan,
        "within_2": float((error <= 2 * held.deviation).mean()) if stated else math.nan,
        "tau_params": math.nan if parameters is None else kendall(parameters, truth),
    }
    return {key: None if isinstance(value, float) and math.isnan(value) else value for key, value in found.items()}


def _root(error: np.ndarray) -> float:
    return float(np.sqrt(np.mean(error**2)))


def fit(
    source: str, name: str, dataset: str | None, epochs: int | None, predictor: str, folds: int, seed: int, force: bool
) -> Surrogate:
    """Makes the surrogate `name` of a table's trainings of a data set, cross-validates and opens it.

    Raises BenchbedError, one line, where one of its figures has too few trainings, or all the same accuracy, where the
    predictor does not work on the space, for a surrogate, and for a name that is taken, unless `force`. Then nothing
    has been written.
    """
    target = free_path(name, force)
    recipe, table = recipe_of(predictor, seed), trusted(source)
    figures = _figures(table, dataset, epochs)
    if all(table.gaps(*figure) is None for figure in figures):
        raise BenchbedError(f"table {table.name} has every architecture trained: there is nothing to predict; 'study "
                            "surrogate' measures predictors on it")  # fmt: skip
    said: dict[str, Any] = {"table": table.name, "table_fingerprint": table.fingerprint, "versions": _versions()}
    said |= {"probe": {}, "checked": {}}
    for figure in figures:
        learned = trainings(table, figure)
        _check(table, figure, learned, folds)
        held = held_out(recipe, table, learned, folds)
        said["checked"][str(figure)] = checked(held, learned.accuracy, parameters(table, figure, learned))
        made = fitted(recipe, table, learned.architectures, learned.accuracy)
        known = said_of(made, probes(table, seed, PROBES), f"predictor '{predictor}'").accuracy
        said["probe"][str(figure)] = known.tolist()
    arrays = _arrays(table, figures, recipe)
    store.write(target, _meta(table, figures, said, arrays), arrays)
    opened = Table.open(name)
    assert isinstance(opened, Surrogate)
    return opened


def _figures(table: Table, dataset: str | None, epochs: int | None) -> list[Figure]:
    """Every split of the data set after so many epochs. Raises BenchbedError for what the table does not have."""
    if dataset is None:
        if len(table.datasets) != 1:
            raise BenchbedError(f"table {table.name} has several data sets: add --dataset {'|'.join(table.datasets)}")
        (dataset,) = table.datasets
    epochs = table.full_epochs if epochs is None else epochs
    found = [figure for figure in table.figures if figure.dataset == dataset and figure.epochs == epochs]
    if not found:
        table.values(dataset, table.splits(dataset)[0], epochs)  # which says what there is
    return found


def _check(table: Table, figure: Figure, learned: Trainings, folds: int) -> None:
    n = len(learned.accuracy)
    if n < LEAST:
        raise BenchbedError(f"table {table.name} has {n:,} trainings of {figure.words}, of architectures that compute "
                            f"different functions: a surrogate learns from at least {LEAST}")  # fmt: skip
    if not 2 <= folds <= n // 2:
        raise BenchbedError(f"--folds {folds}: expected 2 to {n // 2:,}, half of the {n:,} trainings")
    if np.ptp(learned.accuracy) == 0:
        raise BenchbedError(f"table {table.name}: all {n:,} trainings of {figure.words} have "
                            f"{learned.accuracy[0]:g} %: there is nothing to learn")  # fmt: skip


def parameters(table: Table, figure: Figure, learned: Trainings) -> np.ndarray | None:
    """float64 (n,): of the trainings' architectures; None where the table has none."""
    if f"params/{figure.dataset}" not in table.arrays:
        return None
    found: np.ndarray = table.cost("params", figure.dataset).reshape(-1)[learned.places].astype(np.float64)
    return found


def _versions() -> dict[str, str]:
    return {"benchbed": __version__, **{name: version(name) for name in LIBRARIES}}


def _arrays(table: Table, figures: list[Figure], recipe: Recipe) -> dict[str, np.ndarray]:
    """The trainings as the table has them, its sizes, and the recipe."""
    names = [f"{kind}/{figure}" for figure in figures for kind in KEPT]
    names += [f"{kind}/{figures[0].dataset}" for kind in ("params", "flops")] + ["order", ROWS]
    arrays = {name: table.stored(name) for name in names if name in table.arrays}
    text = recipe.model_dump_json()
    return {**arrays, RECIPE: np.frombuffer(text.encode(), dtype=np.uint8)}


def _meta(
    table: Table, figures: list[Figure], said: Mapping[str, Any], arrays: Mapping[str, np.ndarray]
) -> dict[str, Any]:
    kept: dict[str, Any] = {key: table.meta[key] for key in BESIDE if key in table.meta}
    seeds = {str(figure): table.meta["seeds"][str(figure)] for figure in figures if str(figure) in table.meta["seeds"]}
    return {
        **kept,
        "format": store.FORMAT,
        "space": table.meta["space"],
        "fingerprint": store.fingerprint(table.meta["space"], arrays),
        "figures": [list(figure) for figure in figures],
        "full_epochs": figures[0].epochs,
        "seeds": seeds,
        "surrogate": said,
        "made": f"fitted by benchbed {__version__}",
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def text(table: Surrogate) -> str:
    """What cross-validation found, for a reader."""
    first = next(iter(table.said.checked.values()))
    lines = [
        f"surrogate {table.name}, fingerprint {table.fingerprint[:16]}: {table.recipe.text} (seed {table.recipe.seed}) "
        f"on {first.n:,} trainings of table {table.said.table}",
        f"Every other figure of it is predicted. Cross-validated in {first.folds} folds, on architectures that were "
        "held out:",
        "",
    ]
    for figure, one in table.said.checked.items():
        lines += [figure, *(f"  {line}" for line in _lines(one.model_dump()))]
    return "\n".join(lines)


def _lines(one: Mapping[str, Any]) -> list[str]:
    """Of one figure."""
    tau = "none: it says the same of all" if one["tau"] is None else (
        f"{one['tau']:.3f} (95 % interval {one['tau_low']:.3f} to {one['tau_high']:.3f}, n = {one['n']:,})"
    )  # fmt: skip
    top = f"not said of {one['top']}" if one["top"] < FEW else _or_none(one["top_tau"], ".3f")
    deviations = (
        "it states none"
        if one["within_1"] is None
        else f"{one['within_1']:.0%} within one, {one['within_2']:.0%} within two (of a normal one 68 and 95 %)"
    )
    return [
        f"{'tau':<24}{tau}",
        f"{'tau of parameters':<24}{_or_none(one['tau_params'], '.3f')}",
        f"{'tau in the top tenth':<24}{top}",
        f"{'error':<24}{one['rmse']:.2f} points root mean square; {one['rmse_constant']:.2f} of a constant",
        f"{'stated deviations':<24}{deviations}",
    ]


def _or_none(value: float | None, form: str) -> str:
    return "none" if value is None else format(value, form)
