"""The parts of the published page on zero-cost proxies, predictors and BOHB's rungs: what they compute and say."""

import json
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest
from scipy.stats import kendalltau, spearmanr

from benchbed.spaces.nb201.space import NB201, all_architectures

from .conftest import RESULTS, script

FOLDER = RESULTS / "published"


@pytest.fixture(scope="module")
def zero_cost() -> ModuleType:
    return script("published/zero_cost")


@pytest.fixture(scope="module")
def predictors() -> ModuleType:
    return script("published/predictors")


@pytest.fixture
def table() -> Any:
    """A table whose accuracies of every data set and split are drawn at random."""
    drawn = {
        key: np.random.default_rng(seed).uniform(10, 95, (5,) * 6)
        for seed, key in enumerate(
            (dataset, split) for dataset in ("cifar10", "cifar100", "imagenet16-120") for split in ("valid", "test")
        )
    }
    return SimpleNamespace(values=lambda dataset, split, epochs: drawn[dataset, split], full_epochs=200)


def lines(name: str) -> list[dict[str, Any]]:
    found = [json.loads(text) for text in (FOLDER / name).read_text().splitlines()]
    return [line for line in found if "conditions" not in line]


def test_a_cell_that_lives_computes_what_the_whole_cell_does(zero_cost: ModuleType) -> None:
    """The space's canonical form, which is other code, is that of the living part; what lives is alive as a whole."""
    space = NB201()
    cells = list(all_architectures())
    alive = [zero_cost.living(cell) for cell in cells]
    for cell, one in zip(cells[::7], alive[::7], strict=True):
        assert space.canonical(cell) == space.canonical(one)
        assert zero_cost.living(one) == one
    assert len(set(alive)) == 9445, "NAS-Bench-Suite-Zero's scores leave out as many others"


def test_scores_are_carried_to_cells_with_dead_operations_alone(zero_cost: ModuleType) -> None:
    dead = NB201().parse("|none~0|+|skip_connect~0|nor_conv_3x3~1|+|nor_conv_1x1~0|none~1|avg_pool_3x3~2|")
    alive = NB201().parse("|none~0|+|skip_connect~0|none~1|+|nor_conv_1x1~0|none~1|avg_pool_3x3~2|")
    found = zero_cost.carried({alive: 3.0})
    assert found[dead] == found[alive] == 3.0
    assert all(zero_cost.living(cell) == alive for cell in found)


