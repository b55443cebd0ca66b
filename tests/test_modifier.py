"""Modifiers: what each hook changes, that aliases are compositions, how several go together, and what is refused."""

from typing import Any

import pytest
import torch
from torch import Tensor

from benchbed import registry
from benchbed.cost import Problem, without_cost
from benchbed.errors import BenchbedError
from benchbed.modifier import Modified, Modifier, made_of
from benchbed.objective import Tree
from benchbed.pipeline.resolve import resolve, with_settings
from benchbed.searcher import Clock, Options
from benchbed.searchers.darts import DARTS
from benchbed.searchers.random import RandomSampling
from benchbed.streams import Streams
from benchbed.testing.searcher_suite import Traced
from benchbed.testing.toys import ToyCell, ToySpace, random_table
from benchbed.testing.tree import difference, through_file
from benchbed.training.search_loop import train_epoch

CLOCK = Clock(0, 0, 4, 4)


class Fixed(Modifier[Options]):
    """Gives Adam a gradient of ones on the first entry of each row."""

    def alpha_gradient(self, gradient: Tensor, clock: Clock) -> Tensor:
        return torch.zeros_like(gradient).index_fill_(1, torch.tensor(0), 1.0)


class Doubled(Modifier[Options]):
    def alpha_gradient(self, gradient: Tensor, clock: Clock) -> Tensor:
        return 2 * gradient


class Taxed(Modifier[Options]):
    """Adds three times the probability of each row's first operation to the loss."""

    def problem(self, problem: Problem, clock: Clock) -> Problem:
        return problem._replace(penalise=lambda loss, p: problem.penalise(loss, p) + 3 * p[:, 0].sum())


class Counter(Modifier[Options]):
    """Keeps a count under a key that the searcher or another modifier has too."""

    key = "alpha"

    def __init__(self, searcher: Any, options: Options):
        super().__init__(searcher, options)
        self.count = 0

    def weight_gates(self, gates: Tensor, objective: Any, batch: Any, clock: Clock) -> Tensor:
        self.count += 1
        return gates

    def state(self) -> Tree:
        return {self.key: self.count}

    def load_state(self, tree: Tree) -> None:
        self.count = tree[self.key]


def modified(*kinds: type[Modifier[Any]], space: type = ToySpace, **options: Any) -> Modified:
    found = made_of(DARTS, tuple((kind.__name__.lower(), kind) for kind in kinds))
    return found(space(), found.Options(**options), Streams(0))


def searched(name: str, options: dict[str, Any], space: type) -> tuple[Any, Traced]:
    kind = registry.load("searcher", name)
    searcher, objective = kind(space(), kind.Options(**options), Streams(3)), Traced(space)
    for epoch in range(6):
        train_epoch(without_cost(objective), searcher, epoch, 6)
    return searcher, objective


ALIASES: dict[str, dict[str, Any]] = {
    "sdarts-rs": {"radius_end": 0.5},
    "sdarts-adv": {"ascent_steps": 2},
    "sgas": {"warmup": 0.0, "criterion": 2},
    "shrink": {},
}


@pytest.mark.parametrize("space", [ToySpace, ToyCell])
@pytest.mark.parametrize("name", ALIASES)
def test_an_alias_is_darts_under_the_modifier_bit_for_bit(name: str, space: type) -> None:
    own, shared = ALIASES[name], {"alpha_lr": 0.05}
    alias, there = searched(name, {**shared, **own}, space)
    composed, here = searched(f"darts+{name}", {**shared, "modifiers": {name: own}}, space)
    assert difference(alias.state(), composed.state()) is None
    assert difference(there.trace, here.trace) is None
    assert difference(there.state(), here.state()) is None


def test_the_gradient_that_adam_is_given_passes_the_modifiers_in_their_order() -> None:
    table = random_table(ToySpace(), 0)
    for kinds, wanted in (((Fixed,), 1.0), ((Fixed, Doubled), 2.0), ((Doubled, Fixed), 1.0)):
        searcher = modified(*kinds)
        searcher.arch_step(without_cost(table), None, CLOCK)
        assert searcher.base.state()["alpha"].shape == (3, 4)
        assert (searcher.base.alpha.grad[:, 0] == wanted).all()
        assert (searcher.base.alpha.grad[:, 1:] == 0).all()


def test_a_modifier_changes_the_loss_that_is_descended() -> None:
    """3 p_0 by row has the alpha gradient 3 p_0 (delta_0k - p_k), beside the table's own."""
    table = random_table(ToySpace(), 0)
    plain, taxed = modified(Doubled), modified(Taxed)
    for searcher in (plain, taxed):
        searcher.arch_step(without_cost(table), None, CLOCK)
    with torch.no_grad():
        p = DARTS(ToySpace(), DARTS.Options(), Streams(0)).probabilities()
    first = torch.zeros_like(p).index_fill_(1, torch.tensor(0), 1.0)
    wanted = plain.base.alpha.grad / 2 + 3 * p[:, :1] * (first - p)
    torch.testing.assert_close(taxed.base.alpha.grad, wanted)


