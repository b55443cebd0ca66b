"""PT-Mag: perturb's schedule and tuning, alpha's decisions."""

import pytest
import torch

from benchbed.selectors.magnitude import Magnitude
from benchbed.selectors.perturb import Options as PerturbOptions
from benchbed.selectors.perturb import Perturb
from benchbed.selectors.perturb_magnitude import Options, PerturbMagnitude
from benchbed.space import Space
from benchbed.spaces.nb201.space import NB201
from benchbed.streams import Streams
from benchbed.testing.selector_suite import Bench
from benchbed.testing.toys import ToyCell, ToySpace, random_table


def bench_of(space: Space, seed: int = 0) -> Bench:
    return Bench(space, random_table(space, seed), Streams(seed))


def selector(**options) -> PerturbMagnitude:
    return PerturbMagnitude(Options(**options))


@pytest.mark.parametrize("space", [ToySpace(), ToyCell(), NB201()], ids=lambda space: type(space).__name__)
def test_without_tuning_it_selects_what_magnitude_does(space):
    for seed in range(4):
        chosen = bench_of(space, seed).run(selector(interval=0))
        assert chosen.architecture == bench_of(space, seed).run(Magnitude(Magnitude.Options())).architecture


def walk(made, bench):
    events = []
    tuned = lambda decisions, *rest: events.append((*rest, decisions.fixed.tolist(), decisions.rows.sum(1).tolist()))  # noqa: E731
    logged = lambda values: events.append(values.get("position", values.get("node")))  # noqa: E731
    context = bench.context()._replace(tune=tuned, log=logged)
    steps = made.steps(bench.space)
    for _ in range(steps):
        last = made.step(context)
    assert last is not None
    return events


@pytest.mark.parametrize("schedule", ["official", "even"])
def test_schedule_order_and_tuning_are_those_of_perturb(schedule):
    common = {"interval": 5, "schedule": schedule, "tune_alpha": False}
    mine = walk(selector(**common), bench_of(NB201(), 3))
    theirs = walk(Perturb(PerturbOptions(**common, order="forward")), bench_of(NB201(), 3))
    in_order = walk(selector(**common, order="forward"), bench_of(NB201(), 3))
    assert in_order == theirs
    assert len(mine) == len(theirs) == 31


def test_a_decision_reads_alpha_when_it_is_made_and_is_not_changed_by_what_alpha_does_then():
    bench = bench_of(ToySpace())
    with torch.no_grad():
        bench.searcher.alpha.copy_(torch.tensor([[2.0, 1, 0, 0], [2.0, 1, 0, 0], [2.0, 1, 0, 5]]))

    def flips(*_):
        with torch.no_grad():
            bench.searcher.alpha.mul_(-1)

    context, made = bench.context()._replace(tune=flips), selector(interval=1, order="forward")
    steps = [made.step(context) for _ in range(made.steps(bench.space))]
    # decided at +, -, +; 'a' of the third may not be selected however probable it is
    assert steps[-1].architecture.choices == (0, 1, 0)


def test_inputs_are_ranked_by_what_alpha_was_when_their_operations_were_decided():
    """A decided row's alpha only decays afterwards: reading it at the end would rank by when a row was decided."""
    space, bench = ToyCell(), bench_of(ToyCell())
    with torch.no_grad():
        bench.searcher.alpha.zero_()
        for i, value in zip((2, 3, 4), (3.0, 2.0, 1.0), strict=True):
            bench.searcher.alpha[i, 0] = value

    def decays(decisions, *_):
        with torch.no_grad():
            bench.searcher.alpha[decisions.fixed] *= 0.1

    context, made = bench.context()._replace(tune=decays), selector(interval=1, order="forward")
    steps = [made.step(context) for _ in range(made.steps(space))]
    assert [steps[-1].architecture.choices[i] >= 0 for i in (2, 3, 4)] == [True, True, False]


def test_no_preference_is_drawn_and_noted():
    bench = bench_of(ToySpace(), 1)
    with torch.no_grad():
        bench.searcher.alpha.zero_()
    chosen = bench.run(selector(interval=0, order="forward"))
    assert chosen.notes["drawn_at_random"] == ["first", "second", "third"]


def test_inputs_are_ranked_by_gates(monkeypatch):
    """Two inputs whose operations have equal probability: the one of which more flows is kept."""
    bench = bench_of(ToyCell())
    with torch.no_grad():
        bench.searcher.alpha.zero_()
        bench.searcher.alpha[:, 0] = 1e-3  # no draw of equals
    flowing = torch.ones(len(bench.searcher.mask))
    for position in (2, 3, 4):  # the inputs of the second node, of which it keeps two
        strength = flowing.clone()
        strength[position] = 0.1
        monkeypatch.setattr(type(bench.searcher), "strength", lambda self, strength=strength: strength)
        chosen = bench.run(selector(interval=0)).architecture
        assert chosen.choices[position] == -1
