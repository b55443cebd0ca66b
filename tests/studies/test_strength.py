"""The strength of operations: planted rankings, the candidates against the definition, resumption, the command."""

import json
import math
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
import torch

from benchbed.errors import BenchbedError
from benchbed.objective import Decisions
from benchbed.pipeline.build import build_parts, task_of
from benchbed.pipeline.resolve import expand
from benchbed.runtime.folder import load_checkpoint
from benchbed.runtime.options import RunOptions
from benchbed.spaces.darts.space_s2 import DartsS2
from benchbed.spaces.nb201.space import NB201
from benchbed.studies import strength as room
from benchbed.studies.analysis.strength_page import (
    SCORES,
    Candidate,
    Found,
    chosen,
    edge_row,
    markdown,
    pooled,
    rows,
)
from benchbed.studies.strength import edges_of, found_in, training_options
from benchbed.study import run_study

OPTIONS = {"seeds": [0], "tune_epochs": 2, "min_tune_epochs": 1, "patience": 1}


def candidates(edge: str, p: list[float], without: list[float], alone: list[float]) -> list[Candidate]:
    return [Candidate(edge, f"o{k}", *values, 3, 0.5) for k, values in enumerate(zip(p, without, alone, strict=True))]


# -- figures -----------------------------------------------------------------------------------------------------------


def test_a_planted_edge() -> None:
    """Alpha ranks the four exactly backwards; perturbation has two neighbours the wrong way round."""
    edge = candidates("a", [0.4, 0.3, 0.2, 0.1], [80, 70, 60, 65], [50, 60, 70, 75])
    alpha, cheap = edge_row(edge, SCORES["alpha"]), edge_row(edge, SCORES["perturbation"])
    assert (alpha["rho"], alpha["tau"]) == (pytest.approx(-1), pytest.approx(-1))
    assert (alpha["agree"], alpha["regret"]) == (0, 25)
    assert (cheap["rho"], cheap["tau"]) == (
        pytest.approx(0.8),
        pytest.approx(2 / 3),
    )  # 1 - 6 * 2 / 60; 5 - 1 of 6 pairs
    assert (cheap["agree"], cheap["regret"]) == (0, 5)


def test_chance_and_ties_are_means_over_draws() -> None:
    edge = candidates("a", [0.4, 0.4, 0.1, 0.1], [50] * 4, [75, 50, 60, 75])
    chance, alpha = edge_row(edge, SCORES["chance"]), edge_row(edge, SCORES["alpha"])
    assert (chance["agree"], chance["regret"]) == (0.5, 75 - 65)
    assert (alpha["agree"], alpha["regret"]) == (0.5, 75 - 62.5)
    assert math.isnan(chance["rho"])


def test_two_operations_have_no_rank_correlation_but_an_agreement() -> None:
    row = edge_row(candidates("a", [0.4, 0.6], [1, 2], [50, 60]), SCORES["alpha"])
    assert math.isnan(row["rho"])
    assert (row["agree"], row["regret"]) == (1, 0)


def test_all_edges_together_are_relative_to_their_means() -> None:
    """Within either edge the order is perfect; the second edge is worse as a whole, which must not show."""
    one = candidates("a", [0.2, 0.3, 0.5], [3, 2, 1], [90, 91, 92])
    two = candidates("b", [0.2, 0.3, 0.5], [3, 2, 1], [10, 11, 12])
    assert pooled([one, two], SCORES["alpha"]) == pytest.approx(1)


def test_the_page_has_the_best_of_every_edge_and_says_whose_the_papers_figures_are() -> None:
    edge = candidates("a", [0.4, 0.3, 0.2, 0.1], [80, 70, 60, 65], [50, 60, 70, 75])
    found = [Found(seed, 60.0 + seed, edge) for seed in (0, 1)]
    assert [row["regret"] for row in rows(found)["alpha"]] == [25, 25]
    assert chosen(found, SCORES["alpha"]) == Counter({"o0": 2})
    page = "\n".join(markdown(found))
    assert "| perturbation - alpha | +1.80 (all equal) |" in page
    assert "| a | o3 2 | o0 2 | -1.00 | 25.00 | o2 2 | 0.80 | 5.00 |" in page
    assert "read in the paper's double-blind submission" in page


# -- which edges, how long ---------------------------------------------------------------------------------------------


def test_edges_are_nested_and_hold_a_choice() -> None:
    assert edges_of(NB201(), None) == list(range(6))
    few, more = (set(edges_of(DartsS2(), count)) for count in (3, 9))
    assert len(few) == 3
    assert few < more < set(edges_of(DartsS2(), None))
    for wrong in (0, 7):
        with pytest.raises(BenchbedError, match=f"--edges {wrong}: the space has 6 positions"):
            edges_of(NB201(), wrong)


def test_the_fewest_epochs_give_way_to_the_most_only_where_they_were_not_given() -> None:
    assert (training_options({}).min_epochs, training_options({}).epochs) == (5, 20)
    assert training_options({"epochs": 3}).min_epochs == 3
    with pytest.raises(BenchbedError, match="study strength: min_epochs = 4: at most epochs = 3"):
        training_options({"epochs": 3, "min_epochs": 4})