def test_a_key_that_two_keep_stands_under_the_modifiers_name() -> None:
    searcher = modified(Counter)
    searcher.modifiers["counter"].count = 5
    tree = through_file(searcher.state())
    assert list(tree) == ["alpha", "optimiser", "counter.alpha"]
    other = modified(Counter)
    other.load_state(tree)
    assert other.modifiers["counter"].count == 5
    assert difference(other.state(), tree) is None


def test_what_a_modifier_takes_away_is_gone_from_the_searcher() -> None:
    searcher = registry.load("searcher", "gdas+sgas")
    made = searcher(ToyCell(), searcher.Options(), Streams(0))
    made.end_epoch(random_table(ToyCell(), 0), Clock(0, 3, 1, 4))  # of one epoch: all is decided
    p = made.probabilities()
    assert ((p == 0) | (p == 1)).all()
    dropped = p.sum(1) == 0
    assert int(dropped.sum()) == 2  # a node of three inputs drops one, two nodes
    gates = made.weight_gates(Traced(ToyCell), None, CLOCK)  # GDAS alone would draw something there
    assert torch.equal(gates, p)


REFUSED = [
    ("gdas+sgass", "unknown modifier 'sgass': did you mean 'sgas'?"),
    ("gdas+", "unknown modifier ''"),
    ("gdass+sgas", "unknown searcher 'gdass': did you mean 'gdas'?"),
    ("gdas+sgas+shrink", "modifiers 'sgas' and 'shrink' exclude each other: both are progressive decisions"),
    ("gdas+sdarts-rs+sdarts-adv", "modifiers 'sdarts-rs' and 'sdarts-adv' exclude each other"),
    ("gdas+sgas+sgas", "modifier 'sgas' is named twice"),
    ("sgas+sdarts-rs", "write it as darts+sgas, and add others"),
]


@pytest.mark.parametrize(("name", "text"), REFUSED)
def test_names_that_are_refused(name: str, text: str) -> None:
    with pytest.raises(BenchbedError) as caught:
        registry.load("searcher", name)
    assert text in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_searcher_that_lacks_what_a_modifier_changes_is_refused() -> None:
    for name, text in (("random+sgas", "it decides by alpha"), ("random-search+sdarts-rs", "shares no weights")):
        kind = registry.load("searcher", name)
        with pytest.raises(BenchbedError, match=f"modifier '{name.partition('+')[2]}' does not fit .*{text}"):
            kind.check(kind.Options(), ToySpace(), None)
    kind = made_of(RandomSampling, (("doubled", Doubled),))
    with pytest.raises(BenchbedError, match="learns no alpha by Adam"):
        kind.check(kind.Options(), ToySpace(), None)


# -- in a configuration ----------------------------------------------------------------------------------------------


def test_options_stand_in_a_section_of_each_modifier() -> None:
    name = "gdas+sdarts-rs+sgas"
    raw = with_settings(
        {"searcher": {"name": name, "tau_end": 0.2, "modifiers": {"sgas": {"criterion": 2}}}},
        ["searcher.modifiers.sgas.warmup=0.5", "searcher.modifiers.sdarts-rs.radius_end=0.1"],
    )
    found = resolve(raw, name, "magnitude", 0).searcher
    assert found.name == name
    assert found.options["tau_end"] == 0.2
    assert found.options["modifiers"]["sdarts-rs"] == {"radius_start": 0.03, "radius_end": 0.1}
    assert {k: found.options["modifiers"]["sgas"][k] for k in ("criterion", "warmup")} == {
        "criterion": 2,
        "warmup": 0.5,
    }


def test_an_option_goes_to_those_of_several_searchers_that_have_the_modifier() -> None:
    names = ["gdas+sgas", "darts+sgas", "darts"]
    raw = with_settings({"searcher": {"name": ",".join(names)}}, ["searcher.modifiers.sgas.warmup=0.5"])
    warmups = [resolve(raw, n, "magnitude", 0).searcher.options.get("modifiers") for n in names]
    assert [w and w["sgas"]["warmup"] for w in warmups] == [0.5, 0.5, None]


def test_an_option_of_a_modifier_leaves_the_protocol_s_others() -> None:
    name = "darts+lambda-darts"
    raw = with_settings({"searcher": name}, ["searcher.modifiers.lambda-darts.weight=0.5"])
    found = resolve(raw, name, "magnitude", 0).searcher.options["modifiers"]
    assert found == {
        "lambda-darts": {"weight": 0.5, "epsilon": 1e-4, "derivative": "exact", "measure": "cosine"}  # small-digits'
    }


@pytest.mark.parametrize(
    ("setting", "text"),
    [
        ("searcher.modifiers.sgas.warmpu=0.5", "'warmpu': did you mean 'warmup'?"),
        ("searcher.modifiers.sgass.warmup=0.5", "'sgass': did you mean 'sgas'?"),
        ("searcher.modifiers.sgas.warmup=2", "warmup = 2"),
    ],
)
def test_options_that_are_refused(setting: str, text: str) -> None:
    raw = with_settings({"searcher": "gdas+sgas"}, [setting])
    with pytest.raises(BenchbedError) as caught:
        resolve(raw, "gdas+sgas", "magnitude", 0)
    assert text in str(caught.value)
    assert "\n" not in str(caught.value)
