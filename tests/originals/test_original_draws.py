"""GDAS, SNAS, ReinMax and DrNAS beside the codes that they come from: what each makes of one draw."""

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from benchbed.searcher import Clock
from benchbed.spaces.nb201.space import NB201

from . import cells201, darts_space
from .clones import clone
from .ours import gradient, objective, searcher

LATER = Clock(2, 0, 5, 1)  # half of the way


def started(name: str, **own: Any) -> tuple[Any, Any]:
    on = objective(NB201(), channels=cells201.CHANNELS, cells=cells201.CELLS)
    return on, searcher(name, on, **own)


def theirs_and_ours(on: Any, of: Any, network: nn.Module, alpha: Tensor, tape: Any) -> tuple[Tensor, Tensor]:
    """The gradients of `alpha`, their parameter, and of ours, on the same draws."""
    tape()
    cells201.entropy(network, on.batch("valid")).backward()
    tape()
    assert alpha.grad is not None
    return alpha.grad, gradient(of, on, LATER)


# -- GDAS --------------------------------------------------------------------------------------------------------------


def gdas(tape: Any, which: str) -> tuple[Tensor, Tensor]:
    on, of = started("gdas", gradient=which)
    network = cells201.with_weights(cells201.autodl("GDAS")(), on, of.alpha, "arch_parameters")
    network.set_tau(of.temperature(LATER))
    return theirs_and_ours(on, of, network, network.arch_parameters, tape)


def test_gdas_with_ones_is_the_authors_cell(tape: Any, ledger: Any) -> None:
    why = "`gradient=ones`: operations that were not drawn count as ones"
    ledger.equal("gdas", "gradient", "AutoDL-Projects", *gdas(tape, "ones"), why)


@pytest.mark.parametrize("which", ["all", "sampled"])
def test_gdas_of_the_paper_is_not_the_authors_cell(which: str, tape: Any, ledger: Any) -> None:
    why = "their cell adds the bare gate of an operation that was not drawn in place of its output: search_cells.py, " \
          "forward_gdas"  # fmt: skip
    ledger.differs("gdas", f"gradient, `gradient={which}`", "AutoDL-Projects", *gdas(tape, which), why)


# -- SNAS, and DrNAS, in DrNAS' code -----------------------------------------------------------------------------------


def drnas(on: Any, of: Any, species: str, **own: Any) -> Any:
    network = cells201.drnas(on, species, **own)
    network._arch_parameters.data.copy_(of.alpha.detach())
    return network


def test_snas(tape: Any, ledger: Any) -> None:
    on, of = started("snas", tau_start=10, tau_end=1)
    network = drnas(on, of, "gumbel")
    network.set_tau(10 + (1 - 10) * LATER.epoch / (LATER.epochs - 1))
    ledger.equal("snas", "gradient", "DrNAS", *theirs_and_ours(on, of, network, network.arch_parameters()[0], tape))


def test_the_draw_of_snas_is_its_authors(tape: Any, ledger: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Their network wants many GPUs and is not built: what is compared is its gates, and their derivative."""
    (module,) = darts_space.modules(clone("SNAS-Series") / "SNAS", "model_search")
    _, of = started("snas")
    monkeypatch.setattr(Tensor, "uniform_", lambda self: self.exponential_().neg_().exp_())  # E = -log u
    along, temperature = torch.randn(of.alpha.shape), SimpleNamespace(_temp=of.tau)
    found = []
    for draw in (lambda: module.Network._get_categ_mask(temperature, of.alpha), of.relaxed):
        tape()
        z = draw()
        found.append((z, torch.autograd.grad((z * along).sum(), of.alpha)[0]))
    for what, theirs, ours in zip(("its gates", "their derivative in alpha"), *found, strict=True):
        ledger.equal("snas", what, "SNAS-Series", theirs, ours)


@pytest.mark.parametrize("reg", ["l2", "kl"])
def test_drnas(reg: str, ledger: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    on, of = started("drnas", reg=reg)
    network = drnas(on, of, "dirichlet", reg_type=reg)
    drawn = of.draw().detach()  # handed over; the pathwise derivative is taken of it on either side
    rows = iter([*drawn, drawn])
    monkeypatch.setattr(torch, "_sample_dirichlet", lambda concentration, generator=None: next(rows).clone())
    loss = network._loss(*on.batch("valid"))
    (found,) = torch.autograd.grad(loss, network.arch_parameters())
    ours = gradient(of, on)
    assert next(rows, None) is None
    ledger.equal("drnas", f"gradient, {reg}", "DrNAS", found, ours)


# -- confopt's samplers, ReinMax among them ----------------------------------------------------------------------------


def confopt(on: Any, of: Any, sampler: str, reinmax: bool = False, **own: Any) -> nn.Module:
    """Its supernet, which draws its gates by that sampler."""
    model_search, samplers = cells201.confopt("confopt.oneshot.archsampler", reinmax=reinmax)
    network = cells201.confopt_network(model_search, on, of.alpha)
    network.sample = getattr(samplers, sampler)([network.arch_parameters], **own).sample
    return network


def test_gdas_of_the_paper_is_confopts(tape: Any, ledger: Any) -> None:
    on, of = started("gdas", tau_start=2, tau_end=2)
    network = confopt(on, of, "GDASSampler", tau_max=2, tau_min=2)
    found = theirs_and_ours(on, of, network, network.arch_parameters, tape)
    ledger.equal("gdas", "gradient", "ConfigurableOptimizer", *found, "`gradient=all`: it runs every operation")


def test_snas_is_confopts(tape: Any, ledger: Any) -> None:
    on, of = started("snas", tau_start=0.5, tau_end=0.5)
    network = confopt(on, of, "SNASSampler", temp_init=0.5, temp_min=0.5)
    found = theirs_and_ours(on, of, network, network.arch_parameters, tape)
    ledger.equal("snas", "gradient", "ConfigurableOptimizer", *found)


@pytest.mark.parametrize("tau", [1.0, 2.0])
def test_reinmax(tau: float, tape: Any, ledger: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    on, of = started("snas", reinmax=True, tau_start=tau, tau_end=tau)
    network = confopt(on, of, "ReinMaxSampler", reinmax=True, tau_max=tau, tau_min=tau)
    tape()
    drawn = of.path().argmax(1, keepdim=True)  # handed over
    monkeypatch.setattr(torch, "multinomial", lambda p, num_samples, replacement: drawn)
    found = theirs_and_ours(on, of, network, network.arch_parameters, tape)
    ledger.equal("snas, reinmax", f"gradient, temperature {tau:g}", "reinmax", *found, "in confopt's supernet")