def test_correlations_are_scipys(zero_cost: ModuleType, table: Any, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    cells = [cell for cell in all_architectures() if zero_cost.living(cell) == cell][:60]
    head = ["net", "net_str", *zero_cost.PROXIES]
    drawn = rng.normal(size=(len(cells), len(zero_cost.PROXIES))).round(1)  # with ties
    rows = [["x", cell.text, *map(str, row)] for cell, row in zip(cells, drawn.tolist(), strict=True)]
    file = tmp_path / "scores.csv"
    file.write_text("".join(",".join(row) + "\n" for row in [head, *rows]))
    found = zero_cost.computed(table, file, {})
    assert len(found) == 3 * 2 * (len(zero_cost.PROXIES) + len(zero_cost.CARRIED))
    wanted = {"dataset": "cifar100", "split": "valid", "cells": "scored", "proxy": "zen"}
    (one,) = [x for x in found if wanted.items() <= x.items()]
    y = np.array([table.values("cifar100", "valid", 200)[cell.choices] for cell in cells])
    x = drawn[:, zero_cost.PROXIES.index("zen")]
    assert one["tau"]["value"] == pytest.approx(kendalltau(x, y).statistic)
    assert one["rho"]["value"] == pytest.approx(spearmanr(x, y).statistic)
    best = y >= np.quantile(y, 0.9)
    assert one["top_tau"]["n"] == best.sum() == 6
    assert one["top_tau"]["value"] == pytest.approx(kendalltau(x[best], y[best]).statistic)
    assert zero_cost.computed(table, tmp_path / "none.csv") == []


def test_the_jackknife_is_as_wide_as_a_bootstrap(zero_cost: ModuleType) -> None:
    """Its mean width is within a fifth of the percentile bootstrap's, and of 40 samples it covers most."""
    from benchbed.stats.agreement import estimate, spearman

    rng = np.random.default_rng(1)
    widths, covered = [], 0
    for k in range(40):
        x = rng.normal(size=400)
        y = x + rng.normal(size=400)
        one = zero_cost.estimate(spearman, x, y)
        assert one.value == pytest.approx(spearmanr(x, y).statistic)
        covered += one.low <= 6 / np.pi * np.arcsin(np.sqrt(0.5) / 2) <= one.high
        if k < 8:
            other = estimate(spearman, x, y, resamples=300)
            widths.append((one.high - one.low, other.high - other.low))
    ours, theirs = np.mean(widths, axis=0)
    assert ours == pytest.approx(theirs, rel=0.2)
    assert covered >= 34  # of 40; 38 are expected


@pytest.mark.parametrize(
    ("figure", "inside"), [("0.74", True), ("0.70", True), ("0.69", False), ("0.694", False), ("0.81", False)]
)
def test_an_interval_holds_a_figure_to_its_last_digit(zero_cost: ModuleType, figure: str, inside: bool) -> None:
    assert zero_cost.holds({"low": 0.7, "high": 0.8}, figure) == inside


def test_every_printed_correlation_names_a_line_of_ours_and_a_cause(zero_cost: ModuleType) -> None:
    page = script("published/page")
    made = {(x["dataset"], x["split"], x["cells"], x["proxy"]) for x in lines("zero-cost.jsonl")}
    for one in page.printed("correlation"):
        assert one["tag"] in page.READ
        assert one["cause"]
        for dataset, _, _, proxy in one["rows"]:
            split = one["split"].get(dataset, "test")
            assert {(dataset, split, kind, proxy) for kind in one["judged_on"]} <= made
    text = "\n".join(zero_cost.section(FOLDER, page.printed("correlation"), page.READ))
    verdicts = ("outside", "agrees", "agrees by their code", "not told from either")
    assert sum(text.count(f"| {one} |") for one in verdicts) == 34


def test_what_the_authors_code_changes_is_a_difference_on_the_same_cells(zero_cost: ModuleType, table: Any) -> None:
    """Scores that are the carried ones change nothing; accuracy itself brings rho to 1 on the sample."""
    cells = list(all_architectures())[:400]
    truth = table.values("cifar10", "valid", 200)
    drawn = {cell: float(x) for cell, x in zip(cells, np.random.default_rng(0).normal(size=400), strict=True)}
    theirs = {cell: dict.fromkeys(zero_cost.AUTHORS, drawn[cell]) | {"snip": truth[cell.choices]} for cell in cells}
    theirs[cells[0]]["fisher"] = float("nan")
    wide = dict.fromkeys(zero_cost.AUTHORS.values(), drawn)
    found = {x["proxy"]: x for x in zero_cost.by_authors(table, wide, theirs) if x["dataset"] == "cifar10"}
    rho = spearmanr(list(drawn.values()), [truth[cell.choices] for cell in cells]).statistic
    assert found["synflow"]["split"] == "valid"
    assert (found["synflow"]["difference"]["low"], found["synflow"]["difference"]["high"]) == (0, 0)
    assert found["synflow"]["rho"]["value"] == pytest.approx(rho)
    assert found["snip"]["rho"]["value"] == pytest.approx(1)
    assert found["snip"]["difference"]["value"] == pytest.approx(1 - rho)
    assert sum(part["n"] for part in found["fisher"]["parts"].values()) == 399
    parts = found["snip"]["parts"]
    whole = [cell for cell in cells if zero_cost.living(cell) == cell]
    assert parts["reached"]["n"] == len(whole)
    expected = spearmanr([drawn[c] for c in whole], [truth[c.choices] for c in whole]).statistic
    assert parts["reached"]["carried"] == parts["reached"]["of_both"] == pytest.approx(expected)
    assert parts["not reached"]["theirs"] == pytest.approx(1)


@pytest.mark.parametrize(
    ("ours", "theirs", "difference", "said"),
    [
        ((0.3, 0.5), (0.3, 0.5), (-0.1, 0.1), "agrees"),
        ((0.5, 0.6), (0.3, 0.5), (-0.2, -0.1), "agrees by their code"),
        ((0.5, 0.6), (0.3, 0.6), (-0.2, 0.1), "not told from either"),
        ((0.5, 0.6), (0.1, 0.2), (-0.4, -0.3), "outside"),
        ((0.5, 0.6), None, None, "outside"),
    ],
)
def test_a_figure_agrees_by_their_code_where_it_is_told_from_ours(
    zero_cost: ModuleType, ours: Any, theirs: Any, difference: Any, said: str
) -> None:
    def between(ends: Any) -> dict[str, float]:
        return {"low": ends[0], "high": ends[1]}

    beside = {"rho": between(theirs), "difference": between(difference)} if theirs else None
    line = {"scored": {"rho": between((0.39, 0.41))}, "carried": {"rho": between(ours)}, "authors": beside}
    assert zero_cost._verdict(line, {"measure": "rho"}, "0.40") == said


def test_the_authors_batch_is_64_cropped_flipped_normalised_images() -> None:
    authors = script("published/authors_proxies")
    images = np.full((100, 3, 32, 32), 255, np.uint8)
    images[:, :, :, :16] = 0  # the left half is black, so that a flip shows
    x, y = authors.batch(images, np.arange(100), np.random.default_rng(0))
    assert x.shape == (64, 3, 32, 32)
    assert len(set(y.tolist())) == 64
    white = (1 - np.array(authors.MEAN)) / np.array(authors.DEVIATION)
    black = -np.array(authors.MEAN) / np.array(authors.DEVIATION)
    assert x.amax((0, 2, 3)).numpy() == pytest.approx(white, rel=1e-5)
    assert x.amin((0, 2, 3)).numpy() == pytest.approx(black, rel=1e-5)
    flipped = (x[:, 0, 16, 8] > 0).sum().item()
    assert 16 <= flipped <= 48, "a coin each: 32 are expected"


def test_a_predictor_is_judged_on_cells_that_it_did_not_learn(
    predictors: ModuleType, table: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that knows what it learned and has the rest upside down has -1; one that sees the truth has 1."""
    cells = list(all_architectures())[:300]
    valid, test = (
        np.array([table.values("cifar10", split, 200)[cell.choices] for cell in cells]) for split in ("valid", "test")
    )
    monkeypatch.setattr(predictors, "cells_of", lambda pool, file: cells)
    asked = {"id": "x", "cells": "all", "splits": ["valid", "test"], "dataset": "cifar10", "sizes": [20], "draws": 2,
             "ours": ["memory"]}  # fmt: skip

    def memory(text: str, cells: Any, seen: Any, y: Any, seed: int) -> Any:
        assert len(seen) == 20
        assert (y == valid).all()
        return np.where(np.isin(np.arange(len(cells)), seen), test, -test)

    monkeypatch.setattr(predictors, "said", memory)
    (line,) = predictors.computed(table, [asked])
    assert line["taus"] == pytest.approx([-1.0, -1.0])

    monkeypatch.setattr(predictors, "said", lambda *_: test)
    (line,) = predictors.computed(table, [asked])
    assert line["taus"] == pytest.approx([1.0, 1.0])


def test_forests_as_theirs_learn(predictors: ModuleType) -> None:
    """On accuracies that are the number of 3x3 convolutions they rank cells that they did not see."""
    cells = list(all_architectures())[::50]
    y = np.array([float(cell.choices.count(3)) for cell in cells])
    seen = np.arange(0, len(cells), 2)
    for text in ("as theirs:one-hot", "as theirs:graph", "random-forest"):
        found = predictors.said(text, cells, seen, y, 0)
        assert kendalltau(found[1::2], y[1::2]).statistic > 0.6, text


@pytest.mark.parametrize(("printed", "said"), [("0.30", "is outside"), ("0.52", "agrees"), ("0.30, 0.31", "is outside"),
                                               ("0.45, 0.52", "agrees")])  # fmt: skip
def test_the_verdict_on_printed_draws(predictors: ModuleType, printed: str, said: str) -> None:
    taus = [0.45, 0.50, 0.55]
    own = [{"predictor": "p", "taus": taus, "tau": {"mean": 0.5, "low": 0.376, "high": 0.624}}]
    assert f"**{said}**" in predictors._verdict({"like": "p", "rows": [["x", printed]]}, own)
    assert predictors._verdict({"rows": [["x", printed]]}, own) == ""


def test_bohb_reads_twelve_epochs_on_every_rung_where_it_is_to(monkeypatch: pytest.MonkeyPatch) -> None:
    rungs = script("published/rungs")
    options: list[dict[str, Any]] = []
    asked: list[set[int]] = []

    def search(objective: Any, given: dict[str, Any], seed: int) -> Any:
        options.append(given)
        cell = next(all_architectures())
        asked.append({int(objective.evaluate(cell, epochs).accuracy) for epochs in (12, 200)})
        return cell, 1

    accuracy = {12: np.full((5,) * 6, 12.0), 200: np.full((5,) * 6, 90.0)}
    monkeypatch.setattr(rungs, "search", search)
    monkeypatch.setattr(rungs, "trainings_of", lambda table, dataset, epochs: (accuracy[epochs], np.ones((5,) * 6)))
    monkeypatch.setattr(rungs, "noise_by_accuracy", lambda table: [{"mean": 12.0, "deviation": 0.0}])
    table = SimpleNamespace(
        space=NB201(), full_epochs=200, datasets=["cifar10"], values=lambda dataset, split, epochs: accuracy[200]
    )
    found = rungs.explanations(table, 2)
    assert asked == [{12, 90}] * 2 + [{12}] * 4
    assert options[:2] == [{}, {}]
    assert options[2]["random_fraction"] == 0
    assert [line["figures"]["cifar10 test"]["mean"] for line in found] == [90.0] * 3


def test_the_page_says_how_many_seeds_a_row_has() -> None:
    """Every line of searches has its own number, and of those that ask a model it is not the others'."""
    page = (FOLDER / "published.md").read_text()
    for line in lines("searches.jsonl"):
        for figure, ours in line["figures"].items():
            assert f"| {line['searcher']} | {ours['n']} | {figure} |" in page
    own = [line for line in lines("searches.jsonl") if line["paper"] == "nb201"]
    counts = {line["searcher"]: line["figures"]["cifar10 test"]["n"] for line in own}
    assert counts["bohb"] == 500
    assert counts["gp"] == 40


def test_bohb_by_the_study_and_by_the_script_of_explanations_is_one() -> None:
    """Two ways to run the same 500 searches; and the band is that of the page."""
    (study,) = [line for line in lines("searches.jsonl") if line["searcher"] == "bohb"]
    told, ignored, noisy = lines("rungs.jsonl")
    for name, figure in study["figures"].items():
        assert told["figures"][name] == pytest.approx(figure)
    assert told["evaluations"] == pytest.approx(study["evaluations"])
    again, page = script("published/again"), script("published/page")
    table = again.rungs(FOLDER, page.tables())
    assert sum(row.endswith("| inside |") for row in table if "one training of two" in row) == 6, "what searches say"
    shown = [row for row in table if "| cifar10 test |" in row]
    near = [abs(line["figures"]["cifar10 test"]["mean"] - 93.61) <= 0.26 for line in (told, ignored, noisy)]
    said = [row.rsplit("|", 2)[1].strip() for row in shown]
    assert said == ["inside" if inside else "outside" for inside in near]


def test_searchers_that_ask_a_model_end_as_on_their_own_page() -> None:
    """results/predictors.jsonl has the same 40 seeds, run at another time and on the table without further figures.

    It was another processor, on which the Gaussian process rounds otherwise: a seed of `gp` may choose another cell.
    """
    text = (RESULTS / "predictors.jsonl").read_text().splitlines()
    elsewhere = {x["searcher"]: x["test"]["mean"] for x in map(json.loads, text) if "searcher" in x}
    asked = [line for line in lines("searches.jsonl") if line["paper"] == "nb201"]
    own = [line for line in asked if line["figures"]["cifar10 test"]["n"] == 40]
    assert len(own) == 4
    for line in own:
        apart = 0.02 if line["searcher"] == "gp" else 1e-9
        assert line["figures"]["cifar10 test"]["mean"] == pytest.approx(elsewhere[line["searcher"]], abs=apart)


def test_the_cells_of_the_scores_are_read(predictors: ModuleType, tmp_path: Path) -> None:
    cells = list(all_architectures())[:3]
    file = tmp_path / "scores.csv"
    file.write_text("net_str\n" + "".join(f"{cell.text}\n" for cell in cells))
    assert predictors.cells_of("scored", file) == cells
    assert predictors.cells_of("scored", tmp_path / "none.csv") is None
    assert len(predictors.cells_of("all", file)) == 15625


def test_a_placeholder_is_no_score(zero_cost: ModuleType, tmp_path: Path) -> None:
    file = tmp_path / "scores.csv"
    (cell,) = list(all_architectures())[:1]
    row = dict.fromkeys(zero_cost.PROXIES, "1.5") | {"jacov": "-100000000.0"}
    file.write_text(f"net_str,{','.join(row)}\n{cell.text},{','.join(row.values())}\n")
    found = zero_cost.scores(file)
    assert np.isnan(found["jacov"][cell])
    assert found["nwot"][cell] == 1.5


@pytest.mark.parametrize("name", ["random-search", "regularised-evolution", "reinforce-search"])
def test_evolutions_explanation_searches_as_the_studies_do(name: str) -> None:
    """By the embedded accuracies: the incumbent of as many evaluations as the clock has room for, by either rule."""
    evolution = script("published/evolution")
    rng = np.random.default_rng(0)
    accuracy, seconds = rng.uniform(50, 90, (5,) * 6), np.full((5,) * 6, 500.0)
    table = SimpleNamespace(space=NB201(), full_epochs=200, values=lambda *_: accuracy)
    found, evaluations = evolution.search(name, table, accuracy, seconds, 0, rule=False)
    assert evaluations == 24  # 12,000 s
    assert accuracy[found.choices] > 80
    assert evolution.search(name, table, accuracy, seconds, 0, rule=True)[1] == 25
