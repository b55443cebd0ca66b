"""Searching on a proxy, scoring on the target: what is paired with what, what is shared, what is refused."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchbed.errors import BenchbedError
from benchbed.studies.proxy import DIRECT, Found, laid_over, markdown, parse_proxy, summary

# -- proxies as text ---------------------------------------------------------------------------------------------------


def test_a_proxy_is_laid_over_the_targets_configuration() -> None:
    raw = {"task": "digits", "epochs": 10, "supernet": {"lr": 0.1}}
    proxy = parse_proxy("epochs=2, supernet.channels=4,task_options.train=500")
    assert laid_over(raw, proxy) == {
        "task": "digits",
        "epochs": 2,
        "supernet": {"lr": 0.1, "channels": 4},
        "task_options": {"train": 500},
    }
    assert raw == {"task": "digits", "epochs": 10, "supernet": {"lr": 0.1}}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("epochs", "expected KEY=VALUE"),
        ("epochs=", "expected KEY=VALUE"),
        ("epoch=2", "'epochs'"),
        ("seed=2", "seed"),
        ("searcher.name=random", "searcher.name"),
    ],
)
def test_what_is_no_proxy_is_named(text: str, words: str) -> None:
    with pytest.raises(BenchbedError, match=words):
        parse_proxy(text)


# -- figures -----------------------------------------------------------------------------------------------------------


def test_differences_are_paired_by_seed() -> None:
    found = [Found(DIRECT, s, "a", {"x": value}, 10.0) for s, value in ((0, 90.0), (1, 80.0))]
    found += [Found("epochs=2", s, "a", {"x": value}, 2.0) for s, value in ((0, 89.0), (1, 81.0))]
    direct, proxy = summary(found)
    assert direct["targets"]["x"][1][1:3] == (0.0, 0.0)
    mean, difference = proxy["targets"]["x"]
    assert (mean.mean, difference.mean, difference.n, proxy["seconds"]) == (85.0, 0.0, 2, 2.0)
    lines = markdown([direct, proxy])
    assert lines[2].startswith("| direct | 85.00 (21.47 to 148.53) |  | 10.0 |")
    assert lines[3].startswith("| epochs=2 | 85.00")
    assert "+0.00 (-12.71 to +12.71)" in lines[3]


def _slope(operation: int) -> np.ndarray:
    """Accuracies that rise by 2 points with every edge that has the operation: 50 to 62, best where all have it."""
    return 50.0 + 2.0 * (np.indices((5,) * 6) == operation).sum(0)


# -- whole studies -----------------------------------------------------------------------------------------------------


def test_a_search_on_another_fidelity_is_scored_by_the_full_training(
    make_table: Callable[..., Any], made: Callable[..., Any], tmp_path: Path
) -> None:
    """Short trainings prefer 1 everywhere, long ones 3: a search on either finds its own, scored by the long ones."""
    make_table("mine", valid=_slope(3), test=_slope(3) - 5, short=_slope(1))
    raw = {"objective": "table", "table": "mine", "dataset": "cifar10"}
    found = made("proxy", tmp_path, raw, proxy=["fidelity=12"], seeds="0:2").rows
    assert [(f.proxy, f.seed) for f in found] == [(DIRECT, 0), ("fidelity=12", 0), (DIRECT, 1), ("fidelity=12", 1)]
    assert [f.scores["cifar10"] for f in found] == [57.0, 45.0] * 2
    short = summary(found)[1]
    assert short["targets"]["cifar10"][1].mean == -12.0


def test_what_the_table_lacks_is_refused_before_any_search(
    make_table: Callable[..., Any], made: Callable[..., Any], tmp_path: Path
) -> None:
    values = np.full((5,) * 6, 50.0)
    make_table("mine", valid=values, test=values)
    raw = {"objective": "table", "table": "mine", "dataset": "cifar10"}
    for proxies, targets, words in (
        (["fidelity=12"], None, "12 epochs"),
        (["dataset=cifar100"], None, "cifar100"),
        (["epochs=2"], ["svhn"], "target of table mine 'svhn'"),
        (["epochs=2", "epochs=2"], None, "epochs=2 is given twice"),
    ):
        with pytest.raises(BenchbedError, match=words):
            made("proxy", tmp_path, raw, proxy=proxies, target=targets)
    assert list(tmp_path.iterdir()) == []


def test_fidelity_is_of_a_table_objective(tiny: dict[str, Any], made: Callable[..., Any], tmp_path: Path) -> None:
    with pytest.raises(BenchbedError, match="fidelity = 12: of objective 'table'"):
        made("proxy", tmp_path, tiny, proxy=["fidelity=12"])


def test_a_proxys_cell_is_trained_as_the_targets_and_once(
    tiny: dict[str, Any], made: Callable[..., Any], tmp_path: Path
) -> None:
    how = {"proxy": ["epochs=1", "supernet.channels=1"], "searcher": "random", "seeds": [0]}
    found = made("proxy", tmp_path, tiny, **how).rows
    assert {f.proxy for f in found} == {DIRECT, "epochs=1", "supernet.channels=1"}
    scores: dict[str, set[float]] = {}
    for f in found:
        scores.setdefault(f.architecture, set()).update(f.scores.values())
    assert all(len(values) == 1 for values in scores.values())  # whatever it was searched on
    assert [f.scores for f in made("proxy", tmp_path, tiny, **how).rows] == [f.scores for f in found]


def test_a_cell_found_on_other_images_is_scored_on_the_targets(
    tiny: dict[str, Any], made: Callable[..., Any], tmp_path: Path
) -> None:
    """Nothing can be learned on the proxy, whose labels are drawn: a score taken there would be another one."""
    rng = np.random.default_rng(1)
    images, labels = rng.normal(size=(200, 8, 8)).astype(np.float32), rng.permutation(np.arange(200) % 4)
    np.savez(tmp_path / "noise.npz", images=images, labels=labels)
    tiny["scoring"] = {**tiny["scoring"], "epochs": 6}
    how = {"proxy": [f"task=npz:{tmp_path / 'noise.npz'}"], "searcher": "random", "selector": "constant", "seeds": [0]}
    direct, proxy = made("proxy", tmp_path / "out", tiny, **how).rows
    assert proxy.architecture == direct.architecture
    assert proxy.scores == direct.scores
    (on_noise,) = (tmp_path / "out" / "scores").glob("*:noise.npz-*")  # the proxy's own run
    assert json.loads((on_noise / "record.json").read_text())["test_accuracy"] not in direct.scores.values()


def test_the_command_writes_the_matrix(make_table: Callable[..., Any], tmp_path: Path, command: Any) -> None:
    values = np.full((5,) * 6, 50.0)
    make_table("mine", valid=values, test=values)
    words = ["--objective", "table", "--table", "mine", "--dataset", "cifar10", "--seeds", "0:2", "--epochs", "2"]
    said = command("study", "proxy", *words, "--proxy", "epochs=1", "--out", tmp_path / "out", "--quiet")
    assert said.status == 0
    assert "| epochs=1 | 50.00" in said.out
    assert (tmp_path / "out" / "proxy.md").read_text() in said.out
    lines = [json.loads(line) for line in (tmp_path / "out" / "proxy.jsonl").read_text().splitlines()]
    assert [line["proxy"] for line in lines] == [DIRECT, "epochs=1"] * 2
