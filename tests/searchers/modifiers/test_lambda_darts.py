"""Lambda-DARTS: how far cells agree and its derivative, the weights' gradient against an exact one, lambda = 0."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from benchbed import registry
from benchbed.cost import without_cost
from benchbed.errors import BenchbedError
from benchbed.layers.plan import Run, plan
from benchbed.objective import Batch, Decisions, Tree
from benchbed.objectives.supernet import SupernetObjective, SupernetOptions
from benchbed.searcher import Clock
from benchbed.searchers.modifiers.lambda_darts import Alignment, Options, aligned
from benchbed.space import Space
from benchbed.streams import Streams
from benchbed.task import Seal, Split, Task
from benchbed.testing.searcher_suite import Traced
from benchbed.testing.toys import ToyCell, ToySpace
from benchbed.testing.tree import difference
from benchbed.training.search_loop import train_epoch

LAST = Clock(4, 0, 5, 1)  # lambda is the weight


def made(name: str, space: Space, **own: Any) -> Any:
    kind = registry.load("searcher", name)
    options = {"alpha_lr": 0.05, **({"modifiers": {"lambda-darts": own}} if own else {})}
    return kind(space, kind.Options(**options), Streams(0))


def supernet(space: Space) -> SupernetObjective:
    """Three cells of NAS-Bench-201 on random images."""
    images = torch.randn(2, 12, 3, 8, 8, generator=torch.Generator().manual_seed(1))
    train, valid = (Split(half, torch.arange(12) % 3) for half in images)
    task = Task("random", 3, (3, 8, 8), train, valid, Seal(lambda: train), "0")
    sizes = SupernetOptions(channels=4, cells=1, batch=6, valid_batch=6, eval_batch=6)
    return SupernetObjective(space.for_images(task.shape, task.classes), task, sizes, Streams(0), 5)


# -- how far cells agree -----------------------------------------------------------------------------------------------


def closed_form(g: Tensor, measure: str) -> tuple[float, Tensor]:
    """Written out pair by pair: (I - u u') v / |g| for the cosine of u and v, the quotient rule for the other."""
    count, value, delta = len(g), 0.0, torch.zeros_like(g)
    for i in range(count):
        for j in range(count):
            if i == j:
                continue
            a, b = g[i], g[j]
            if measure == "cosine":
                u, v = a / a.norm(), b / b.norm()
                value += float(u @ v) / 2
                delta[i] += (v - u * (u @ v)) / a.norm()
            else:
                size = a.abs() @ b.abs()
                value += float(a @ b / size) / 2
                delta[i] += (1 - (a @ b) / size * a.sign() * b.sign()) * b / size
    pairs = count * (count - 1) / 2
    return value / pairs, delta / pairs


@pytest.mark.parametrize("measure", ["cosine", "sign"])
def test_agreement_and_its_derivative_are_those_written_out(measure: Any) -> None:
    g = torch.randn(4, 3, 2, generator=torch.Generator().manual_seed(3))
    value, delta = aligned(g, measure)
    wanted, derivative = closed_form(g.flatten(1).double(), measure)
    assert value == pytest.approx(wanted, abs=1e-6)
    torch.testing.assert_close(delta.flatten(1).double(), derivative, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("measure", ["cosine", "sign"])
def test_cells_that_agree_wholly_and_cells_without_a_gradient(measure: Any) -> None:
    g = torch.randn(1, 3, 2, generator=torch.Generator().manual_seed(3)).repeat(3, 1, 1)
    value, delta = aligned(g * torch.tensor([1.0, 2.0, 0.5])[:, None, None], measure)
    assert value == pytest.approx(1.0)
    assert float(delta.abs().max()) < 1e-6
    assert aligned(torch.cat([g[:1], -g[:1]]), measure)[0] == pytest.approx(-1.0)
    other = torch.randn(2, 3, 2, generator=torch.Generator().manual_seed(4))
    with_dead = torch.stack([other[0], torch.zeros(3, 2), other[1]])  # the authors' code gives NaN
    assert aligned(with_dead, measure)[0] == pytest.approx(aligned(other, measure)[0])
    torch.testing.assert_close(aligned(with_dead, measure)[1][[0, 2]], aligned(other, measure)[1])
    assert aligned(with_dead[:2], measure)[0] == 0.0


# -- what is added to the weights' gradient ----------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["nb201", "nb201-untied"])
@pytest.mark.parametrize(
    ("measure", "derivative"), [("cosine", "difference"), ("sign", "difference"), ("cosine", "exact")]
)
def test_the_finite_difference_is_the_gradient_of_the_disagreement(
    name: str, measure: str, derivative: str, small_space: Callable[[str], Space]
) -> None:
    """-lambda dLambda/dw by differentiating twice, in float64, against what the weight step is given to add."""
    objective = supernet(small_space(name))
    objective.network.double()
    images, labels = objective.batch("train")
    batch = Batch(images.double(), labels)
    searcher = made(
        "darts+lambda-darts", objective.space, weight=0.7, epsilon=1e-6, measure=measure, derivative=derivative
    )
    with torch.no_grad():
        searcher.base.alpha.normal_(generator=torch.Generator().manual_seed(2))
    p = searcher.probabilities().double()

    layered = objective.layered(p).requires_grad_()
    steps = plan(layered.flatten(0, 1), torch.ones(layered.flatten(0, 1).shape, dtype=torch.bool), Run.GATED)
    loss = F.cross_entropy(objective.network.forward_layers(batch.images, layered, steps), labels)
    (g,) = torch.autograd.grad(loss, layered, create_graph=True)
    flat = g.flatten(1)
    assert layered.shape == (3, 6, 5)
    assert flat.abs().sum(1).min() > 0
    pairs = []
    for i in range(3):
        for j in range(i):
            size = flat[i].norm() * flat[j].norm() if measure == "cosine" else flat[i].abs() @ flat[j].abs()
            pairs.append(flat[i] @ flat[j] / size)
    weights = objective.weights()
    wanted = torch.autograd.grad(-0.7 * torch.stack(pairs).mean(), list(weights.values()), allow_unused=True)

    before = {n: w.detach().clone() for n, w in weights.items()}
    searcher.modifiers["lambda-darts"].weight_gates(p, objective, batch, LAST)
    assert searcher.progress()["alignment"] == pytest.approx(float(torch.stack(pairs).mean().detach()), abs=1e-6)
    size = max(float(w.abs().max()) for w in wanted if w is not None)
    for n, exact in zip(weights, wanted, strict=True):
        if exact is not None:
            assert float((objective.extra[n] - exact).abs().max()) < 1e-4 * size, n
        assert torch.equal(before[n], weights[n].detach())
    # the wrong sign would have been found out
    assert max(float((objective.extra[n] + e).abs().max()) for n, e in zip(weights, wanted, strict=True)
               if e is not None) > size  # fmt: skip


def test_in_float32_the_published_step_is_near_a_finer_one_in_float64(small_space: Callable[[str], Space]) -> None:
    found = []
    for epsilon, dtype in ((1e-4, torch.float32), (1e-7, torch.float64)):
        objective = supernet(small_space("nb201"))
        objective.network.to(dtype)
        images, labels = objective.batch("train")
        searcher = made("darts+lambda-darts", objective.space, weight=1.0, epsilon=epsilon)
        p, batch = searcher.probabilities().to(dtype), Batch(images.to(dtype), labels)
        searcher.modifiers["lambda-darts"].weight_gates(p, objective, batch, LAST)
        found.append(torch.cat([g.flatten().double() for g in objective.extra.values()]))
    assert float(torch.cosine_similarity(*found, dim=0)) > 0.999
    assert float(found[0].norm() / found[1].norm()) == pytest.approx(1, abs=1e-2)


def test_lambda_rises_linearly_to_its_weight() -> None:
    modifier = Alignment(made("darts", ToySpace()), Options(weight=0.125))
    assert [modifier.strength(Clock(e, 0, 5, 1)) for e in range(5)] == pytest.approx([0, 1 / 32, 1 / 16, 3 / 32, 1 / 8])
    assert modifier.strength(Clock(0, 0, 1, 1)) == 0.0


def searched(name: str, space: type[Space], **own: Any) -> tuple[Tree, Traced, Any]:
    searcher, objective = made(name, space(), **own), Traced(space)
    for epoch in range(6):
        train_epoch(without_cost(objective), searcher, epoch, 6)
    return searcher.base.state() if own else searcher.state(), objective, searcher


@pytest.mark.parametrize("space", [ToySpace, ToyCell])
def test_without_weight_it_is_darts_bit_for_bit(space: type[Space]) -> None:
    (mine, here, _), (darts, there, _) = searched("darts+lambda-darts", space, weight=0.0), searched("darts", space)
    assert difference(mine, darts) is None
    assert difference(here.trace, there.trace) is None
    assert difference(here.state(), there.state()) is None
    assert difference(searched("darts+lambda-darts", space, weight=0.5)[1].state(), there.state()) is not None


def test_a_decided_row_is_neither_compared_nor_moved(small_space: Callable[[str], Space]) -> None:
    objective = supernet(small_space("nb201"))
    decided = objective.decided(Decisions.none(objective.space).decide(2, 3))
    p = decided.layered(torch.full((6, 5), 0.2))
    assert (p[:, 2] == torch.eye(5)[3]).all()
    by_gates, _ = decided.layer_gradients(p, objective.batch("train"))
    assert (by_gates[:, 2] == 0).all()
    assert (by_gates[:, :2].abs().amax((1, 2)) > 0).all()


def test_where_it_is_refused(small_space: Callable[[str], Space]) -> None:
    for name, objective, text in (
        ("random+lambda-darts", None, "RandomSampling has none"),
        ("darts+lambda-darts", supernet(small_space("macro")), "take space nb201 or nb201-untied"),
    ):
        kind = registry.load("searcher", name)
        with pytest.raises(BenchbedError, match=f"modifier 'lambda-darts' does not fit .*{text}") as caught:
            kind.check(kind.Options(), ToySpace(), objective)
        assert "\n" not in str(caught.value)
