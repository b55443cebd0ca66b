"""SGAS: the criterion by hand, the published schedule, what a decision does, and its topology."""

import math

import pytest
import torch

from benchbed.cost import without_cost
from benchbed.objective import Decisions
from benchbed.objectives.table import TableObjective
from benchbed.searcher import Clock
from benchbed.searchers.modifiers.sgas import certainty, scaled
from benchbed.searchers.sgas import SGAS
from benchbed.selectors.magnitude import Magnitude
from benchbed.space import Position
from benchbed.spaces.nb201.space import NB201
from benchbed.streams import Streams
from benchbed.testing.searcher_suite import Traced
from benchbed.testing.selector_suite import Bench
from benchbed.testing.toy_network import ToyNetwork
from benchbed.testing.toys import ToyCell, ToySpace, ToyTable, random_table
from benchbed.testing.tree import difference
from benchbed.training.search_loop import train_epoch


class WithNone(ToySpace):
    """Three positions with `none`, at another column each time; the last has a padded row."""

    positions = (
        Position("first", ("none", "a", "b"), (True, True, True)),
        Position("second", ("a", "none", "b"), (True, True, True)),
        Position("third", ("b", "none"), (True, True)),
    )


def _sgas(space=ToySpace, alpha=None, seed=0, **options):
    searcher = SGAS(space(), SGAS.Options(**options), Streams(seed))
    if alpha is not None:
        with torch.no_grad():
            searcher.base.alpha.copy_(torch.tensor(alpha))
    return searcher


def _end(searcher, epoch=0, epochs=1, objective=None):
    searcher.end_epoch(objective or random_table(searcher.space, 0), Clock(epoch, 0, epochs, 1))


# -- the criterion ---------------------------------------------------------------------------------------------------

P = [[0.5, 0.3, 0.2], [0.6, 0.1, 0.3], [0.7, 0.3, 0.0]]  # `none` holds 0.5, 0.1 and 0.3
LOGITS = [[math.log(x) if x else 0.0 for x in row] for row in P]


def _entropy(*q):
    return -sum(x * math.log(x) for x in q)


def test_criterion_1_worked_by_hand():
    searcher = _sgas(WithNone, LOGITS)
    p = searcher.probabilities()
    q = torch.tensor([[0, 0.6, 0.4], [2 / 3, 0, 1 / 3], [1.0, 0, 0]])
    importance = [0.5, 0.9, 0.7]
    sure = [1 - _entropy(0.6, 0.4) / math.log(2), 1 - _entropy(2 / 3, 1 / 3) / math.log(2), 1.0]
    torch.testing.assert_close(certainty(q, searcher.modifiers["sgas"].candidates), torch.tensor(sure))
    scores = searcher.modifiers["sgas"].scores(p, q, [0, 1, 2])
    low, high = min(sure), max(sure)
    expected = [(i - 0.5) / 0.4 * (c - low) / (high - low) for i, c in zip(importance, sure, strict=True)]
    assert list(scores.values()) == pytest.approx(expected, abs=1e-5)
    assert max(scores, key=scores.get) == 2


def test_criterion_2_multiplies_the_mean_overlap_with_the_last_epochs():
    searcher = _sgas(WithNone, LOGITS, criterion=2, history=2)
    q = torch.tensor([[0, 0.6, 0.4], [2 / 3, 0, 1 / 3], [1.0, 0, 0]])
    p = searcher.probabilities()
    first = searcher.modifiers["sgas"].scores(p, q, [0, 1, 2])
    assert first == _sgas(WithNone, LOGITS, criterion=1).modifiers["sgas"].scores(p, q, [0, 1, 2])  # no history yet
    searcher.modifiers["sgas"].history = [torch.tensor([[0, 0.1, 0.9], [0.5, 0, 0.5], [1.0, 0, 0]]), q]
    overlap = [(0.5 + 1) / 2, (0.5 + 1 / 3 + 1) / 2, 1.0]
    expected = [s * (o - 0.75) / 0.25 for s, o in zip(first.values(), overlap, strict=True)]
    assert list(searcher.modifiers["sgas"].scores(p, q, [0, 1, 2]).values()) == pytest.approx(expected, abs=1e-5)


