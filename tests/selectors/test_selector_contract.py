"""Every registered selector keeps the contract, and the suite notices when one does not."""

import numpy as np
import pytest
import torch

from benchbed import registry
from benchbed.errors import BenchbedError
from benchbed.selector import Selection, Selector
from benchbed.space import Space
from benchbed.testing import selector_suite as suite
from benchbed.testing.toys import ToySpace

# where the default options do not fit the toy space: what does
ON_THE_TOY = {"constant": {"operation": "c"}, "best-of": {"samples": 23}}
# what would train long
SHORT = {
    "discretize": {"epochs": 2, "min_epochs": 1, "patience": 1, "draws": 3},
    "perturb": {"interval": 2},
    "perturb-magnitude": {"interval": 2},
    "zero-cost-pt": {"proxy": "accuracy", "pool": 2, "rounds": 2},  # a toy has no network for another proxy
}
NAMES = [p.name for p in registry.plugins("selector")]


def make(name: str, options: dict | None = None) -> suite.MakeSelector:
    def made(space: Space) -> Selector:
        selector = registry.load("selector", name)
        fitting = ON_THE_TOY.get(name, {}) if isinstance(space, ToySpace) else {}
        return selector(selector.Options(**{**SHORT.get(name, {}), **fitting, **(options or {})}))

    return made


@pytest.mark.parametrize("check", suite.CHECKS, ids=lambda check: check.__name__)
@pytest.mark.parametrize("name", NAMES)
def test_the_selector_keeps_the_contract(name, check):
    check(make(name))


OTHER_OPTIONS: tuple[dict, ...] = (
    {"schedule": "official", "interval": 2},
    {"interval": 0, "criterion": "loss", "order": "forward"},
    {"order": "backward", "mask": "renormalised", "gates": "sampled", "draws": 3, "tune_alpha": False},
    {"interval": 1, "topology": "non-cumulative", "schedule": "official", "edge_criterion": "loss"},
    {"interval": 0, "order": "global-op-greedy", "topology": "cumulative"},
    {"interval": 0, "order": "global-edge-once", "gates": "sampled", "draws": 2},
)
UNSEALED = [c for c in suite.CHECKS if c is not suite.check_test_data_stays_sealed]


@pytest.mark.parametrize(
    ("options", "check"),
    [
        pytest.param(
            options,
            check,
            id=f"{' '.join(map(str, options.values()))}-{check.__name__}",
            marks=() if (i + j) % 2 == 0 else (pytest.mark.slow,),  # each check under half of them, each under half
        )
        for i, options in enumerate(OTHER_OPTIONS)
        for j, check in enumerate(UNSEALED)
    ],
)
def test_perturb_keeps_it_under_its_other_options(options, check):
    check(make("perturb", options))


def test_constant_refuses_an_operation_that_a_position_may_not_take():
    bench = suite.Bench.toy()  # 'a' is an operation of every position, and may not be selected at the third
    with pytest.raises(BenchbedError, match=r"position 'third'.*'a'"):
        make("constant", {"operation": "a"})(bench.space).step(bench.context())


class _First(Selector):
    """Selects the operations of column 0, or what a test tells it to; the classes below break it in one way each."""

    choices = (0, 0, 0)

    def step(self, context) -> Selection | None:
        return Selection(context.space.architecture_of(self.choices), np.full(context.space.mask.shape, np.nan), {})


class _Unselectable(_First):
    choices = (0, 0, 3)


class _ShortScores(_First):
    def step(self, context):
        return super().step(context)._replace(scores=np.zeros(3))


class _InfiniteScores(_First):
    def step(self, context):
        return super().step(context)._replace(scores=np.full(context.space.mask.shape, -np.inf))


class _TooManySteps(_First):
    def steps(self, space):
        return 2


class _GlobalDraws(_First):
    def step(self, context):
        return super().step(context)._replace(scores=torch.rand(context.space.mask.shape).numpy())


class _OthersDraws(_First):
    def step(self, context):
        context.searcher.sample(1)
        return super().step(context)


class _Forgets(_First):
    """Two steps, of which the second needs what the first one saw, and no state."""

    seen = 0

    def steps(self, space):
        return 2

    def step(self, context):
        self.seen += 1
        return super().step(context) if self.seen == 2 else None


class _LivingState(_Forgets):
    def __init__(self, options):
        super().__init__(options)
        self.log = []

    def step(self, context):
        self.log.append(1)
        return super().step(context)

    def state(self):
        return {"log": self.log}


class _ChangesItsMind(_First):
    def step(self, context):
        decisions = suite.Decisions.none(context.space)
        context.tune(decisions.decide(0, 1), 0, 1, 0.1, True)
        return super().step(context)


class _NotesAnArray(_First):
    def step(self, context):
        return super().step(context)._replace(notes={"when": np.zeros(1)})


@pytest.mark.parametrize(
    ("broken", "check"),
    [
        (_Unselectable, suite.check_only_selectable_operations),
        (_ShortScores, suite.check_returns_a_member_of_the_space),
        (_InfiniteScores, suite.check_returns_a_member_of_the_space),
        (_TooManySteps, suite.check_returns_a_member_of_the_space),
        (_GlobalDraws, suite.check_same_seed_same_selection),
        (_GlobalDraws, suite.check_draws_from_its_own_stream),
        (_OthersDraws, suite.check_draws_from_its_own_stream),
        (_Forgets, suite.check_resumes_after_every_step),
        (_LivingState, suite.check_state_is_a_snapshot),
        (_ChangesItsMind, suite.check_decisions_stand),
    ],
)
def test_the_suite_notices_a_broken_selector(broken, check):
    with pytest.raises(AssertionError):
        check(lambda space: broken(Selector.Options()))


def test_the_suite_notices_notes_that_no_checkpoint_can_hold():
    with pytest.raises(Exception, match=r"(?i)weights.only"):
        suite.check_returns_a_member_of_the_space(lambda space: _NotesAnArray(Selector.Options()))


def test_the_suite_notices_an_opened_seal(monkeypatch):
    seals = []
    monkeypatch.setattr(suite, "Task", lambda *a, **k: seals.append(a[5]) or suite_task(*a, **k))

    class Peeks(_First):
        def step(self, context):
            seals[-1].open("me")
            return super().step(context)

    with pytest.raises(AssertionError, match="test split"):
        suite.check_test_data_stays_sealed(lambda space: Peeks(Selector.Options()))


suite_task = suite.Task
