"""A proxy as a criterion: the score of a supernet at gates, on one batch, without training."""

from typing import Any

import torch
from jaxtyping import Float, Float64
from torch import Tensor, nn

from .. import registry
from ..errors import BenchbedError
from ..layers.plan import Plan, plan
from ..objective import Batch, Objective
from ..proxy import BatchOptions, Case, Proxy
from ..task import Split

ACCURACY = "accuracy"  # in a proxy's place: the objective's own, which a table has exactly
WORST = -1e9  # of a supernet through which nothing flows, so that it stands in a record


class Gated(nn.Module):
    """The supernet at fixed gates: images to logits. It shares the weights."""

    def __init__(self, network: nn.Module, gates: Float[Tensor, "P O"], steps: Plan):
        super().__init__()
        self.network, self.gates, self.steps = network, gates, steps

    def forward(self, images: Float[Tensor, "n c h w"]) -> Float[Tensor, "n classes"]:
        logits: Tensor = self.network(images, self.gates, self.steps)
        return logits


def known() -> list[str]:
    """The proxies that can score a supernet, and the objective's accuracy."""
    names = [p.name for p in registry.plugins("proxy")]
    return [ACCURACY, *(name for name in names if registry.load("proxy", name).of_gates)]


def check_proxy(name: str, objective: Objective | None) -> None:
    """Raises BenchbedError for a proxy that scores no supernet, and for an objective that has none to score."""
    if name not in (names := known()):
        unfit = name in {p.name for p in registry.plugins("proxy")}
        why = ", which scores a discrete network's own layers, not a supernet" if unfit else ""
        raise BenchbedError(f"proxy '{name}'{why}: expected one of {', '.join(names)}")
    if name != ACCURACY and objective is not None and objective.network is None:
        raise BenchbedError(f"proxy '{name}' scores a network, and this objective has none: give proxy = {ACCURACY}")


def scores(
    objective: Objective, gates: Float[Tensor, "C K P O"], name: str, batch: Batch | None, seed: int
) -> Float64[Tensor, " C"]:
    """The proxy's score of each candidate, the mean over its K sets of gates; greater is better. The supernet stays.

    batch: what all are scored on. What is not finite counts as `WORST`.
    """
    if name == ACCURACY:
        return objective.measure(gates).accuracy.double().mean(1)
    assert batch is not None
    kind: type[Proxy[Any]] = registry.load("proxy", name)
    given = {"batch": len(batch.labels)} if issubclass(kind.Options, BatchOptions) else {}
    proxy, found = kind(kind.Options(**given)), []
    for one in gates.flatten(0, 1):
        score = proxy.score(_case(objective, one, batch, seed))
        assert isinstance(score, float)
        found.append(score)
    each = torch.tensor(found, dtype=torch.float64).nan_to_num(WORST, WORST, WORST)
    return each.view(gates.shape[:2]).mean(1)


def _case(objective: Objective, gates: Float[Tensor, "P O"], batch: Batch, seed: int) -> Case:
    network = objective.network
    assert network is not None
    device = batch.images.device
    shape = (batch.images.shape[1], batch.images.shape[2], batch.images.shape[3])
    with torch.no_grad():
        classes = network(batch.images[:2], gates.to(device), plan(gates)).shape[1]
    train = Split(batch.images, batch.labels)
    build = lambda: Gated(network, gates.to(device), plan(gates))  # noqa: E731
    return Case(objective.space, None, shape, classes, 0, 0, seed, train, build, device)
