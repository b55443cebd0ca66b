"""A surrogate: a table whose trained architectures keep their figures, and whose others are predicted from them.

Its file is a table's, and holds data and a recipe, no pickle: the trainings of one data set after one number of epochs,
and in the array `surrogate`, as JSON, the predictor, its options and its seed. Both are in the fingerprint. The
predictor is fitted again when a figure is first asked for, the same each time: to one training of each set that
compute the same function, with a stream of randomness of its own for each figure.

What a prediction depends on beside these is in the metadata: the versions of the fitting libraries, and what was
predicted then of some architectures. Where the predictor says otherwise by more than `APART` today, nothing is said.

On a grid every figure is there, the gaps filled. On a list, whose space is too large, arrays hold the trainings, and
`query`, `answer` and `standing` take any architecture of the space.
"""

import hashlib
from collections.abc import Sequence
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from .. import registry
from ..errors import BenchbedError
from ..runtime.reading import parse_json
from ..space import Architecture
from ..typed import typed
from . import store
from .answers import Answer, Standing
from .figures import Figure
from .places import ROWS
from .table import FURTHER, RECIPE, Cells, Table

APART = 0.01  # points between what is predicted and what was, where the surrogate was made
PREDICTED, DEVIATION = "predicted_", "deviation_"  # of `laid_open`: further figures, beside those of trainings


class Recipe(BaseModel):
    """How the predictions are made of the trainings. `code`: the SHA-256 of a predictor that is not benchbed's."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    predictor: str = Field(max_length=200)
    options: dict[str, Any]
    text: str = Field(max_length=1000)  # as it was asked for, `gp:encoding=path`
    seed: int = Field(ge=0)
    code: str | None = None


class Checked(BaseModel):
    """What cross-validation says of one figure (`benchbed.builder.fit`); None: not known, and why is in the words."""

    model_config = ConfigDict(extra="allow", frozen=True)

    n: int
    folds: int
    tau: float | None
    tau_low: float | None
    tau_high: float | None
    rmse: float


class Facts(BaseModel):
    """What stands in the metadata of a surrogate: none of it decides a prediction."""

    model_config = ConfigDict(extra="allow", frozen=True)

    table: str  # that it learned from
    table_fingerprint: str
    versions: dict[str, str]
    probe: dict[str, list[float]]  # by figure, what was predicted of `probes`
    checked: dict[str, Checked]


class Said(NamedTuple):
    """What is predicted of n architectures, in percent, and the deviation of that, in points; 0: it is not said."""

    accuracy: np.ndarray
    deviation: np.ndarray


class Trainings(NamedTuple):
    """Of n architectures that compute different functions: where they stand, and their accuracy in percent."""

    architectures: list[Architecture]
    places: np.ndarray
    accuracy: np.ndarray


def trainings(table: Table, figure: Figure) -> Trainings:
    """Those that the table has the figure of, the first of each set that compute the same."""
    flat = Table.values(table, *figure).reshape(-1)
    found: dict[Any, int] = {}
    for place in np.flatnonzero(np.isfinite(flat)).tolist():
        found.setdefault(table.space.canonical(table.places.architecture(place)), place)
    places = np.array(list(found.values()), dtype=np.intp)
    return Trainings([table.places.architecture(int(place)) for place in places], places, flat[places])


def fitted(recipe: Recipe, table: Table, seen: Sequence[Architecture], accuracy: np.ndarray) -> Any:
    """The recipe's predictor, having seen these. Raises BenchbedError where it cannot be had or does not work here."""
    from ..streams import Streams  # torch, which a table is opened without

    loaded = registry.load("predictor", recipe.predictor)
    if recipe.code is not None and code_of(recipe.predictor) != recipe.code:
        raise BenchbedError(f"table {table.name} predicts by the plug-in '{recipe.predictor}', whose code is not what "
                            "it was: fit it again")  # fmt: skip
    options = typed(loaded.Options, recipe.options, f"predictor '{recipe.text}'")
    loaded.check(options, table.space)
    made = loaded(table.space, options, Streams(recipe.seed))
    made.fit(list(seen), np.asarray(accuracy, dtype=np.float64))
    return made


def code_of(predictor: str) -> str | None:
    """The SHA-256 of the code of a predictor that does not come with benchbed; None of one that does."""
    if registry.is_ours(registry.find("predictor", predictor)):
        return None
    text = registry.code("predictor", predictor)
    return None if text is None else hashlib.sha256(text).hexdigest()