def test_history_is_kept_as_long_as_stability_looks_back_and_is_the_distribution_without_none():
    searcher = _sgas(WithNone, LOGITS, criterion=2, history=3, warmup=0.9)
    for epoch in range(5):
        _end(searcher, epoch, 20)
    assert len(searcher.modifiers["sgas"].history) == 3
    torch.testing.assert_close(searcher.modifiers["sgas"].history[-1][0], torch.tensor([0, 0.6, 0.4]))


def test_a_factor_that_tells_nothing_apart_is_left_out():
    assert scaled(torch.tensor([0.3, 0.3])).tolist() == [1, 1]
    assert scaled(torch.tensor([0.2, 0.3, 0.4])).tolist() == pytest.approx([0, 0.5, 1])
    # nothing is called none here, so the most certain position is the first that is decided
    searcher = _sgas(alpha=[[0, 0, 0, 0], [0, 5, 0, 0], [0, 1, 0, 0]])
    searcher.modifiers["sgas"].decisions_due = lambda clock, decisions: 1
    _end(searcher)
    assert searcher.modifiers["sgas"].decided == [1]


# -- the schedule ----------------------------------------------------------------------------------------------------


def _epochs_of(decisions, epochs, **options):
    searcher = _sgas(**options)
    due = [searcher.modifiers["sgas"].decisions_due(Clock(e, 0, epochs, 1), decisions) for e in range(epochs)]
    return [e for e, n in enumerate(due) for _ in range(n - (due[e - 1] if e else 0))]


def test_eight_decisions_in_fifty_epochs_fall_as_published():
    assert _epochs_of(8, 50) == [9, 14, 19, 24, 29, 34, 39, 44]


def test_other_numbers_of_epochs_and_decisions():
    assert _epochs_of(6, 50) == [9, 16, 23, 30, 37, 44]
    assert _epochs_of(6, 10) == [2, 3, 4, 5, 6, 8]
    assert _epochs_of(6, 1) == [0] * 6
    assert _epochs_of(1, 50) == [9]
    for decisions in (1, 2, 7, 30):
        for epochs in (1, 2, 3, 9, 60):
            assert len(_epochs_of(decisions, epochs, warmup=0.9, cooldown=0.9)) == decisions


# -- decisions -------------------------------------------------------------------------------------------------------


def test_decided_rows_are_one_hot_and_their_alpha_stays_bit_identical():
    objective = Traced()
    searcher = _sgas(alpha_lr=0.05, warmup=0.3, cooldown=0.3)
    problem, before = without_cost(objective), {}
    for epoch in range(10):
        train_epoch(problem, searcher, epoch, 10)
        for i, row in before.items():
            assert torch.equal(searcher.base.alpha[i].detach(), row)
        for i in searcher.modifiers["sgas"].decided:
            before.setdefault(i, searcher.base.alpha[i].detach().clone())
            assert sorted(searcher.probabilities()[i].tolist()) == [0, 0, 0, 1]
    steps = objective.steps_per_epoch
    ends = [sum(bool((g[i] == 1).any()) for i in range(3)) for g in objective.trace[::steps]]
    assert ends == [0, 0, 0, 0, 1, 2, 2, 3, 3, 3]  # decisions at the ends of epochs 3, 4 and 6
    assert not searcher.modifiers["sgas"].open.any()
    assert searcher.arch_steps_due(Clock(9, 0, 10, steps)) == 0


class Thawed(SGAS):
    """Leaves decided alphas to Adam, as published code does."""

    def arch_step(self, problem, batch, clock):
        decisions = self.closed() or Decisions.none(self.space)
        thawed = problem._replace(objective=problem.objective.decided(decisions))
        return self.base.arch_step(thawed, batch, clock)


