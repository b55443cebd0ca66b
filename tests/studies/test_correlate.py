"""Rankings against a table's: planted agreements, the published ones, what a folder or a table must hold."""

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
from scipy.stats import kendalltau

from benchbed.errors import BenchbedError
from benchbed.ranking.asked import asked
from benchbed.ranking.run import run
from benchbed.ranking.setting import Setting
from benchbed.stats.agreement import estimate
from benchbed.studies import correlate as room
from benchbed.tables import Figure, Table

MINE = {"table": "mine", "dataset": "cifar10"}
CELL = "|nor_conv_3x3~0|+|nor_conv_3x3~0|nor_conv_3x3~1|+|skip_connect~0|nor_conv_3x3~1|nor_conv_3x3~2|"


@pytest.fixture(autouse=True)
def few_resamples(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, "estimate", partial(estimate, resamples=5))


def additive(of_each: np.ndarray) -> np.ndarray:
    """(5,)*6: the sum over edges of what (6, 5) says of each operation."""
    grids = np.indices((5,) * 6)
    return sum(of_each[i][grids[i]] for i in range(6))


def folder(place: Path, space: str = "nb201", **record: Any) -> Path:
    place.mkdir(parents=True)
    (place / "config.json").write_text(json.dumps({"space": space}))
    (place / "record.json").write_text(json.dumps(record))
    return place


def test_the_published_agreements(real_table: Any, made: Callable[..., Any], tmp_path: Path) -> None:
    """Counting parameters gives 0.75 over all cells and 0.11 in the top decile of CIFAR-10's test accuracies."""
    asked = {"table": "nb201", "dataset": "cifar10", "predictor": ["params", "valid@12"]}
    params, short = made("correlate", tmp_path, **asked).rows
    assert params["rho"]["value"] == pytest.approx(0.75, abs=0.005)
    assert params["top_rho"]["value"] == pytest.approx(0.11, abs=0.005)
    assert params["rho"]["n"] == 15_625
    assert short["top_tau"]["value"] > params["top_tau"]["value"]


def test_probabilities_that_order_the_cells_as_the_truth_does(
    make_table: Any, made: Callable[..., Any], tmp_path: Path
) -> None:
    """Where accuracy is a sum over edges of log p, alpha's ranking is the truth's, and its opposite the reverse."""
    p = np.random.default_rng(3).dirichlet(np.ones(5), 6)
    truth = additive(np.log(p))
    make_table("mine", test=50 + 30 * (truth - truth.mean()) / np.ptp(truth))
    search = folder(tmp_path / "searches" / "one")
    (search / "history.jsonl").write_text(
        json.dumps({"epoch": 1, "seconds": 1, "accuracy": 5, "probabilities": p.tolist()}) + "\n"
    )
    run = folder(tmp_path / "run", scores=(-np.log(p)).tolist(), selector="perturb")
    found = made("correlate", tmp_path, **MINE, predictor=[f"alpha:{search}", f"scores:{run}"])
    assert [r["tau"]["value"] for r in found.rows] == pytest.approx([1, -1], abs=1e-6)
    assert [r["precision"]["value"] for r in found.rows] == pytest.approx([1, 0], abs=1e-6)
    assert found.rows[0]["top_tau"]["n"] == found.rows[0]["top_rho"]["n"] == 1563  # a tenth, rounded up


def test_a_supernet_ranks_what_it_was_trained_to(
    make_table: Any, command: Callable[..., Any], made: Callable[..., Any], tiny_flags: list[str], tmp_path: Path
) -> None:
    """A table that holds the supernet's own accuracies is ranked without an error; the same cells for every search."""
    names = ("--searcher", "random", "--selector", "magnitude")
    done = command("run", *names, *tiny_flags, "--table", "none", "--quiet", "--out", tmp_path)
    assert done.status == 0, done.err
    (search,) = (tmp_path / "searches").iterdir()
    make_table("mine")
    truth = room.truth_of(**MINE)
    own = room.predictor(f"supernet:{search}@60", truth)
    assert np.isfinite(own).sum() == 60
    make_table("other", test=np.where(np.isfinite(own), own, 0.0).reshape((5,) * 6))
    asked = {"table": "other", "dataset": "cifar10", "predictor": [f"supernet:{search}@60"]}
    (row,) = made("correlate", tmp_path, **asked).rows
    assert (row["tau"]["value"], row["tau"]["n"]) == (pytest.approx(1), 60)
    with pytest.raises(BenchbedError, match="2 architectures, expected 3 to 15,625"):
        room.predictor(f"supernet:{search}@2", truth)
    moved = search.rename(search.with_name("another"))
    with pytest.raises(BenchbedError, match="was made with other code or data"):
        room.predictor(f"supernet:{moved}", truth)


