"""Whether cross-validation holds: by an oracle, one that says nothing, and what is refused."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchbed.studies.surrogate import Row

Command = Callable[..., Any]
ORACLE = '''
"""Sees the truth, and asserts that it was not shown what it is asked."""
import numpy as np
from benchbed.predictor import Prediction, Predictor
from benchbed.tables.trusted import trusted

class Oracle(Predictor):
    """The truth."""
    def fit(self, architectures, accuracy):
        self.known = {self.space.canonical(a) for a in architectures}
    def predict(self, architectures):
        assert not self.known & {self.space.canonical(a) for a in architectures}
        table = trusted("nb201-digits")
        truth = np.array([float(table.query(a, "digits", "valid", 1)) for a in architectures])
        return Prediction(truth, np.full(len(truth), 0.25))
'''
OF = ("study", "surrogate", "--table", "nb201-digits", "--dataset", "digits", "--seeds", "0:2")


def test_one_that_sees_the_truth_is_perfect_in_either_and_never_judged_on_what_it_saw(
    command: Command, tmp_path: Path
) -> None:
    (tmp_path / "oracle.py").write_text(ORACLE)
    words = ("--sizes", "20,40", "--folds", "5", "--plugin", tmp_path / "oracle.py", "--predictor", "oracle")
    done = command(*OF, *words, "--out", tmp_path / "out")
    assert done.status == 0, done.err
    rows = [Row(**json.loads(line)) for line in (tmp_path / "out/surrogate.jsonl").read_text().splitlines()]
    assert [row.others for row in rows] == [4930 - 20, 4930 - 40] * 2
    for row in rows:
        assert (row.tau, row.unseen_tau, row.unseen_top_tau) == pytest.approx((1, 1, 1))
        assert (row.rmse, row.unseen_rmse, row.unseen_within_1) == pytest.approx((0, 0, 1))


def test_a_forest_ranks_what_it_never_saw(command: Command, tmp_path: Path) -> None:
    done = command(*OF, "--sizes", "60", "--predictor", "random-forest:trees=20", "--out", tmp_path)
    assert done.status == 0, done.err
    rows = [Row(**json.loads(line)) for line in (tmp_path / "surrogate.jsonl").read_text().splitlines()]
    for row in rows:
        assert 0.2 < row.unseen_tau < 0.9
        low, tau, high = (np.array(v, dtype=float) for v in (row.tau_low, row.tau, row.tau_high))
        assert low < tau < high
    assert "| random-forest:trees=20 | 60 |" in (tmp_path / "surrogate.md").read_text()
    assert not np.isclose(rows[0].unseen_tau, rows[1].unseen_tau)  # another draw


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--sizes", "10"), "--sizes 10: the table has 4,930 trainings"),
        (("--sizes", "4920"), "expected 20 to 4,910"),
        (("--sizes", "20", "--folds", "11"), "--folds 11: expected 2 to 10"),
        (("--predictor", "gpp"), "unknown predictor 'gpp'"),
    ],
)
def test_what_cannot_be_cross_validated_is_refused(command: Command, words: tuple[str, ...], message: str) -> None:
    done = command(*OF, *words)
    assert (done.status, message in done.err, done.err.count("\n")) == (2, True, 1), done.err
