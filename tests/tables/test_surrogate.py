"""A surrogate by oracles: one that sees the truth, one that says nothing, one that checks what it was shown."""

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchbed.builder.fit import fit, held_out, recipe_of
from benchbed.errors import BenchbedError
from benchbed.registry import add_file
from benchbed.spaces.classes import drawn
from benchbed.spaces.darts.space import Darts
from benchbed.spaces.nb201.space import NB201, all_strings
from benchbed.tables import Figure, Table, store
from benchbed.tables.importing import import_table
from benchbed.tables.score import network_in, noise_floor, score
from benchbed.tables.surrogate import Surrogate, trainings
from benchbed.tables.trusted import trusted

Command = Callable[..., Any]
VALID, TEST = ("mine", "valid", 9), ("mine", "test", 9)
FOREST = "random-forest:trees=10"
ORACLE = '''
"""What needs no learning."""
import numpy as np
from benchbed.predictor import Prediction, Predictor

class {CLASS}(Predictor):
    """{CLASS}."""
    def fit(self, architectures, accuracy):
        self.known = {self.space.canonical(a) for a in architectures}
    def predict(self, architectures):
        {CHECK}
        return Prediction(np.array([{SAYS} for a in architectures], dtype=float), np.full(len(architectures), {SURE}))
'''


def truth(choices: tuple[int, ...]) -> float:
    """An accuracy that the operations give; no two of few cells have the same."""
    return 30 + sum((k + 1) * (i + 1) ** 1.5 / 100 for i, k in enumerate(choices) if k >= 0)


def oracle(folder: Path, name: str, says: str, check: str = "pass", sure: str = "0.0") -> str:
    text = ORACLE.replace("{CLASS}", name.title()).replace("{CHECK}", check).replace("{SAYS}", says)
    (folder / f"{name}.py").write_text(text.replace("{SURE}", sure))
    add_file(folder / f"{name}.py")
    return name


SEES = "30 + sum((k + 1) * (i + 1) ** 1.5 / 100 for i, k in enumerate(a.choices) if k >= 0)"


@pytest.fixture(autouse=True)
def forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("benchbed.registry._USER_FILES", {})


@pytest.fixture
def grid(tmp_path: Path, home: Path) -> Table:
    """Sixty cells of NAS-Bench-201 with seconds, named 'mine'."""
    rng, space = np.random.default_rng(0), NB201()
    texts = [all_strings()[i] for i in rng.choice(15625, 60, replace=False)]
    return _imported(tmp_path, "nb201", [(text, truth(space.parse(text).choices)) for text in texts])


@pytest.fixture
def listed(tmp_path: Path, home: Path) -> Table:
    """Forty DARTS cells."""
    return _imported(tmp_path, "darts", [(one.text, truth(one.choices)) for one in drawn(Darts(), 40)])


def _imported(folder: Path, space: str, rows: list[tuple[str, float]]) -> Table:
    lines = ["arch,mine_valid_9,mine_test_9,mine_train_seconds_9"]
    lines += [f'"{text}",{value!r},{value + 1!r},{10 + n % 2}' for n, (text, value) in enumerate(rows)]
    (folder / "mine.csv").write_text("\n".join(lines) + "\n")
    return import_table([folder / "mine.csv"], "mine", space=space, partial=True)


def made(predictor: str, name: str = "s", folds: int = 4, seed: int = 0) -> Surrogate:
    return fit("mine", name, None, None, predictor, folds, seed, False)


def test_one_that_sees_the_truth_has_a_tau_of_one_and_a_constant_one_none(grid: Table, tmp_path: Path) -> None:
    seeing = made(oracle(tmp_path, "sees", SEES, sure="0.5")).said.checked["mine_valid_9"]
    assert (seeing.tau, seeing.tau_low, seeing.tau_high) == pytest.approx((1, 1, 1))
    known = seeing.model_dump()
    assert known["rmse"] == pytest.approx(0, abs=1e-9)
    assert (known["within_1"], known["within_2"]) == (1, 1)
    constant = made(oracle(tmp_path, "fifty", "50.0"), "c").said.checked["mine_valid_9"].model_dump()
    assert constant["tau"] is None
    assert constant["within_1"] is None  # a deviation of 0: it is not said
    values = trainings(grid, Figure(*VALID)).accuracy
    assert constant["rmse"] == pytest.approx(np.sqrt(np.mean((values - 50) ** 2)))