@pytest.mark.parametrize(("kind", "moves"), [(SGAS, False), (Thawed, True)])
def test_momentum_and_decay_would_move_a_decided_alpha_though_its_gradient_is_zero(kind, moves):
    table = random_table(ToySpace(), 0)
    searcher = kind(ToySpace(), SGAS.Options(), Streams(0))
    searcher.arch_step(without_cost(table), None, Clock(0, 0, 9, 4))
    searcher.modifiers["sgas"].decide(1, 0)
    before = searcher.base.alpha.detach().clone()
    searcher.arch_step(without_cost(table), None, Clock(0, 1, 9, 4))
    assert (searcher.base.alpha.grad[1] == 0).all()
    assert (searcher.base.alpha.grad[[0, 2]] != 0).any(1).all()
    assert (not torch.equal(searcher.base.alpha[1], before[1])) == moves
    assert not torch.equal(searcher.base.alpha[0], before[0])


@pytest.mark.parametrize("order", [1, 2])
def test_undecided_rows_get_the_gradient_at_the_decided_gates(order):
    """As DARTS on an objective that is decided from outside."""
    objective = ToyNetwork(ToySpace(), random_table(ToySpace(), 0).losses, Streams(0))
    decided = objective.decided(Decisions.none(objective.space).decide(1, 1))
    batch, valid = objective.batch("train"), objective.batch("valid")
    objective.batch = lambda split: valid
    inside, outside = _sgas(order=order), _sgas(order=order)
    inside.modifiers["sgas"].decide(1, 1)
    inside.arch_step(without_cost(objective), batch, Clock(0, 0, 1, 1))
    outside.arch_step(without_cost(decided), batch, Clock(0, 0, 1, 1))
    torch.testing.assert_close(inside.base.alpha.grad, outside.base.alpha.grad)
    assert (inside.base.alpha.grad[[0, 2]] != 0).any(1).all()


def test_none_is_never_chosen():
    accuracy = torch.rand((5,) * 6, generator=torch.Generator().manual_seed(0)).double().numpy()
    accuracy[(0,) * 6] = 1000.0  # `none` everywhere is by far the best
    table = TableObjective(NB201(), 0.1 * accuracy, steps=10)
    searcher = _sgas(NB201, alpha_lr=0.1)
    for epoch in range(10):
        train_epoch(without_cost(table), searcher, epoch, 10)
    p = searcher.probabilities()
    assert (p.max(1).values == 1).all()
    assert (p[:, NB201().positions[0].operations.index("none")] == 0).all()
    assert sorted(searcher.modifiers["sgas"].decided) == list(range(6))


def test_sgas_pt_takes_the_operation_that_is_missed_where_alpha_takes_another():
    """One informative operation that alpha ranks last: the loss falls by what flows of it (darts-pt.md, oracle 9)."""
    gains = torch.zeros(3, 4)
    gains[0, 2] = 0.2
    table = ToyTable(ToySpace(), 1.0 - ToyTable.of_costs(ToySpace(), gains).losses)
    alpha = [[1.0, 0.5, 0.0, 0.0], [0, 0, 0, 0], [0, 0, 0, 0]]
    chosen = {}
    for operation in ("alpha", "perturb"):
        searcher = _sgas(alpha=alpha, operation=operation)
        q = searcher.probabilities()
        chosen[operation] = searcher.modifiers["sgas"].operation_at(0, q, table)
    assert chosen == {"alpha": 0, "perturb": 2}


def test_what_is_measured_is_the_mixture_without_one_operation():
    seen = []

    class Watching(ToyTable):
        def measure(self, gates, batch=None):
            seen.append((gates, batch))
            return super().measure(gates, batch)

    table = Watching(ToySpace(), random_table(ToySpace(), 1).losses)
    searcher = _sgas(operation="perturb")
    p = searcher.probabilities()
    _end(searcher, objective=table)
    assert len(searcher.modifiers["sgas"].decided) == 3
    first, batch = seen[0]
    assert batch is None
    i = searcher.modifiers["sgas"].decided[0]
    for gates, column in zip(first, searcher.modifiers["sgas"].candidates[i].nonzero().flatten().tolist(), strict=True):
        expected = p.clone()
        expected[i, column] = 0
        assert torch.equal(gates, expected)


