"""Batch norm by statistics gathered beforehand, in networks that keep none.

The supernets normalise by the batch's own statistics. To measure one as if it held running averages, every call of
batch norm is watched on some batches of images, in the order in which a forward pass makes them, and then answered by
what was gathered: the mean over batches of each batch's mean and unbiased variance. A network that keeps averages has
these after `torch.optim.swa_utils.update_bn`.
"""

from abc import abstractmethod
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode

from ..errors import BenchbedError
from .noise import advance, held

Forward = Callable[[Tensor], Tensor]  # images to logits


class Norm(NamedTuple):
    """What one call of batch norm is answered with, a value a channel each."""

    mean: Float[Tensor, " C"]
    variance: Float[Tensor, " C"]


Statistics = list[Norm]  # of a forward pass, in its order of calls


def gather(
    forwards: Sequence[Forward], batches: Iterable[Tensor], noise: torch.Generator | None = None
) -> list[Statistics]:
    """The statistics of each of the forward passes, over the batches of images; all see the same noise."""
    seen: list[list[Statistics]] = [[] for _ in forwards]
    with held(noise):
        for images in batches:
            for forward, found in zip(forwards, seen, strict=True):
                with held(noise), _Watched() as watched:
                    forward(images)
                found.append(watched.found)
            advance(noise)
    return [average(found) for found in seen]


def average(several: Sequence[Statistics]) -> Statistics:
    """Call by call. Raises BenchbedError where their calls differ."""
    shapes = {tuple(len(norm.mean) for norm in one) for one in several}
    if len(shapes) > 1:
        raise _differ()
    return [
        Norm(torch.stack([n.mean for n in call]).mean(0), torch.stack([n.variance for n in call]).mean(0))
        for call in zip(*several, strict=True)
    ]


def answered(forward: Forward, statistics: Statistics) -> Forward:
    """The forward pass whose norms are answered from the statistics; raises BenchbedError where its calls differ."""

    def run(images: Tensor) -> Tensor:
        with _Answered(statistics) as answering:
            logits = forward(images)
        if answering.calls != len(statistics):
            raise _differ()
        return logits

    return run


def _differ() -> BenchbedError:
    return BenchbedError(
        "the network runs other batch norms at other gates, so one's statistics do not fit another: "
        "selector.batch_norm must be batch or recalibrated"
    )


class _Norms(TorchFunctionMode):
    """Answers every call of batch norm, by a module or as a function; running averages are neither read nor moved."""

    def __torch_function__(
        self, func: Callable[..., object], types: object, args: Sequence[Any] = (), kwargs: dict[str, Any] | None = None
    ) -> object:
        call = self._batch_norm if func is F.batch_norm else func
        return call(*args, **(kwargs or {}))

    def _batch_norm(
        self,
        input: Tensor,
        running_mean: Tensor | None = None,
        running_var: Tensor | None = None,
        weight: Tensor | None = None,
        bias: Tensor | None = None,
        training: bool = False,
        momentum: float = 0.1,
        eps: float = 1e-5,
    ) -> Tensor:
        return self.norm(input, weight, bias, eps)

    @abstractmethod
    def norm(self, x: Tensor, weight: Tensor | None, bias: Tensor | None, eps: float) -> Tensor:
        """What the call gives."""


class _Watched(_Norms):
    """Takes down the statistics of each call, which is by the batch's own."""

    def __init__(self) -> None:
        super().__init__()
        self.found: Statistics = []

    def norm(self, x: Tensor, weight: Tensor | None, bias: Tensor | None, eps: float) -> Tensor:
        variance, mean = torch.var_mean(x.detach().float(), (0, *range(2, x.ndim)))
        self.found.append(Norm(mean, variance))
        return F.batch_norm(x, None, None, weight, bias, training=True, eps=eps)


class _Answered(_Norms):
    """Normalises each call by the statistics of that number."""

    def __init__(self, statistics: Statistics):
        super().__init__()
        self.statistics, self.calls = statistics, 0

    def norm(self, x: Tensor, weight: Tensor | None, bias: Tensor | None, eps: float) -> Tensor:
        if self.calls == len(self.statistics) or len(self.statistics[self.calls].mean) != x.shape[1]:
            raise _differ()
        mean, variance = self.statistics[self.calls]
        self.calls += 1
        return F.batch_norm(x, mean, variance, weight, bias, False, eps=eps)