def test_what_is_held_out_and_what_computes_the_same_was_never_shown(grid: Table, tmp_path: Path) -> None:
    check = "assert not self.known & {self.space.canonical(a) for a in architectures}"
    recipe = recipe_of(oracle(tmp_path, "strict", "50.0", check), 3)
    learned = trainings(grid, Figure(*VALID))
    held = held_out(recipe, grid, learned, 5)
    assert sorted(np.bincount(held.fold)) == sorted(len(range(k, len(learned.accuracy), 5)) for k in range(5))
    space = NB201()
    assert len({space.canonical(a) for a in learned.architectures}) == len(learned.architectures)
    for fold in range(5):
        assert held.constant[held.fold == fold] == pytest.approx(learned.accuracy[held.fold != fold].mean())


def test_on_a_grid_a_trained_cell_keeps_its_figure_and_every_other_is_predicted(grid: Table) -> None:
    table = made(FOREST)
    own, whole = grid.values(*VALID), table.values(*VALID)
    there = np.isfinite(own)
    assert np.array_equal(own[there], whole[there])
    assert np.isfinite(whole).all()
    assert table.gaps(*VALID) is None
    trained, other = (table.places.architecture(int(np.flatnonzero(mask)[0])) for mask in (there, ~there))
    answer = table.answer(trained, *VALID)
    assert (answer.mean, answer.predicted, answer.note) == (grid.query(trained, *VALID), False, "")
    answer = table.answer(other, *VALID)
    assert answer.predicted
    assert answer.note == f"predicted by {FOREST} from {table.trained} trainings of table mine"
    assert (answer.mean, answer.n_seeds) == (table.query(other, *VALID), None)
    assert (score(table, "mine", trained).predicted, score(table, "mine", other).predicted) == (False, True)
    assert score(grid, "mine", trained).predicted is None
    assert noise_floor(table, "mine") is None


def test_on_a_list_any_architecture_is_answered_and_stands_among_the_trained(listed: Table, tmp_path: Path) -> None:
    table = made(oracle(tmp_path, "sees", SEES))
    new = drawn(Darts(), 50)[40:]
    expected = [truth(one.choices) for one in new]
    assert table.query(new, *VALID) == pytest.approx(expected)
    assert table.query(np.array([one.choices for one in new]), *VALID) == pytest.approx(expected)
    assert table.query(new[0].text, *VALID) == pytest.approx(expected[0])
    known = listed.places.architecture(7)
    assert table.query(known, *TEST) == listed.query(known, *TEST)
    found = score(table, "mine", new[0])
    others = listed.values(*TEST)
    assert found.rank == 1 + (others > table.query(new[0], *TEST)).sum()
    assert (found.cells, found.predicted) == (41, True)
    assert found.regret == pytest.approx(found.best_test_accuracy - found.test_accuracy)
    assert score(table, "mine", known).cells == 40
    assert network_in(table, "mine", new[0]) is None


def test_seconds_of_what_is_predicted_are_the_mean_of_the_trainings(grid: Table) -> None:
    table = made(FOREST)
    own, whole = grid.train_seconds(*VALID), table.train_seconds(*VALID)
    there = np.isfinite(own)
    assert np.array_equal(own[there], whole[there])
    assert set(whole[~there]) == {np.nanmean(own)}


