"""How well predictors rank: one that sees the truth, one that says nothing, and who is ever judged on what."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchbed.spaces.classes import classes
from benchbed.spaces.nb201.space import NB201
from benchbed.studies import predictors
from benchbed.tables.trusted import trusted

Command = Callable[..., Any]
ORACLES = '''
"""Two that need no learning."""
import numpy as np
from benchbed.predictor import Prediction, Predictor
from benchbed.tables.trusted import trusted

class {CLASS}(Predictor):
    """{WHAT}"""
    def fit(self, architectures, accuracy):
        self.known = set(architectures)
    def predict(self, architectures):
        assert not self.known & set(architectures)
        table = trusted("nb201-digits")
        truth = [float(table.query(a, "digits", "valid", 1)) for a in architectures]
        return Prediction(np.array({SAYS}), np.zeros(len(truth)))
'''
OF = ("study", "predictors", "--table", "nb201-digits", "--dataset", "digits", "--sizes", "10,40", "--seeds", "0:2")


def test_one_that_sees_the_truth_has_a_tau_of_one_and_a_constant_one_none(command: Command, tmp_path: Path) -> None:
    words = list[object]()
    for name, says in (("sees-it", "truth"), ("says-fifty", "[50.0] * len(truth)")):
        file = tmp_path / f"{name.replace('-', '_')}.py"
        file.write_text(ORACLES.replace("{CLASS}", "Oracle").replace("{WHAT}", name).replace("{SAYS}", says))
        words += ["--plugin", file, "--predictor", name]
    outcome = command(*OF, *words, "--out", tmp_path / "out")
    assert outcome.status == 0, outcome.err
    rows = [json.loads(line) for line in (tmp_path / "out/predictors.jsonl").read_text().splitlines()]
    seeing = [row for row in rows if row["predictor"] == "sees-it"]
    assert [(row["tau"], row["top_tau"]) for row in seeing] == [pytest.approx((1, 1))] * 4
    assert {row["others"] for row in seeing} == {4930 - 10, 4930 - 40}
    constant = [row for row in rows if row["predictor"] == "says-fifty"]
    assert all(row["tau"] is None or np.isnan(row["tau"]) for row in constant)
    page = (tmp_path / "out/predictors.md").read_text()
    assert "| says-fifty | none | none |" in page
    assert "| params | 0." in page


def test_no_training_and_nothing_that_computes_the_same_is_judged_on() -> None:
    found = predictors.cells(trusted("nb201-digits"), "digits", "valid")
    space = NB201()
    assert len({space.canonical(a) for a in found.architectures}) == len(found.architectures) == len(classes(space))


def test_what_learns_more_ranks_better(command: Command, tmp_path: Path) -> None:
    assert command(*OF, "--predictor", "random-forest:trees=30", "--out", tmp_path).status == 0
    rows = [json.loads(line) for line in (tmp_path / "predictors.jsonl").read_text().splitlines()]
    tau = {n: np.mean([r["tau"] for r in rows if r["predictor"] != "params" and r["n"] == n]) for n in (10, 40)}
    assert 0 < tau[10] < tau[40] < 1


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--sizes", "40,10"), "expected numbers of at least 2, rising, and they are [40, 10]"),
        (("--sizes", "10,4920"), "--sizes 4920: the table has 4,930 different architectures, take fewer"),
        (("--predictor", "forest"), "unknown predictor 'forest'"),
        (("--predictor", "gp:encoding=walks"), "gp:encoding=walks"),
    ],
)
def test_bad_options_are_one_line(command: Command, tmp_path: Path, words: tuple[str, ...], message: str) -> None:
    outcome = command(*OF, *words, "--out", tmp_path / "out")
    assert outcome.status == 2
    assert message in outcome.err
    assert outcome.err.count("\n") == 1
    assert not (tmp_path / "out").exists()