def said_of(predictor: Any, architectures: Sequence[Architecture], what: str) -> Said:
    """What it predicts, as percentages. Raises BenchbedError, beginning with `what`, where it says no numbers."""
    if not architectures:
        return Said(np.zeros(0), np.zeros(0))
    accuracy, deviation = predictor.predict(list(architectures))
    if not np.isfinite(accuracy).all() or not np.isfinite(deviation).all():
        raise BenchbedError(f"{what}: it predicts what is not a number")
    return Said(np.clip(np.asarray(accuracy, dtype=np.float64), 0.0, 100.0), np.asarray(deviation, np.float64))


class Surrogate(Table):
    """A table with a recipe. See the file's docstring."""

    predicts = True

    def __init__(self, name: str, meta: dict[str, Any], arrays: dict[str, np.ndarray] | store.Arrays) -> None:
        """Raises BenchbedError where the recipe, or what the metadata says of it, is damaged."""
        super().__init__(name, meta, arrays)
        try:
            raw: Any = parse_json(arrays[RECIPE].tobytes())
            self.recipe, self.said = Recipe.model_validate(raw), Facts.model_validate(meta.get("surrogate"))
        except ValidationError as error:
            first = error.errors()[0]
            said = f"{'.'.join(map(str, first['loc'])) or 'metadata'}: {first['msg']}"
            raise BenchbedError(f"table {name} is damaged (its surrogate's {said}): fit it again") from None
        except ValueError as error:  # a recipe that is no JSON
            raise BenchbedError(f"table {name} is damaged (its surrogate's recipe: {error}): fit it again") from None
        self._filled: dict[Figure, np.ndarray] = {}
        self._predictors: dict[Figure, Any] = {}
        self._one: dict[tuple[Figure, str], tuple[float, float]] = {}  # what was predicted, of single architectures

    @property
    def words(self) -> str:
        """What it is, in a few words."""
        return f"predicted by {self.recipe.text} from {self.trained} trainings of table {self.said.table}"

    @property
    def trained(self) -> int:
        """How many architectures it learned from."""
        return next((one.n for one in self.said.checked.values()), 0)

    def sure(self, figure: Figure) -> str:
        """How good the predictions of a figure are, by cross-validation; '' where that is not known."""
        if (one := self.said.checked.get(str(figure))) is None:
            return ""
        tau = "no tau" if one.tau is None else f"tau {one.tau:.2f} ({one.tau_low:.2f} to {one.tau_high:.2f})"
        return f"cross-validated {tau}, error {one.rmse:.2f} points"

    def facts(self, cell: Architecture, figure: Figure) -> dict[str, Any]:
        """What a record says of it: predictor, trainings, their table, cross-validation, and the cell's deviation."""
        one = self.said.checked.get(str(figure))
        deviation = self.answer(cell, *figure).deviation
        return {
            "predictor": self.recipe.text, "seed": self.recipe.seed, "trainings": self.trained,
            "table": self.said.table, "deviation": deviation,
            **({} if one is None else {key: getattr(one, key) for key in ("tau", "tau_low", "tau_high", "rmse")}),
        }  # fmt: skip

    # -- predictions ---------------------------------------------------------------------------------------------------

    def values(self, dataset: str, split: str, epochs: int) -> np.ndarray:
        """On a grid of every architecture, trained or predicted; on a list the trainings alone."""
        found, figure = super().values(dataset, split, epochs), Figure(dataset, split, epochs)
        if self.is_list:
            return found
        if figure not in self._filled:
            whole = found.reshape(-1).copy()
            gaps = np.flatnonzero(np.isnan(whole))
            whole[gaps] = self._predicted([self.places.architecture(int(place)) for place in gaps], figure).accuracy
            whole.flags.writeable = False
            self._filled[figure] = whole.reshape(found.shape)
        return self._filled[figure]

    def query(self, cells: Cells, dataset: str, split: str, epochs: int) -> Any:
        if not self.is_list:
            return super().query(cells, dataset, split, epochs)
        if isinstance(cells, str | Architecture):
            return self._figures_of([cells], Figure(dataset, split, epochs))[0][0]
        if isinstance(cells, np.ndarray) and cells.dtype.kind in "iu":
            rows = cells.reshape(-1, cells.shape[-1]).tolist()
            several = [self.space.architecture_of(tuple(row)) for row in rows]
            return self.query(several, dataset, split, epochs).reshape(cells.shape[:-1])
        return np.array([accuracy for accuracy, _ in self._figures_of(list(cells), Figure(dataset, split, epochs))])

    def answer(self, cell: str | Architecture, dataset: str, split: str, epochs: int) -> Answer:
        figure = Figure(dataset, split, epochs)
        if not self.is_predicted(cell, figure):
            return super().answer(cell, dataset, split, epochs)
        mean, deviation = self._figures_of([cell], figure)[0]
        return Answer(mean, None, None, {}, self.words, True, deviation or None)

    def standing(self, cell: Architecture, figure: Figure) -> Standing:
        """On a list among the trained ones, and itself."""
        if not self.is_list:
            return super().standing(cell, figure)
        own, flat = self._figures_of([cell], figure)[0][0], self.values(*figure)
        others = flat[np.isfinite(flat)]
        if self.is_predicted(cell, figure):
            others = np.append(others, own)
        return Standing(1 + int((others > own).sum()), len(others), float(others.max()))

    def is_predicted(self, cell: str | Architecture, figure: Figure) -> bool:
        flat = super().values(*figure).reshape(-1)
        place = self.places.of(self.space.parse(cell) if isinstance(cell, str) else cell)
        return place < 0 or bool(np.isnan(flat[place]))

    def gaps(self, dataset: str, split: str, epochs: int) -> str | None:
        """Never any: whatever was not trained is predicted."""
        super().values(dataset, split, epochs)  # refuses a figure that there is not
        return None

    def train_seconds(self, dataset: str, split: str, epochs: int) -> np.ndarray:
        """Of what is predicted the mean of the trainings': nobody knows it, and a budget counts trainings then."""
        found = super().train_seconds(dataset, split, epochs)
        return np.where(np.isnan(found), np.nanmean(found), found)

    # -- what it is made of --------------------------------------------------------------------------------------------

    def laid_open(self) -> Table:
        """A table of the trainings as they are, with gaps, whose further figures `predicted_...` are the predictions
        of the others, and `deviation_...` how sure the predictor is; of a list the trainings alone."""
        arrays = {name: self._arrays[name] for name in self.arrays - {RECIPE}}
        for figure in () if self.is_list else self.figures:
            gaps = np.isnan(super().values(*figure)).reshape(-1)
            said = self._predicted([self.places.architecture(int(p)) for p in np.flatnonzero(gaps)], figure)
            for word, values in ((PREDICTED, said.accuracy), (DEVIATION, said.deviation)):
                if word == PREDICTED or values.any():
                    whole = np.full(gaps.shape, np.nan)
                    whole[gaps] = values
                    arrays[f"{FURTHER}{word}{figure}"] = whole.reshape(self.shape)
        rest = f"the others are {self.words}, when they are asked for"
        if not self.is_list:
            rest = f"the further figures {PREDICTED}... of the others are {self.words}"
        notes = [*self.meta["notes"], f"a surrogate: accuracies are those of trainings; {rest}"]
        return _Laid(self, {**self.meta, "notes": notes}, arrays)

    @cached_property
    def is_list(self) -> bool:
        return ROWS in self.arrays

    def _figures_of(self, cells: Sequence[Any], figure: Figure) -> list[tuple[float, float]]:
        """(accuracy, deviation) of each architecture or its string, the trained ones with deviation 0."""
        several = [self.space.parse(cell) if isinstance(cell, str) else cell for cell in cells]
        flat = super().values(*figure).reshape(-1)
        known = {}
        for one in several:
            if (place := self.places.of(one)) >= 0 and np.isfinite(flat[place]):
                known[one.text] = float(flat[place]), 0.0
        new = {one.text: one for one in several if one.text not in known and (figure, one.text) not in self._one}
        said = self._predicted(list(new.values()), figure)
        self._one |= {(figure, text): (float(accuracy), float(deviation))
                      for text, accuracy, deviation in zip(new, *said, strict=True)}  # fmt: skip
        return [known.get(one.text) or self._one[figure, one.text] for one in several]

    def _predicted(self, architectures: Sequence[Architecture], figure: Figure) -> Said:
        what = f"table {self.name}, predictor '{self.recipe.text}'"
        if figure not in self._predictors:
            learned = trainings(self, figure)
            made = fitted(self.recipe, self, learned.architectures, learned.accuracy)
            then = self.said.probe.get(str(figure), [])
            now = said_of(made, probes(self, self.recipe.seed, len(then)), what).accuracy
            if len(then) and (apart := float(np.abs(now - np.array(then)).max())) > APART:
                known = ", ".join(f"{name} {number}" for name, number in self.said.versions.items())
                raise BenchbedError(f"{what} says up to {apart:.2g} points otherwise here than where it was fitted "
                                    f"({known}): fit it again")  # fmt: skip
            self._predictors[figure] = made
        return said_of(self._predictors[figure], architectures, what)


class _Laid(Table):
    """A surrogate laid open; what it is whole of is the surrogate's content."""

    def __init__(self, of: Surrogate, meta: dict[str, Any], arrays: dict[str, np.ndarray]) -> None:
        super().__init__(of.name, meta, arrays)
        self.of = of

    def is_whole(self) -> bool:
        return self.of.is_whole()


def probes(table: Table, seed: int, count: int) -> list[Architecture]:
    """Architectures by which a fit is known again: uniform draws."""
    rng = np.random.default_rng(seed)
    return [table.space.random(rng) for _ in range(count)]