def test_the_same_seed_gives_the_same_predictions_and_fingerprint_also_elsewhere(
    grid: Table, child_env: dict[str, str]
) -> None:
    one, other, third = made(FOREST, "one"), made(FOREST, "other"), made(FOREST, "third", seed=1)
    assert one.fingerprint == other.fingerprint != third.fingerprint
    assert np.array_equal(one.values(*VALID), other.values(*VALID))
    assert not np.array_equal(one.values(*VALID), third.values(*VALID))
    code = (
        "import hashlib; from benchbed.tables import Table; t = Table.open('one'); print(t.fingerprint, t.is_whole(), "
        "hashlib.sha256(t.values('mine', 'test', 9).tobytes()).hexdigest())"
    )
    env = {**child_env, "BENCHBED_HOME": os.environ["BENCHBED_HOME"]}
    done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=True)
    values = hashlib.sha256(other.values(*TEST).tobytes()).hexdigest()
    assert done.stdout.split() == [one.fingerprint, "True", values]


def test_a_predictor_that_says_otherwise_than_when_it_was_fitted_is_refused(grid: Table) -> None:
    table = made(FOREST)
    _, path = store.find("s")
    said = table.meta["surrogate"]
    said["probe"]["mine_valid_9"][0] += 1
    store.annotate(path, {"surrogate": said})
    with pytest.raises(BenchbedError, match=r"says up to 1 points otherwise here than where it was fitted \(benchbed "):
        Table.open("s").values(*VALID)


def test_laid_open_it_is_a_table_of_trainings_beside_predictions(grid: Table, command: Command, home: Path) -> None:
    table = made(FOREST)
    laid = table.laid_open()
    assert not laid.predicts
    assert np.array_equal(laid.values(*VALID), grid.values(*VALID), equal_nan=True)
    predicted = laid.further("predicted_mine_valid_9")
    there = np.isfinite(grid.values(*VALID))
    assert np.array_equal(np.isnan(predicted), there)
    assert np.array_equal(predicted[~there], table.values(*VALID)[~there])
    out = home.parent / "out.csv"
    assert command("table", "export", "s", out).status == 0
    assert command("table", "import", out, "--name", "back", "--partial").status == 0
    back = Table.open("back")
    assert back.figures == grid.figures  # nothing that was predicted comes back as a training
    assert np.array_equal(back.values(*VALID), grid.values(*VALID), equal_nan=True)
    assert "predicted_mine_valid_9" in back.further_names


def test_a_search_is_offered_where_there_is_a_clock_for_it(grid: Table, command: Command, home: Path) -> None:
    assert "search on it: " in command("table", "fit", "mine", "--name", "timed").out
    arrays = {name: np.array(grid._array(name)) for name in grid.arrays if not name.startswith("seconds/")}
    store.write(home / "bare.npz", {**grid.meta, "fingerprint": store.fingerprint(grid.meta["space"], arrays)}, arrays)
    said = command("table", "fit", "bare", "--name", "untimed").out
    assert "search on it" not in said
    assert "no search can be timed on it: table untimed has no training seconds" in said


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("s",), "table s is a surrogate, whose figures are predicted: this is of trained ones"),
        (("mine", "--predictor", "gpp"), "unknown predictor 'gpp': did you mean 'gp'?"),
        (("mine", "--predictor", "gp:kernel=1"), "kernel"),
        (("mine", "--folds", "40"), "--folds 40: expected 2 to "),
        (("mine", "--folds", "1"), "--folds 1: expected 2 to "),
        (("mine", "--dataset", "other"), "other"),
        (("mine", "--epochs", "8"), "table mine has no mine valid accuracy after 8 epochs"),
        (("nowhere",), "unknown table 'nowhere'"),
        (("mine", "--name", "s"), "a table named 's' is there already"),
        (("mine", "--name", "a b"), "table name 'a b': expected letters"),
    ],
)
def test_bad_input_is_one_line_and_nothing_is_written(
    grid: Table, command: Command, home: Path, words: tuple[str, ...], message: str
) -> None:
    made(FOREST)
    before = sorted(home.iterdir())
    done = command("table", "fit", *words, *(() if "--name" in words else ("--name", "new")))
    assert done.status == 2
    assert message in done.err
    assert done.err.count("\n") == 1
    assert sorted(home.iterdir()) == before