def test_a_score_that_was_not_measured_leaves_its_cells_out(
    make_table: Any, made: Callable[..., Any], tmp_path: Path
) -> None:
    make_table("mine")
    scores = np.zeros((6, 5)).tolist()
    scores[0][0] = None
    scores[1][1] = 1.0
    run = folder(tmp_path / "run", scores=scores, selector="perturb")
    (row,) = made("correlate", tmp_path, **MINE, predictor=[f"scores:{run}"]).rows
    assert row["tau"]["n"] == 4 * 5**5


def test_another_table_of_the_space(make_table: Any, made: Callable[..., Any], tmp_path: Path) -> None:
    other = make_table("other")
    make_table("mine", test=other.values("cifar10", "valid", 200))
    (row,) = made("correlate", tmp_path, **MINE, predictor=["other:cifar10/valid@200"], top=0.5).rows
    assert row["tau"]["value"] == pytest.approx(1)
    assert row["truth"] == str(Figure("cifar10", "test", 200))


def test_the_command_and_its_files(make_table: Any, command: Callable[..., Any], tmp_path: Path) -> None:
    made = make_table("mine")
    flags = ("--table", "mine", "--dataset", "cifar10", "--predictor", "valid@200", "--top", 0.2, "--out", tmp_path)
    done = command("study", "correlate", *flags)
    assert done.status == 0, done.err
    page = (tmp_path / "correlate.md").read_text()
    assert page in done.out
    assert "top-20% precision" in page
    (line,) = map(json.loads, (tmp_path / "correlate.jsonl").read_text().splitlines())
    assert (line["predictor"], line["fingerprint"], line["tau"]["n"]) == ("valid@200", made.fingerprint, 15_625)
    assert f"{line['tau']['value']:.3f}" in page
    svg = ElementTree.parse(tmp_path / "correlate.svg").getroot()
    assert svg.tag.endswith("svg")
    assert (tmp_path / "correlate.svg").stat().st_size < 500_000  # the points are one image


@pytest.mark.parametrize(
    ("asked", "text"),
    [
        (["paramz"], "unknown predictor 'paramz': did you mean 'params'"),
        (["valid@12"], "has no cifar10 valid accuracy after 12 epochs: nearest 200"),
        (["test@200"], "predictor 'test@200' is the truth itself"),
        (["valid@200", "valid@200"], "valid@200 is given twice"),
        (["alpha:nowhere"], "nowhere"),
        (["scores:nowhere"], "nowhere"),
        (["supernet:nowhere"], "nowhere"),
        (["mine.csv"], "predictor 'mine.csv': say which column of it predicts, mine.csv:COLUMN"),
    ],
)
def test_bad_input(make_table: Any, refused: Callable[..., str], asked: list[str], text: str) -> None:
    make_table("mine")
    flags = [word for a in asked for word in ("--predictor", a)]
    assert text in refused("study", "correlate", "--table", "mine", "--dataset", "cifar10", *flags)


def test_bad_folders_and_fractions(make_table: Any, made: Callable[..., Any], tmp_path: Path) -> None:
    make_table("mine")

    def ask(text: str, top: float = 0.1) -> None:
        made("correlate", tmp_path, **MINE, predictor=[text], top=top)

    chain = folder(tmp_path / "chain", "mbconv", scores=[[1.0]], selector="perturb")
    with pytest.raises(BenchbedError, match="is of space mbconv, table mine of nb201"):
        ask(f"scores:{chain}")
    silent = folder(tmp_path / "silent", scores=[[None] * 5] * 6, selector="constant")
    with pytest.raises(BenchbedError, match="its selector 'constant' scores no operation"):
        ask(f"scores:{silent}")
    empty = folder(tmp_path / "empty")
    (empty / "history.jsonl").write_text("{}\n")
    with pytest.raises(BenchbedError, match="holds no epoch: remove the search"):
        ask(f"alpha:{empty}")
    with pytest.raises(BenchbedError, match=r"top = 1\.0: input should be less than 1"):
        ask("valid@200", 1.0)


