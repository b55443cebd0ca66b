"""Steps over static buffers give what plain steps give, and only a plan that repeats is recorded.

A CPU records nothing, so `imitated` stands in for the graph: like a replay, it writes each call's outputs over the
same tensors. What a graph itself does is left to the test at the end, which needs a GPU.
"""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from benchbed.errors import BenchbedError
from benchbed.objective import Decisions
from benchbed.objectives.capture import KEPT, REPEATS, Recordings
from benchbed.objectives.supernet import SupernetObjective, SupernetOptions
from benchbed.spaces.nb201.space import NB201
from benchbed.streams import Streams
from benchbed.task import Seal, Split, Task

from ..imitated import Imitated

Sequence = Callable[[SupernetObjective], list[Tensor]]


def _sealed() -> Split:
    raise AssertionError("the test split was touched")


def _objective(device: str = "cpu", **options: object) -> SupernetObjective:
    generator = torch.Generator().manual_seed(1)
    images, labels = torch.randn(2, 24, 3, 8, 8, generator=generator), torch.randint(3, (2, 24), generator=generator)
    train, valid = (Split(images[i], labels[i]) for i in range(2))
    task = Task("random", 3, (3, 8, 8), train, valid, Seal(_sealed), "0")
    small = SupernetOptions(channels=4, cells=1, batch=8, valid_batch=8, schedule="cosine-step", **options)
    return SupernetObjective(NB201(), task, small, Streams(0), epochs=5, device=device)


def _recorded(**options: object) -> tuple[SupernetObjective, Imitated]:
    objective, recorder = _objective(**options), Imitated()
    objective.recordings = Recordings(objective.network, objective._precision, recorder)
    return objective, recorder


def _mixture(seed: int) -> Tensor:
    return torch.softmax(torch.randn(6, 5, generator=torch.Generator().manual_seed(seed)), 1)


def _one_hot(seed: int) -> Tensor:
    choices = torch.randint(5, (6,), generator=torch.Generator().manual_seed(seed))
    return torch.nn.functional.one_hot(choices, 5).float()


def _dense(objective: SupernetObjective) -> list[Tensor]:
    seen = []
    for step in range(8):
        loss, gradient = objective.gate_gradient(_mixture(step), objective.batch("valid"))
        seen += [loss, gradient, objective.weight_step(_mixture(100 + step), objective.batch("train"))]
    return seen


def _with_sampled_paths(objective: SupernetObjective) -> list[Tensor]:
    """A path in between drops the gradients that a recording holds on to."""
    seen = []
    for step in range(8):
        seen.append(objective.weight_step(_mixture(step), objective.batch("train")))
        if step > 4:
            seen.append(objective.weight_step(_one_hot(step), objective.batch("train")))
            seen += objective.gate_gradient(_one_hot(step), objective.batch("valid"))
    return seen


def _with_decisions(objective: SupernetObjective) -> list[Tensor]:
    """A selector fixes rows: the plan changes for good, and a tuning phase brings a fresh optimiser."""
    seen = _dense(objective)
    decisions = Decisions.none(objective.space)
    for position, operation in ((4, 3), (0, 1), (5, 0)):
        decisions = decisions.decide(position, operation)
        objective.new_optimiser(0.1, 2, "cosine")
        decided = objective.decided(decisions)
        for step in range(REPEATS + 2):
            seen.append(decided.weight_step(_mixture(step), decided.batch("train")))
            seen += decided.gate_gradient(_mixture(step), decided.batch("valid"))
    return seen


def _equal(a: list[Tensor], b: list[Tensor]) -> bool:
    return len(a) == len(b) and all(torch.equal(x, y) for x, y in zip(a, b, strict=True))


def _weights_and_momentum(objective: SupernetObjective) -> list[Tensor]:
    weights = list(objective.network.parameters())
    buffers = [objective.optimiser.state.get(w, {}).get("momentum_buffer") for w in weights]
    return [w.detach() for w in weights] + [torch.zeros(0) if b is None else b for b in buffers]


