"""Proxy warm-up: what a search begins with, that the rest is as without it, and what it does not fit."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from benchbed import registry
from benchbed.cost import without_cost
from benchbed.errors import BenchbedError
from benchbed.modifier import made_of
from benchbed.searcher import Clock
from benchbed.searchers.modifiers.proxy_warmup import ProxyWarmup
from benchbed.streams import Streams
from benchbed.testing.toys import ToyCell, ToySpace, ToyTable, random_table
from benchbed.testing.tree import require_same, through_file

DRAWING = ("asha", "bananas", "bohb", "gp", "hyperband", "local-search", "npenas", "random-search",
           "regularised-evolution", "successive-halving")  # fmt: skip
OTHERS = ("command", "optuna", "reinforce-search", "darts", "random")


def every_cell(table: ToyTable) -> list[Any]:
    found, left = {}, [table.space.random(np.random.default_rng(0))]
    while left:
        one = left.pop()
        if one not in found:
            found[one] = table.evaluate(one, 1).accuracy
            left += table.space.neighbours(one)
    return sorted(found, key=found.__getitem__, reverse=True)


@pytest.fixture
def truth(tmp_path: Path) -> tuple[ToyTable, str]:
    """A table, and a file that scores each architecture by its place among all."""
    table = random_table(ToyCell(), 0)
    ranked = every_cell(table)
    lines = [f"{cell},{len(ranked) - i}" for i, cell in enumerate(ranked)]
    (tmp_path / "scores.csv").write_text("\n".join(["arch,truth", *lines]) + "\n")
    return table, f"{tmp_path / 'scores.csv'}:truth"


def made(name: str, table: ToyTable, options: dict[str, Any], **given: Any) -> Any:
    base = registry.load("searcher", name)
    kind = made_of(base, (("proxy-warmup", ProxyWarmup),))
    own = {**base.suite_options, "budget": 40.0, **({} if "fidelity" in base.suite_options else {"fidelity": 1})}
    return kind(table.space, kind.Options(**{**own, **given}, modifiers={"proxy-warmup": options}), Streams(0))


def search(searcher: Any, table: ToyTable, *steps: int, of: int = 1) -> Any:
    for step in steps or (0,):
        searcher.arch_step(without_cost(table), None, Clock(0, step, 1, of))
    return searcher


@pytest.mark.parametrize("name", DRAWING)
def test_the_best_of_the_pool_comes_first_and_in_order(name: str, truth: tuple[ToyTable, str]) -> None:
    table, by = truth
    searcher = search(made(name, table, {"by": by, "pool": 10**6, "first": 3}), table)
    expected = every_cell(table)[:3]
    seen = list(dict.fromkeys(trial.architecture for trial in searcher.base.trials))
    new = [one for one in seen if one in expected] if name == "local-search" else seen[:3]
    assert seen[0] == expected[0]
    assert new == expected or name in ("asha", "local-search")  # which look at others in between
    assert searcher.base.prepared == [] or name == "local-search"  # a start that is known is passed over


def test_after_that_it_draws_as_without(truth: tuple[ToyTable, str]) -> None:
    table, by = truth
    plain = registry.load("searcher", "random-search")
    plain = search(plain(table.space, plain.Options(budget=40.0, fidelity=1), Streams(0)), table)
    warm = search(made("random-search", table, {"by": by, "first": 4}), table)
    assert [t.architecture for t in warm.base.trials[4:]] == [t.architecture for t in plain.trials[4:]]
    assert [t.architecture for t in warm.base.trials[:4]] != [t.architecture for t in plain.trials[:4]]


def test_evolutions_first_population_is_the_best_of_the_pool(truth: tuple[ToyTable, str]) -> None:
    table, by = truth
    warm = search(made("regularised-evolution", table, {"by": by, "pool": 10**6}, population=10), table)
    assert [trial.architecture for trial in warm.base.trials[:10]] == every_cell(table)[:10]


def test_parameters_rank_a_uniform_pool() -> None:
    table = random_table(ToySpace(), 0)
    warm = search(made("random-search", table, {"pool": 500, "first": 2}), table)
    sizes = [sum(ord(letter) - ord("a") for letter in str(cell).split("-")) for cell in every_cell(table)]
    first = [sum(ord(letter) - ord("a") for letter in str(t.architecture).split("-")) for t in warm.base.trials[:2]]
    assert first == sorted(sizes, reverse=True)[:2]


def test_a_pool_is_another_for_each_seed_and_a_search_goes_on_without_its_file(truth: tuple[ToyTable, str]) -> None:
    table, by = truth
    whole = search(made("random-search", table, {"by": by, "pool": 20, "first": 15}), table, 0, 1, of=4)
    half = search(made("random-search", table, {"by": by, "pool": 20, "first": 15}), table, of=4)
    Path(by.rpartition(":")[0]).unlink()
    again = type(half)(table.space, half.options, Streams(0))
    again.load_state(through_file(half.state()))
    again.streams.load_state(half.streams.state())
    type(again).check(again.options, table.space, None)
    require_same(search(again, table, 1, of=4).state(), whole.state(), "it ends elsewhere")


@pytest.mark.parametrize("name", OTHERS)
def test_what_draws_nothing_uniformly_is_refused(name: str) -> None:
    base = registry.load("searcher", name)
    kind = made_of(base, (("proxy-warmup", ProxyWarmup),))
    options = {"program": "python"} if name == "command" else {}
    with pytest.raises(BenchbedError, match=r"'proxy-warmup' does not fit searcher .* makes none"):
        kind.check(kind.Options(**options), ToySpace(), None)


def test_every_searcher_that_draws_says_so() -> None:
    names = {plugin.name for plugin in registry.plugins("searcher")}
    loaded = {name: registry.load("searcher", name) for name in names}
    assert {name for name in names if getattr(loaded[name], "draws_uniformly", False)} == set(DRAWING)


@pytest.mark.parametrize(
    ("by", "said"),
    [
        ("synflow", "'synflow' ranks no architectures: expected params, flops or FILE.csv:COLUMN"),
        ("flops", "cost 'flops'"),
        ("no.csv:x", "no.csv"),
        ("scores.csv:other", "unknown column of scores.csv 'other'"),
        ("nothing.csv:x", "nothing.csv: column x has no finite score"),
        ("scores.csv:x", "scores.csv:x has 1 finite scores, and first = 10 are to be drawn by them"),
    ],
)
def test_what_cannot_rank_is_one_line(by: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("scores.csv").write_text("arch,x\na-c-b,1\n")
    Path("nothing.csv").write_text("arch,x\na-c-b,nan\n")
    with pytest.raises(BenchbedError) as found:
        ProxyWarmup.check(ProxyWarmup.Options(by=by), ToySpace())
    assert said in str(found.value)


def test_a_pool_that_is_smaller_than_what_is_drawn_of_it_is_refused() -> None:
    with pytest.raises(ValidationError, match="pool = 5 with first = 10: rank at least as many as are drawn first"):
        ProxyWarmup.Options(pool=5)