def test_too_few_trainings_a_constant_and_a_predictor_of_another_space_are_refused(
    tmp_path: Path, home: Path, listed: Table
) -> None:
    with pytest.raises(BenchbedError, match="encoding 'path' is of NAS-Bench-201's cells"):
        made("gp:encoding=path")
    few = [(one.text, truth(one.choices)) for one in drawn(Darts(), 19)]
    (home / "mine.npz").unlink()
    _imported(tmp_path, "darts", few)
    with pytest.raises(BenchbedError, match="has 19 trainings of mine valid accuracy after 9 epochs"):
        made(FOREST)
    (home / "mine.npz").unlink()
    _imported(tmp_path, "darts", [(one.text, 50.0) for one in drawn(Darts(), 30)])
    with pytest.raises(BenchbedError, match="all 30 trainings of mine valid accuracy after 9 epochs have 50 %"):
        made(FOREST)


def test_a_table_without_gaps_has_nothing_to_predict(tmp_path: Path, home: Path) -> None:
    _imported(tmp_path, "nb201", [(text, 10 + n / 1000) for n, text in enumerate(all_strings())])
    with pytest.raises(BenchbedError, match="table mine has every architecture trained: there is nothing to predict"):
        made(FOREST)


def test_a_damaged_recipe_is_refused(grid: Table) -> None:
    made(FOREST)
    _, path = store.find("s")
    arrays = store.Arrays(path)
    content, meta = {name: arrays[name] for name in arrays}, arrays.meta()
    for text, message in ((b"{", "recipe"), (b'{"predictor": "gp"}', "options: Field required")):
        store.write(path, meta, {**content, "surrogate": np.frombuffer(text, dtype=np.uint8)})
        with pytest.raises(BenchbedError, match=f"table s is damaged .*{message}"):
            Table.open("s")
    store.write(path, {**meta, "surrogate": None}, content)
    with pytest.raises(BenchbedError, match="table s is damaged"):
        Table.open("s")


def test_a_predictor_of_another_code_is_refused(grid: Table, tmp_path: Path) -> None:
    made(oracle(tmp_path, "sees", SEES))
    oracle(tmp_path, "sees", "50.0")
    with pytest.raises(BenchbedError, match="plug-in 'sees', whose code is not what it was"):
        Table.open("s").values(*VALID)


def test_only_who_marks_predictions_is_given_a_surrogate(grid: Table, command: Command) -> None:
    made(FOREST)
    assert trusted("s", surrogates=True).predicts
    tabular = ("study", "tabular", "--table", "s", "--dataset", "mine", "--searcher", "random-search")
    for words in (("table", "whois", "50", "--table", "s"), ("table", "quality", "s"), tabular):
        done = command(*words)
        assert (done.status, "is a surrogate, whose figures are predicted" in done.err) == (2, True), words


def test_what_is_predicted_is_said_to_be_wherever_it_is_shown(grid: Table, command: Command) -> None:
    made(FOREST)
    there = np.isfinite(grid.values(*VALID)).reshape(-1)
    known, other = (grid.strings[int(np.flatnonzero(mask)[0])] for mask in (there, ~there))
    asked = ("query", "s", "--dataset", "mine", "--split", "valid", "--epochs", "9", "--arch")
    assert "predicted, not trained" in command(*asked, other).out
    assert "predicted" not in command(*asked, known).out
    assert json.loads(command(*asked, other, "--json").out)["predicted"] is True
    shown = command("describe", "--arch", other, "--table", "s").out
    assert "a surrogate: what was not trained is predicted by" in shown
    assert shown.count("predicted, not trained") == 2
    facts = json.loads(command("describe", "--arch", known, "--table", "s", "--json").out)
    assert facts["table"]["figures"]["mine_valid_9"]["predicted"] is False
    assert {n["predicted"] for n in facts["table"]["neighbours"]} <= {True, False}
    assert "surrogate, predicted by" in command("table", "list").out
    assert "Every other figure of it is predicted." in command("table", "info", "s").out
    page = home_page(command)
    assert "predicted_mine_valid_9" in page
    assert "a surrogate: accuracies are those of trainings" in page


def home_page(command: Command) -> str:
    out = store.home() / "page.html"
    assert command("table", "browse", "s", "--out", out).status == 0
    return out.read_text()