def test_a_proxy_beside_the_parameters_on_the_same_cells(
    make_table: Any, command: Callable[..., Any], tmp_path: Path, tiny_file: Path
) -> None:
    """A table that holds the scores themselves is ranked without an error; run again, nothing is scored again."""
    make_table("mine")
    truth = room.truth_of(**MINE)
    cells = room.some_of(truth, 12)
    done = run(Setting(task=f"npz:{tiny_file}"), asked(["synflow"]), cells, tmp_path / "alone")
    values = np.zeros(15_625)
    values[[truth.table.places.of(cell) for cell in cells]] = done.scores.columns["synflow"]
    make_table("other", test=values.reshape((5,) * 6))
    flags = ("--table", "other", "--dataset", "cifar10", "--predictor", "synflow", "--top", 0.5, "--cells", 12,
             "--task", f"npz:{tiny_file}", "--out", tmp_path / "out", "--quiet")  # fmt: skip
    said = command("study", "correlate", *flags)
    assert said.status == 0, said.err
    (line,) = map(json.loads, (tmp_path / "out" / "correlate.jsonl").read_text().splitlines())
    assert (line["tau"]["value"], line["tau"]["n"]) == (pytest.approx(1), 12)
    assert line["params"] is None


def test_scores_of_a_file_in_any_notation_and_what_is_not_finite_is_named(
    make_table: Any, made: Callable[..., Any], tmp_path: Path
) -> None:
    table = make_table("mine")
    cells = [table.places.architecture(place).text for place in range(40)]
    truth = table.values("cifar10", "test", 200).reshape(-1)
    rows = [f"{cell},{-truth[k]}" for k, cell in enumerate(cells)]
    rows[3], rows[5], rows[7] = f"{cells[3]},nan", f"{cells[5]},-inf", f"{cells[7]},"
    file = tmp_path / "theirs.csv"
    file.write_text("\n".join(["net_str,score", *rows, ""]))
    found = made("correlate", tmp_path / "out", **MINE, predictor=[f"{file}:score"])
    (row,) = found.rows
    assert (row["tau"]["value"], row["tau"]["n"]) == (pytest.approx(-1), 37)
    said = f"{file}:score: 3 of 40 scores are not finite (2 NaN, 1 infinite), the first of {cells[3]}"
    assert row["note"] == said
    assert f"{said}; they are left out." in found.page


def test_parameters_are_held_against_the_same_cells_and_the_truth_is_named(
    made: Callable[..., Any], tmp_path: Path
) -> None:
    """Of validation, and of a file's thirty cells: the parameters' tau is scipy's on those thirty."""
    table, file = Table.open("nb201-digits"), tmp_path / "some.csv"
    places = np.random.default_rng(0).permutation(15_625)[:30]
    lines = [f"{table.places.architecture(int(place)).text},{k}" for k, place in enumerate(places)]
    file.write_text("\n".join(["arch,score", *lines, ""]))
    asked = {"table": "nb201-digits", "dataset": "digits", "split": "valid", "top": 0.5}
    found = made("correlate", tmp_path / "out", **asked, predictor=["params", f"{file}:score"])
    whole, some = found.rows
    assert whole["truth"] == "digits_valid_1"
    assert "digits valid accuracy" in found.page
    assert whole["params"]["tau"] == whole["tau"]
    params = table.cost("params", "digits").reshape(-1)[places]
    truth = table.values("digits", "valid", 1).reshape(-1)[places]
    assert some["params"]["tau"]["value"] == pytest.approx(kendalltau(params, truth).statistic)
    assert some["params"]["tau"]["n"] == some["tau"]["n"] == 30
    above = some["params"]["above"]
    assert above["value"] == pytest.approx(some["tau"]["value"] - some["params"]["tau"]["value"])
    assert above["low"] < above["value"] < above["high"]
    assert tuple(whole["params"]["above"].values())[:3] == (0.0, 0.0, 0.0)
    assert "| tau-b minus theirs | and in the top |" in found.page


@pytest.mark.parametrize(
    ("flags", "text"),
    [
        (("--predictor", "synflo"), "unknown predictor 'synflo': did you mean 'synflow'"),
        (("--predictor", "nwot:batch=1"), "proxy 'nwot': batch = 1"),
        (("--predictor", "missing.csv:a"), "missing.csv"),
        (("--predictor", "synflow", "--cells", "2"), "cells = 2"),
        (("--predictor", "synflow", "--task", "digit"), "unknown task 'digit'"),
        (("--predictor", "params", "--split", "tests"), "tests"),
    ],
)
def test_bad_scores_are_refused_before_anything_is_made(
    make_table: Any, refused: Callable[..., str], flags: tuple[str, ...], text: str
) -> None:
    make_table("mine")
    assert text in refused("study", "correlate", "--table", "mine", "--dataset", "cifar10", "--out", "out", *flags)
