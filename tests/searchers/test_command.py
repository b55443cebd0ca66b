"""A program proposes: what it is told, what is made of its answers, and that nothing of the benchmark is said."""

import json
import re
import shlex
import sys
from typing import Any

import pytest

from benchbed.black_box import Trial
from benchbed.cost import without_cost
from benchbed.errors import BenchbedError
from benchbed.searcher import Clock
from benchbed.searchers.command import Command, Options
from benchbed.spaces.darts.space import Darts
from benchbed.spaces.nb201.space import NB201, OPERATIONS
from benchbed.streams import Streams
from benchbed.testing import proposer
from benchbed.testing.toys import ToySpace, ToyTable, random_table

ONCE = "import json, sys; from benchbed.testing.proposer import propose; " \
    "print(json.dumps({'architecture': propose(json.loads(input()))}))"  # fmt: skip


def python(text: str) -> str:
    return shlex.join([sys.executable, "-c", text])


def made(space: Any, seed: int = 0, **options: Any) -> Command:
    given = {"program": Command.suite_options["program"], "budget": 10.0, "fidelity": 1, **options}
    return Command(space, Options(**given), Streams(seed))


def searched(table: ToyTable, seed: int = 0, steps: int = 1, **options: Any) -> Command:
    searcher = made(table.space, seed, **options)
    for step in range(steps):
        searcher.arch_step(without_cost(table), None, Clock(0, step, 1, steps))
    return searcher


@pytest.mark.parametrize("program", [Command.suite_options["program"], python(ONCE)], ids=["stays", "answers once"])
def test_what_it_proposes_is_evaluated_in_turn(program: str) -> None:
    table = random_table(ToySpace(), 0)
    searcher = searched(table, seed=3, program=program, budget=5.0)
    asked = {**made(table.space, seed=3).question(), "history": []}
    for trial in searcher.trials:
        assert searcher.written(trial.architecture) == proposer.propose(asked)
        asked["history"].append({})
    assert len(searcher.trials) == 5


def test_it_is_told_every_evaluation() -> None:
    searcher = searched(random_table(ToySpace(), 0), budget=6.0)
    told = json.loads(json.dumps(searcher.question()))
    assert told["space"] == "ToySpace"
    assert [(e["accuracy"], e["reward"], e["seconds"]) for e in told["history"]] == [
        (trial.accuracy, trial.reward, trial.seconds) for trial in searcher.trials
    ]
    for position, said in zip(searcher.space.positions, told["positions"], strict=True):
        assert said["name"] == position.name
        allowed = [name for name, ok in zip(position.operations, position.selectable, strict=True) if ok]
        assert said["operations"] == sorted(allowed)


def test_anonymous_operations_are_letters_that_each_seed_deals_anew() -> None:
    space, seen = NB201(), set()
    cell = space.parse("|nor_conv_3x3~0|+|none~0|skip_connect~1|+|avg_pool_3x3~0|nor_conv_1x1~1|none~2|")
    for seed in range(20):
        searcher = made(space, seed, anonymous=True)
        searcher.trials.append(Trial(cell, 90.0, 0.9, 1.0, 1))
        text = json.dumps(searcher.question())
        assert not [word for word in (*OPERATIONS, "NB201", "conv", "nb201") if word in text]
        written = searcher.written(cell)
        assert sorted(set(written)) == ["A", "B", "C", "D", "E"]  # type: ignore[type-var]
        assert searcher.answered(json.dumps({"architecture": written})) == cell
        seen.add(tuple(written))
        assert made(space, seed, anonymous=True).written(cell) == written
    assert len(seen) > 10


def test_a_search_that_goes_on_calls_them_by_the_same_letters() -> None:
    table = random_table(ToySpace(), 0)
    whole = searched(table, seed=1, steps=2, anonymous=True)
    half = made(table.space, 1, anonymous=True)
    half.arch_step(without_cost(table), None, Clock(0, 0, 1, 2))
    rest = made(table.space, 2, anonymous=True)
    rest.load_state(half.state())
    rest.arch_step(without_cost(table), None, Clock(0, 1, 1, 2))
    assert rest.trials == whole.trials
    assert len(whole.trials) == 10
    assert rest.question() == whole.question()


def test_a_program_may_have_nothing_more_to_propose() -> None:
    text = "import sys\nfor line in sys.stdin: print('{\"architecture\": null}', flush=True)"
    table, searcher = random_table(ToySpace(), 0), made(ToySpace(), program=python(text))
    searcher.arch_step(without_cost(table), None, Clock(0, 0, 1, 3))
    assert searcher.trials == []
    assert searcher.ended
    with pytest.raises(BenchbedError, match="ended before a first evaluation: its searcher proposed nothing"):
        searcher.arch_step(without_cost(table), None, Clock(0, 2, 1, 3))
    again = made(ToySpace(), program=python("raise SystemExit(1)"))
    again.load_state(searcher.state())
    assert again.propose() is None  # it is asked no more


def test_a_space_whose_nodes_drop_inputs_is_answered_too() -> None:
    searcher = made(Darts(), anonymous=True)
    for seed in range(5):
        found = searcher.answered(json.dumps({"architecture": proposer.propose({**searcher.question(), "seed": seed})}))
        assert found is not None
        assert searcher.space.parse(str(found)).choices == found.choices


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ("hello", "expected one line of JSON"),
        ("[1]", "expected one line of JSON"),
        ('{"arch": []}', "expected one line of JSON"),
        ('{"architecture": "x"}', "expected a list of 6 operations, one a position"),
        ('{"architecture": ["none"]}', "expected a list of 6 operations, one a position"),
        ('{"architecture": ["none", "none", 3, "none", "none", "none"]}', "3 is none of position 1->2's: avg_pool_3x3"),
        ('{"architecture": ["none", "sep", "none", "none", "none", "none"]}', "'sep' is none of position 0->2's"),
        ('{"architecture": ["none", null, "none", "none", "none", "none"]}', "position 0->2 is not one that may be"),
    ],
)
def test_nonsense_is_one_line(answer: str, said: str) -> None:
    with pytest.raises(BenchbedError, match=re.escape(said)) as found:
        made(NB201()).answered(answer)
    assert "\n" not in str(found.value)
    assert answer[:20] in str(found.value)


@pytest.mark.parametrize(
    ("program", "said"),
    [
        (None, "searcher 'command' has no program"),
        ("", "searcher 'command' has no program"),
        ("'", "is no command line: No closing quotation"),
        ("no-such-program --now", "there is no program 'no-such-program'"),
    ],
)
def test_what_is_no_program_is_refused_before_anything(program: str | None, said: str) -> None:
    with pytest.raises(BenchbedError, match=said):
        Command.check(Options(program=program), NB201(), None)
