"""ENAS' controller against the enumeration of all that it may write."""

import itertools

import pytest
import torch

from benchbed.selection import controller as room
from benchbed.selection.controller import Controller
from benchbed.spaces.nb201.space import NB201
from benchbed.testing.toys import ToySpace

MASK = torch.from_numpy(ToySpace().mask)
PATHS = torch.tensor(list(itertools.product(range(3), range(2), range(4))))


def made(mask: torch.Tensor = MASK, seed: int = 0, spread: float = 1.0) -> Controller:
    """With weights that are far from equal, so that what follows depends on what came before."""
    torch.manual_seed(seed)
    found = Controller(mask)
    for weight in found.parameters():
        torch.nn.init.normal_(weight, std=spread)
    return found


def along(controller: Controller, paths: torch.Tensor) -> room.Drawn:
    return controller.follow(len(paths), lambda i, p: paths[:, i])


def test_the_probabilities_of_all_architectures_sum_to_one_and_their_sums_are_the_marginals() -> None:
    controller = made()
    found = along(controller, PATHS)
    p = found.log_p.exp().detach()
    assert float(p.sum()) == pytest.approx(1.0, abs=1e-5)
    wanted = (p[:, None, None] * found.gates).sum(0)
    torch.testing.assert_close(controller.marginals(), wanted, rtol=1e-4, atol=1e-6)
    assert (controller.marginals()[~MASK] == 0).all()
    independent = torch.stack([wanted[i][PATHS[:, i]] for i in range(3)]).prod(0)
    assert float((independent - p).abs().max()) > 0.02  # positions are drawn together


def test_the_mean_entropy_along_the_paths_is_that_of_the_whole() -> None:
    """The chain rule: E sum_i H(pi(. | before)) = H(pi)."""
    found = along(made(), PATHS)
    log_p, entropy = found.log_p.detach(), found.entropy.detach()
    whole = -(log_p.exp() * log_p).sum()
    assert float((log_p.exp() * entropy).sum()) == pytest.approx(float(whole), rel=1e-5)


def test_draws_come_at_their_probabilities() -> None:
    controller, n = made(), 20_000
    drawn = controller.draw(n, torch.Generator().manual_seed(3))
    p = along(controller, PATHS).log_p.exp().detach()
    number = drawn.gates.argmax(2) @ torch.tensor([8, 4, 1])
    counts = torch.bincount(number, minlength=24).double() / n
    assert float(((counts - p).abs() / (p * (1 - p) / n).sqrt().clamp_min(1 / n)).max()) < 4.5
    torch.testing.assert_close(drawn.log_p, along(controller, drawn.gates.argmax(2)).log_p)


def test_of_many_prefixes_the_marginals_are_near_the_exact_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    controller = made(torch.from_numpy(NB201().mask), spread=0.6)
    exact = controller.marginals()
    monkeypatch.setattr(room, "PREFIXES", 400)
    near = controller.marginals()
    torch.testing.assert_close(near.sum(1), torch.ones(6))
    assert 0 < float((near - exact).abs().max()) < 0.02
    assert float((exact - 0.2).abs().max()) > 0.1  # none of which a uniform row would be
    assert torch.equal(near, controller.marginals())


def test_logits_are_bounded_and_the_start_is_the_authors() -> None:
    controller = Controller(MASK)
    for name in ("start", "lstm.weight_hh_l0", "lstm.weight_ih_l0", "embedding.weight", "output.weight"):
        assert float(dict(controller.named_parameters())[name].detach().abs().max()) <= 0.1
    torch.nn.init.constant_(controller.output.bias, 100.0)
    controller.output.bias.data[0] = -100.0
    assert float(controller.marginals()[1].max()) == pytest.approx(1 / (1 + torch.e**-5.0), rel=1e-5)