def test_what_is_measured_flows_as_much_as_the_searcher_lets(monkeypatch):
    """Rows of gates that do not sum to 1, as PC-DARTS trains at."""
    seen = []

    class Watching(ToyTable):
        def measure(self, gates, batch=None):
            seen.append(gates)
            return super().measure(gates, batch)

    searcher, strength = _sgas(operation="perturb"), torch.tensor([0.5, 2.0, 1.0])
    monkeypatch.setattr(type(searcher.modifiers["sgas"].searcher), "strength", lambda self: strength)
    _end(searcher, objective=Watching(ToySpace(), random_table(ToySpace(), 1).losses))
    i = searcher.modifiers["sgas"].decided[0]
    others = [k for k in range(3) if k != i]
    torch.testing.assert_close(seen[0].sum(2)[:, others], strength[others].expand(len(seen[0]), 2))


# -- topology --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("operation", ["alpha", "perturb"])
@pytest.mark.parametrize("seed", range(3))
def test_a_node_keeps_as_many_inputs_as_its_rule_says(operation, seed):
    table = random_table(ToyCell(), seed)
    searcher = _sgas(ToyCell, seed=seed, alpha_lr=0.05, operation=operation)
    for epoch in range(10):
        train_epoch(without_cost(table), searcher, epoch, 10)
    architecture = table.space.architecture(searcher.probabilities().numpy())  # refuses what breaks the rule
    assert sorted(searcher.modifiers["sgas"].decided) == [i for i, k in enumerate(architecture.choices) if k >= 0]
    bench = Bench(table.space, table, Streams(0))
    bench.searcher = searcher
    chosen = bench.run(Magnitude(Magnitude.Options()))
    assert chosen.architecture == architecture
    assert chosen.notes == {}


def test_groups_decide_side_by_side_and_count_what_they_keep():
    searcher = _sgas(ToyCell, warmup=0.0, cooldown=0.0)
    assert searcher.modifiers["sgas"].groups() == [[0, 1, 2, 3, 4], [5, 6, 7]]
    assert [searcher.modifiers["sgas"].decisions_of(group) for group in searcher.modifiers["sgas"].groups()] == [4, 2]
    counts = []
    for epoch in range(4):
        _end(searcher, epoch, 4)
        counts.append(
            [len(set(searcher.modifiers["sgas"].decided) & set(group)) for group in searcher.modifiers["sgas"].groups()]
        )
    assert counts == [[1, 1], [2, 1], [3, 1], [4, 2]]


def test_a_dropped_input_stays_dropped_whatever_a_selector_allows():
    searcher = _sgas(ToyCell)
    _end(searcher)
    mask = torch.from_numpy(ToyCell().mask)
    dropped = searcher.probabilities().sum(1) == 0
    assert int(dropped.sum()) == 2
    uniforms = torch.rand(20, len(mask), generator=torch.Generator().manual_seed(0))
    for mode in ("mixture", "sampled"):
        assert (searcher.evaluation_gates(mask, mode, uniforms)[:, dropped] == 0).all()


def test_the_state_holds_decisions_and_history():
    searcher, other = _sgas(ToyCell, criterion=2), _sgas(ToyCell, seed=1, criterion=2)
    _end(searcher, 2, 10)
    _end(searcher, 5, 10)
    other.load_state(searcher.state())
    assert difference(searcher.state(), other.state()) is None
    assert torch.equal(other.probabilities(), searcher.probabilities())
    assert other.modifiers["sgas"].decided == searcher.modifiers["sgas"].decided != []


def test_published_values():
    o = SGAS.Options()
    assert (o.criterion, o.history, o.warmup * 50, o.cooldown * 50) == (1, 4, 9, 5)
    assert (o.order, o.alpha_lr, o.alpha_beta1, o.alpha_weight_decay) == (1, 3e-4, 0.5, 1e-3)