@pytest.mark.parametrize("sequence", [_dense, _with_sampled_paths, _with_decisions])
@pytest.mark.parametrize("options", [{}, {"clip": 1e-3, "nesterov": True}, {"bf16": True}], ids=["", "clip", "bf16"])
def test_static_buffers_give_bit_for_bit_what_plain_steps_give(sequence: Sequence, options: dict[str, object]) -> None:
    plain = _objective(**options)
    static, recorder = _recorded(**options)
    assert _equal(sequence(plain), sequence(static))
    assert _equal(_weights_and_momentum(plain), _weights_and_momentum(static))
    assert plain.learning_rate() == static.learning_rate()
    assert recorder.recorded > 0


def test_a_repeating_plan_is_recorded_once_for_each_kind_of_step() -> None:
    objective, recorder = _recorded()
    for step in range(REPEATS):
        objective.weight_step(_mixture(step), objective.batch("train"))
    assert recorder.recorded == 0
    for step in range(5):
        objective.weight_step(_mixture(step), objective.batch("train"))
    assert recorder.recorded == 1
    _dense(objective)
    assert recorder.recorded == 2


def test_sampled_paths_are_never_recorded() -> None:
    objective, recorder = _recorded()
    for step in range(4 * REPEATS):
        objective.weight_step(_one_hot(step), objective.batch("train"))
        objective.gate_gradient(_one_hot(step), objective.batch("valid"))
    assert recorder.recorded == 0


def test_recordings_are_limited_and_the_latest_stay() -> None:
    objective, recorder = _recorded()
    assert objective.recordings is not None
    for operation in range(5):
        decided = objective.decided(Decisions.none(objective.space).decide(2, operation))
        for step in range(REPEATS + 1):
            decided.weight_step(_mixture(step), decided.batch("train"))
    assert (recorder.recorded, len(objective.recordings.kept)) == (5, KEPT)
    decided.weight_step(_mixture(0), decided.batch("train"))
    assert recorder.recorded == 5


def test_another_batch_size_is_another_recording() -> None:
    plain = _objective()
    static, recorder = _recorded()
    for objective in (plain, static):
        for size in [8] * (REPEATS + 1) + [6] * (REPEATS + 1):
            batch = objective.batch("train")
            objective.weight_step(
                _mixture(size), batch._replace(images=batch.images[:size], labels=batch.labels[:size])
            )
    assert recorder.recorded == 2
    assert _equal(_weights_and_momentum(plain), _weights_and_momentum(static))


def test_a_loss_once_given_does_not_change() -> None:
    objective, _ = _recorded()
    losses = [objective.weight_step(_mixture(0), objective.batch("train")) for _ in range(REPEATS + 4)]
    assert len({float(loss) for loss in losses}) == len(losses)


def test_a_saved_state_continues_in_an_objective_that_has_recorded() -> None:
    plain = _objective()
    static, _ = _recorded()
    _dense(plain)
    saved, streams = plain.state(), plain.streams.state()
    _dense(static)
    _dense(static)
    static.load_state(saved)
    static.streams.load_state(streams)
    assert _equal(_dense(plain), _dense(static))
    assert _equal(_weights_and_momentum(plain), _weights_and_momentum(static))


def test_a_cpu_is_refused_in_one_line() -> None:
    with pytest.raises(BenchbedError, match=r"^supernet option graph=true: needs a CUDA device, this one is 'cpu'$"):
        _objective(graph=True)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device: a CPU cannot record a CUDA graph")
@pytest.mark.parametrize("bf16", [False, True])
@pytest.mark.parametrize("sequence", [_dense, _with_sampled_paths, _with_decisions])
def test_a_cuda_graph_gives_what_plain_steps_give(sequence: Sequence, bf16: bool) -> None:
    with torch.backends.cudnn.flags(enabled=True, deterministic=True, allow_tf32=False):
        plain, graph = _objective("cuda", bf16=bf16), _objective("cuda", bf16=bf16, graph=True)
        expected, found = sequence(plain), sequence(graph)
    assert graph.recordings is not None
    assert graph.recordings.kept
    tolerance = 3e-2 if bf16 else 1e-3
    for a, b in zip(expected, found, strict=True):
        torch.testing.assert_close(b, a, rtol=tolerance, atol=tolerance)
    for a, b in zip(_weights_and_momentum(plain), _weights_and_momentum(graph), strict=True):
        assert (a - b).norm() <= tolerance * a.norm()
