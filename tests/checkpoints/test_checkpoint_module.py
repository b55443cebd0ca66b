"""A module of the user's own: the objective that is made of it, and what selectors choose on it."""

import pytest
import torch
from torch import nn

from benchbed.checkpoints.module import Choices, ModuleObjective, _check_module, _checked_alpha, select_on
from benchbed.errors import BenchbedError
from benchbed.objectives.supernet import SupernetOptions
from benchbed.streams import Streams
from benchbed.task import Seal, Split, Task
from benchbed.testing.space_suite import CHECKS


class OwnSpace(Choices):
    def __init__(self):
        super().__init__({"first": ["noise", "shape"], "second": ["skip", "conv", "none"]})


SPACE = OwnSpace()


class Own(nn.Module):
    """Two positions. Of the first, 'shape' alone passes the class on; of the second all but 'none' do."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(1, 1, 1, bias=False)
        self.norm = nn.BatchNorm2d(1, affine=False)
        self.classifier = nn.Linear(1, 2)
        with torch.no_grad():
            self.conv.weight.fill_(1.0)
            self.classifier.weight.copy_(torch.tensor([[-4.0], [4.0]]))
            self.classifier.bias.zero_()

    def forward(self, x, gates):
        (noise, shape), (skip, conv, _) = gates[0, :2], gates[1]
        x = noise * x.flip(0) + shape * x
        x = skip * x + conv * self.conv(x)
        return self.classifier(self.norm(x).mean((2, 3)))


@pytest.fixture
def task():
    g = torch.Generator().manual_seed(0)
    labels = torch.arange(96) % 2
    images = labels[:, None, None, None] * 2 - 1 + 0.3 * torch.randn(96, 1, 4, 4, generator=g)
    order = torch.randperm(96, generator=g)
    split = Split(images[order], labels[order])
    return Task("own", 2, (1, 4, 4), split, split, Seal(lambda: split), "0")


ALPHA = torch.tensor([[2.0, 0.0, 0.0], [0.0, 0.0, 3.0]])  # alpha prefers what tells nothing


def test_magnitude_chooses_by_alpha_and_perturbation_by_what_is_missed(task):
    """Oracle 9: the one informative operation, which alpha ranks last."""
    by_alpha = select_on(Own(), SPACE, task, ALPHA, selector="magnitude")
    assert str(by_alpha.architecture) == "first=noise,second=none"
    own = Own()
    chosen = select_on(own, SPACE, task, ALPHA, selector="perturb", interval=0, criterion="loss", order="forward")
    assert str(chosen.architecture).startswith("first=shape,second=")
    assert SPACE.parse(str(chosen.architecture)) == chosen.architecture
    assert own.norm.num_batches_tracked == 0, "scores move no buffer"


def test_tuning_trains_the_users_module_in_place(task):
    own, before = Own(), Own()
    options = {"batch": 32, "valid_batch": 32, "lr": 0.1}
    select_on(own, SPACE, task, ALPHA, selector="perturb", supernet=options, interval=1)
    assert not torch.equal(own.classifier.weight, before.classifier.weight)
    assert own.norm.num_batches_tracked == 0
    again = Own()
    select_on(again, SPACE, task, ALPHA, selector="perturb", supernet=options, interval=1)
    assert torch.equal(again.classifier.weight, own.classifier.weight), "by the seed alone"


def test_the_gate_gradient_is_the_modules_own_also_where_nothing_flows(task):
    objective = ModuleObjective(Own(), SPACE, task, SupernetOptions(valid_batch=32), Streams(0))
    batch, gates = objective.batch("valid"), torch.tensor([[0.0, 1.0, 0.0], [1.0, 0.0, 0.0]])
    loss, found = objective.gate_gradient(gates, batch)
    point = gates.clone().requires_grad_()
    expected = nn.functional.cross_entropy(Own()(batch.images, point), batch.labels)
    assert torch.allclose(loss, expected.detach(), rtol=1e-5)
    (gradient,) = torch.autograd.grad(expected, point)
    assert torch.allclose(found, gradient * torch.from_numpy(SPACE.mask), atol=1e-6)
    assert found[0, 0] != 0, "a gate of zero"
    measured = objective.measure(torch.stack([gates, gates.flip(1) * 0]))
    assert measured.accuracy[0] == 100


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"alpha": torch.zeros(3, 2)}, r"alpha of shape \(3, 2\): the space has \(2, 3\)"),
        ({"selector": "pertub"}, "unknown selector 'pertub': did you mean 'perturb'"),
        ({"searcher": "random"}, "has no alpha to take over"),
        ({"intervall": 1}, "unknown option of selector 'perturb' 'intervall': did you mean 'interval'"),
        ({"supernet": {"batchs": 1}}, "unknown option of supernet 'batchs'"),
        ({"alpha": torch.full((2, 3), torch.nan)}, "expected finite real logits"),
    ],
)
def test_what_is_refused(task, given, words):
    with pytest.raises(BenchbedError, match=words):
        select_on(Own(), SPACE, task, **{"alpha": ALPHA, **given})


def test_alpha_is_any_array_of_finite_numbers():
    assert torch.equal(_checked_alpha(ALPHA.numpy().astype("float64"), SPACE), ALPHA)
    for alpha in ([[0, 0, 0], [0, 0, 0]], [[float("inf"), 0.0, 0.0], [0.0, 0.0, 0.0]]):
        with pytest.raises(BenchbedError, match="expected finite real logits"):
            _checked_alpha(alpha, SPACE)


def changed(**methods):
    return type("Changed", (Own,), methods)()


@pytest.mark.parametrize(
    ("module", "words"),
    [
        (lambda: Own, "expected an instance of torch.nn.Module"),
        (lambda: Own().double(), "parameters that learn: torch.float64; expected some of float32"),
        (lambda: nn.Identity(), "parameters that learn: none"),
        (lambda: changed(forward=lambda self, x, gates: Own.forward(self, x, gates)[:, :1]), r"gives \(2, 1\) for"),
        (lambda: changed(forward=lambda self, x, gates: (Own.forward(self, x, gates),)), "gives tuple for 2 images"),
        (lambda: changed(forward=lambda self, x, gates: Own.forward(self, x, gates).detach()), "depend on its gates"),
        (
            lambda: changed(forward=lambda self, x, gates: Own.forward(self, x, torch.ones_like(gates))),
            "do not depend on its gates",
        ),
        (
            lambda: changed(forward=lambda self, x, gates: gates.sum() * torch.ones(len(x), 2)),
            "do not depend on its weights",
        ),
    ],
)
def test_modules_that_cannot_be_selected_on(task, module, words):
    """By what `select_on` asks first; with its types unchecked, as a user calls it."""
    with pytest.raises(BenchbedError, match=words):
        _check_module(module(), SPACE, task, torch.device("cpu"))


def test_looking_at_a_module_first_changes_nothing(task):
    """Neither its buffers nor the generator of whoever calls."""
    torch.manual_seed(5)
    own, expected = Own(), torch.rand(3, generator=torch.Generator().manual_seed(5))
    torch.manual_seed(5)
    select_on(own, SPACE, task, ALPHA, selector="magnitude")
    assert torch.equal(torch.rand(3), expected)
    assert int(own.norm.num_batches_tracked) == 0


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("first=shape", "expected first=OPERATION,second=OPERATION"),
        ("second=skip,first=shape", "expected first=OPERATION,second=OPERATION"),
        ("first=shap,second=skip", "unknown operation at position 'first' 'shap': did you mean 'shape'"),
    ],
)
def test_strings_of_choices(text, words):
    with pytest.raises(BenchbedError, match=words):
        SPACE.parse(text)


def test_spaces_that_are_none():
    for positions, words in (
        ({}, "without positions"),
        ({"a": []}, "'a' has operations"),
        ({"a": ["x", "x"]}, "'a'"),
        ({"a": "xy"}, "operations 'xy': expected a list"),
        ({"a": ["x=1", "y"]}, "name 'x=1' at position 'a': expected text without"),
        ({"a,b": ["x", "y"]}, "name 'a,b'"),
    ):
        with pytest.raises(BenchbedError, match=words):
            Choices(positions)
    for choices in ((0,), (0, 3), (-1, 0)):
        with pytest.raises(BenchbedError, match="name no architecture"):
            SPACE.architecture_of(choices)


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_choices_keep_the_contract_of_a_space(check):
    check(SPACE)


class Sparing(Own):
    """Runs its convolution, and a norm after it, only where its gate is not zero."""

    def __init__(self):
        super().__init__()
        self.own = nn.BatchNorm2d(1, affine=False)

    def forward(self, x, gates):
        (noise, shape), (skip, conv, _) = gates[0, :2], gates[1]
        x = noise * x.flip(0) + shape * x
        x = skip * x + (conv * self.own(self.conv(x)) if bool(conv != 0) or conv.requires_grad else 0.0)
        return self.classifier(self.norm(x).mean((2, 3)))


def test_statistics_of_a_module_that_skips_norms_are_refused_and_its_own_per_candidate_are_not(task):
    given = {"selector": "perturb", "interval": 0, "order": "forward", "criterion": "loss"}
    with pytest.raises(BenchbedError, match=r"other batch norms at other gates.*batch or recalibrated"):
        select_on(Sparing(), SPACE, task, ALPHA, batch_norm="eval", **given)
    chosen = select_on(Sparing(), SPACE, task, ALPHA, batch_norm="recalibrated", **given)
    assert str(chosen.architecture).startswith("first=shape")
    chosen = select_on(Own(), SPACE, task, ALPHA, batch_norm="eval", **given)
    assert str(chosen.architecture).startswith("first=shape")
