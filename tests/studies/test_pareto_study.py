"""Several objectives on a table: shares of the true front, samplers beside random, what is refused."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchbed.errors import BenchbedError
from benchbed.stats.pareto import dominated, undominated
from benchbed.studies import pareto
from benchbed.tables.table import Table
from benchbed.tables.trusted import trusted

Command = Callable[..., Any]


OF = ("study", "pareto", "--table", "nb201-digits", "--dataset", "digits")  # its only fidelity
WORDS = (*OF, "--objective", "accuracy", "--objective", "params")


@pytest.fixture(scope="module")
def digits() -> Table:
    return trusted("nb201-digits")


def test_a_search_that_sees_everything_has_the_whole_front(digits: Table) -> None:
    scene = pareto.scene(digits, "digits", ["accuracy", "params"], 1)
    assert scene.evaluated.shape == (15625, 2)
    assert (scene.evaluated.min(), scene.evaluated.max()) == (0, 1)
    assert scene.evaluated[0].tolist()[1] == 1  # none everywhere: the fewest parameters
    best = undominated(scene.evaluated)
    assert dominated(scene.evaluated[best]) == dominated(scene.evaluated)
    assert len(best) < 100


def test_the_study_writes_shares_beside_random_and_goes_on(digits: Table, command: Command, tmp_path: Path) -> None:
    words = (*WORDS, "--budget", "400", "--out", tmp_path)
    assert command(*words, "--seeds", "0:4").status == 0
    rows = [json.loads(line) for line in (tmp_path / "pareto.jsonl").read_text().splitlines()]
    assert len(rows) == 3 * 4
    for row in rows:
        assert 0 < row["searched"] <= 1
        assert 0 < row["useful"] <= 1
        assert row["seconds"] <= 400
        assert 0 < row["front"] <= row["distinct"] <= row["evaluations"]
    means = {n: np.mean([r["searched"] for r in rows if r["sampler"] == n]) for n in ("nsgaii", "tpe", "random")}
    assert means["tpe"] > means["random"]
    page = (tmp_path / "pareto.md").read_text()
    assert "accuracy (great), params (small)" in page
    assert f"accuracy after {digits.full_epochs} epochs" in page
    assert command(*words, "--seeds", "0:4").status == 0
    assert [json.loads(line) for line in (tmp_path / "pareto.jsonl").read_text().splitlines()] == rows


def test_a_seed_finds_the_same_again(digits: Table) -> None:
    scene = pareto.scene(digits, "digits", ["accuracy", "params"], 1)
    for sampler in pareto.SAMPLERS:
        first, again = (pareto.search(digits, scene, sampler, 3, 200.0) for _ in range(2))
        assert first == again
        assert first != pareto.search(digits, scene, sampler, 4, 200.0)
        assert scene.seconds[first[0]].sum() == pytest.approx(first[1])


def test_max_and_min_say_what_is_wanted() -> None:
    assert pareto.goal("accuracy") == ("accuracy", "accuracy", True)
    assert pareto.goal("params") == ("params", "params", False)
    assert pareto.goal("max:pgd@Linf_eps-1.0") == ("max:pgd@Linf_eps-1.0", "pgd@Linf_eps-1.0", True)
    assert pareto.goal("min:accuracy").great is False


@pytest.mark.parametrize(
    ("objectives", "words"),
    [
        (["accuracy"], "objectives: accuracy: expected 2 to 4 of them"),
        (["accuracy", "params", "flops", "min:params", "max:flops"], "expected 2 to 4 of them"),
        (["accuracy", "watts"], "unknown objective 'watts'"),
    ],
)
def test_what_cannot_be_wanted_is_refused(digits: Table, objectives: list[str], words: str) -> None:
    with pytest.raises(BenchbedError, match=words):
        pareto.scene(digits, "digits", objectives, 1)


def test_a_figure_that_is_the_same_everywhere_or_missing_somewhere_is_refused() -> None:
    with pytest.raises(BenchbedError, match="objective 'accuracy': it is 50 everywhere, there is nothing to choose"):
        pareto._share(np.full((5,) * 6, 50.0), pareto.goal("accuracy"))
    with pytest.raises(BenchbedError, match="objective 'min:watts': the table lacks it of 2 of 4 architectures"):
        pareto._share(np.array([[1.0, np.nan], [np.nan, 2.0]]), pareto.goal("min:watts"))


@pytest.mark.parametrize("again", ["max:accuracy", "min:accuracy"])
def test_an_objective_is_there_once_however_it_is_spelled(digits: Table, again: str) -> None:
    with pytest.raises(BenchbedError, match=f"objectives: accuracy, {again}: 'accuracy' is there twice"):
        pareto.scene(digits, "digits", ["accuracy", again], digits.full_epochs)


def test_a_budget_that_is_too_small_for_the_first_draw(digits: Table, command: Command, tmp_path: Path) -> None:
    quickest = float(pareto.scene(digits, "digits", ["accuracy", "params"], digits.full_epochs).seconds.min())
    few = ("--sampler", "random", "--seeds", "0:3", "--budget", f"{quickest * 1.001}")
    done = command(*WORDS, "--out", tmp_path, *few)
    assert (done.status, done.out) == (2, "")
    said = r"benchbed: .*sampler random, seed [0-2]: the first evaluation takes [0-9.]+ seconds\n"
    assert re.fullmatch(said, done.err)



def test_a_sampler_that_is_none_and_a_budget_for_nothing(digits: Table, command: Command, tmp_path: Path) -> None:
    words = (*WORDS, "--out", tmp_path)
    assert "unknown sampler 'cmaes'" in command(*words, "--sampler", "cmaes").err
    refused = command(*words, "--budget", "0.01")
    assert refused.status == 2
    assert re.fullmatch(r"benchbed: --budget 0.01: the quickest evaluation takes [0-9.]+ seconds\n", refused.err)
    assert not any(tmp_path.iterdir())
