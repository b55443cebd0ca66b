"""Lambda-DARTS' regulariser beside its authors' code and confopt's: the gradient that it adds to the weights'."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from benchbed.checkpoints import nb201
from benchbed.searcher import Clock
from benchbed.searchers.modifiers.lambda_darts import aligned
from benchbed.spaces.nb201.space import NB201

from . import cells201
from .clones import clone, empty_package
from .ours import CLASSES, alpha_of, objective, searcher

LAST = Clock(4, 0, 5, 1)  # lambda is its weight, 0.125
CLOSE = 1e-9  # of a difference of gradients: rounding is divided by 2e-4 / |delta|


def ours(**own: Any) -> tuple[Any, Any, dict[str, Tensor]]:
    """Objective, searcher, and what the modifier adds to each weight's gradient."""
    on = objective(NB201(), channels=cells201.CHANNELS, cells=cells201.CELLS)
    of = searcher("darts", on, {"lambda-darts": {"epsilon": 1e-4, **own}})
    of.weight_gates(on, on.batch("train"), LAST)
    return on, of, dict(on.extra)


def vector(by_name: dict[str, Tensor], names: dict[str, str] | None = None) -> Tensor:
    """Of our weights, in our order; `names`: where theirs lie."""
    order = nb201.names(cells201.CELLS)
    return torch.cat([by_name[names[name] if names else name].flatten() for name in order])


def test_the_authors(ledger: Any) -> None:
    lib = clone("Lambda-DARTS") / "NAS-Bench201" / "lib"
    packages = {n: empty_package(n, lib / n.replace(".", "/")) for n in ("models", "models.cell_searchs")}
    name = "models.cell_searchs.search_model_darts_v1"
    (module,) = cells201.modules(lib, name, packages=packages)
    on, of, added = ours()
    made = module.TinyNetworkDartsV1(cells201.CHANNELS, cells201.CELLS, 4, CLASSES, cells201.OPERATIONS)
    network = cells201.with_weights(made, on, alpha_of(of), "arch_parameters")
    network.lambda_, network.epsilon_0 = 0.125, 1e-4
    images, labels = on.batch("train")
    entropy = nn.CrossEntropyLoss()

    entropy(network(images)[1], labels).backward()  # from here on their weight step: exps/algos/DARTS-V1.py
    alignment = network.get_corr()
    before = {name: weight.grad.clone() for name, weight in network.named_parameters()}
    pert = network.get_perturbations()
    sides = [torch.autograd.grad(entropy(network(images, pert=p)[1], labels), network.get_weights())
             for p in (pert, [-x for x in pert])]  # fmt: skip
    network.get_full_grads(*sides)
    theirs = {name: weight.grad - before[name] for name, weight in network.named_parameters()}

    names = nb201.names(cells201.CELLS)
    both = vector(theirs, names), vector(added)
    ledger.equal("darts+lambda-darts", "what is added to the weights' gradient", "Lambda-DARTS", *both, close=CLOSE)
    measured = torch.tensor(alignment), torch.tensor(of.progress()["alignment"])
    ledger.equal("darts+lambda-darts", "mean cosine of the cells", "Lambda-DARTS", *measured)


@pytest.mark.parametrize("measure", ["cosine", "sign"])
def test_confopt_perturbs_other_cells(measure: str, ledger: Any) -> None:
    model_search, base = cells201.confopt("confopt.searchspace.common.base_search")
    on, of, added = ours(measure=measure)
    network = cells201.confopt_network(model_search, on, alpha_of(of))

    class Space(base.LambdaDARTSSupport):  # type: ignore[misc, name-defined]
        arch_parameters = property(lambda self: [network.arch_parameters])

        def get_cells(self, _: Any = None) -> list[Any]:
            return [cell for cell in network.cells if hasattr(cell, "edges")]

        def model_weight_parameters(self) -> list[Any]:
            return network.get_weights()

    space = Space(network)
    kind = {"cosine": "corr", "sign": "signcorr"}[measure]
    space.set_lambda_darts_params(base.LambdaReg(enabled=True, strength=0.125, epsilon_base=1e-4, corr_type=kind))
    space.update_strength(5, 5)
    images, labels = on.batch("train")
    nn.functional.cross_entropy(network(images)[1], labels).backward()
    before = {name: weight.grad.clone() for name, weight in network.named_parameters() if weight.grad is not None}
    direction = torch.stack(space.get_perturbations())
    space.add_lambda_regularization(images, labels, nn.CrossEntropyLoss())
    theirs = {name: weight.grad - before[name] for name, weight in network.named_parameters() if name in before}
    p = on.layered(of.probabilities())
    _, delta = aligned(on.layer_gradients(p, on.batch("train"))[0], measure)
    what = f"direction in which gates are perturbed, {measure}"
    ledger.equal("darts+lambda-darts", what, "ConfigurableOptimizer", direction, 1e-4 * delta / delta.norm())
    why = "a cell runs at gates that were copied before they were perturbed: it has the perturbations of the cells " \
          "before it, added up, and not its own: nb201/core/model_search.py, forward"  # fmt: skip
    both = vector(theirs, cells201.confopt_names()), vector(added)
    ledger.differs("darts+lambda-darts", f"what is added to the weights' gradient, {measure}", "ConfigurableOptimizer",
                   *both, why)  # fmt: skip