# -- on a supernet -----------------------------------------------------------------------------------------------------


@pytest.fixture
def strength(made: Callable[..., Any]) -> Callable[..., list[Found]]:
    """`strength(raw, edges, out)`: of one search."""
    return lambda raw, edges, out: found_in(made("strength", out, raw, edges=edges, **OPTIONS).rows)


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory, tiny_file: Path) -> tuple[Path, dict[str, Any], list[Found]]:
    """One search of the tiny task, one edge."""
    raw = {
        "task": f"npz:{tiny_file}",
        "epochs": 2,
        "supernet": {"channels": 2, "batch": 40, "valid_batch": 40, "eval_batch": 40},
        "scoring": {"channels": 2, "epochs": 1, "batch": 40},
    }
    out = tmp_path_factory.mktemp("strength")
    options = RunOptions(out, torch.device("cpu"))
    return out, raw, found_in(run_study("strength", {**OPTIONS, "edges": 1}, options, raw).rows)


def test_each_candidate_is_the_definition(measured: tuple[Path, dict[str, Any], list[Found]]) -> None:
    """By hand from the search's final state: probability, accuracy without it, and tuned with it alone."""
    out, raw, (found,) = measured
    (config,) = expand(raw, ["darts"], ["magnitude"], [0])
    (search,) = (out / "searches").iterdir()
    (edge,) = edges_of(NB201(), 1)
    for k, one in enumerate(found.candidates):
        parts = build_parts(config, task_of(config), torch.device("cpu"))
        parts.load_state(load_checkpoint(search / "checkpoint.pt")["tree"]["parts"])
        p = parts.searcher.probabilities()
        assert one.operation == parts.space.positions[edge].operations[k]
        assert one.p == float(p[edge, k])
        masked = p.clone()
        masked[edge, k] = 0
        assert one.without == pytest.approx(float(parts.objective.measure(masked).accuracy))
        alone = parts.objective.decided(Decisions.none(parts.space).decide(edge, k))
        alone.new_optimiser(0.1, 2, "constant")
        accuracies = []
        for _ in range(one.epochs):
            for _ in range(alone.steps_per_epoch):
                alone.weight_step(p, alone.batch("train"))
            accuracies.append(float(alone.measure(p).accuracy))
        assert one.alone == pytest.approx(max(accuracies))


def test_a_killed_study_goes_on_and_more_edges_add_to_it(
    measured: tuple[Path, dict[str, Any], list[Found]],
    strength: Callable[..., list[Found]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    _, raw, (whole,) = measured
    made, discretised = [], room.discretised

    def dying(context: Any, decisions: Decisions, *rest: Any) -> Any:
        made.append(int(decisions.rows.argmax()))
        if len(made) == 3:
            raise KeyboardInterrupt
        return discretised(context, decisions, *rest)

    monkeypatch.setattr(room, "discretised", dying)
    with pytest.raises(KeyboardInterrupt):
        strength(raw, 1, tmp_path)
    (again,) = strength(raw, 1, tmp_path)
    assert [c._replace(seconds=0) for c in again.candidates] == [c._replace(seconds=0) for c in whole.candidates]
    assert len(made) == 6, "five candidates, one of them begun twice"
    (more,) = strength(raw, 2, tmp_path)
    assert len(made) == 11
    assert set(again.candidates) < set(more.candidates)


def test_the_command(command: Callable[..., Any], tiny_flags: list[str], tmp_path: Path) -> None:
    out = tmp_path / "out"
    words = ["study", "strength", "--seeds", "0:1", "--edges", 1, "--tune-epochs", 1, "--out", out, *tiny_flags]
    done = command(*words)
    assert done.status == 0, done.err
    assert "edges 1, searches 1: 5 tunings of 1 to 1 epochs" in done.err
    assert done.err.index("tunings") < done.err.index("epoch   1/2"), "told before anything is made"
    lines = [json.loads(line) for line in (out / "strength.jsonl").read_text().splitlines()]
    assert [line["operation"] for line in lines] == list(NB201().positions[0].operations)
    assert sum(line["p"] for line in lines) == pytest.approx(1)
    assert (out / "strength.md").read_text() in done.out
    ElementTree.fromstring((out / "strength.svg").read_bytes())


def test_what_is_refused(refused: Callable[..., str], tiny_flags: list[str]) -> None:
    words = ["study", "strength", "--seeds", "0:1", *tiny_flags]
    assert "--edges 9: the space has 6 positions" in refused(*words, "--edges", 9)
    assert "min_epochs = 4" in refused(*words, "--tune-epochs", 3, "--min-tune-epochs", 4)
    assert "--tune-epochs 0: at least 1 is needed" in refused(*words, "--tune-epochs", 0)
    assert "patience = 0" in refused(*words, "--patience", 0)
