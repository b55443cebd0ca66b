"""The one training loop: weight-sharing searches and a selector's tuning epochs both run through here."""

import math
from collections.abc import Callable

import torch

from ..cost import Problem
from ..errors import BenchbedError
from ..objective import Batch
from ..runtime import pulse
from ..searcher import Clock, Searcher


def train_epoch(
    problem: Problem,
    searcher: Searcher,
    epoch: int,
    epochs: int,
    train_alpha: bool = True,
    on_step: Callable[[Clock, float], None] | None = None,
    tuning: bool = False,
    go_on: Callable[[], bool] | None = None,
) -> dict[str, float]:
    """One pass over the training split: architecture steps and weight steps, in the searcher's order.

    Returns the means over the epoch: 'loss' of the weight steps and what the architecture steps logged, as 'arch_...'.
    In a selector's tuning the searcher decides nothing at the end: what is left to decide is the selector's.
    go_on: asked after every step whether to make another; an epoch that it cuts has no end, and a searcher decides
    nothing then. An objective without weights has architecture steps alone, and 'loss' is that of the searcher's
    probabilities.
    Raises BenchbedError at the first loss that is not finite. On an accelerator the losses are read every 50 steps,
    since each look waits for the device.
    """
    objective = problem.objective
    steps = objective.steps_per_epoch
    look = 1 if _on_cpu(problem) else 50
    losses: list[torch.Tensor] = []
    sums: dict[str, list[float]] = {}

    def arch_steps(batch: Batch | None, clock: Clock) -> None:
        for _ in range(searcher.arch_steps_due(clock) if train_alpha else 0):
            logged = searcher.arch_step(problem, batch, clock)
            pulse.beat()
            _check(logged.get("loss", 0.0), clock, "architecture")
            for name, value in logged.items():
                sums.setdefault(f"arch_{name}", []).append(value)

    for step in range(steps):
        clock = Clock(epoch, step, epochs, steps)
        batch = objective.batch("train")
        if searcher.arch_first:
            arch_steps(batch, clock)
        if "weights" in objective.provides:
            losses.append(objective.weight_step(searcher.weight_gates(objective, batch, clock), batch))
        else:
            losses.append(objective.measure(searcher.probabilities()).loss)
        pulse.beat()
        if not searcher.arch_first:
            arch_steps(batch, clock)
        cut = go_on is not None and not go_on()
        if step % look == look - 1 or step == steps - 1 or cut:
            _check(float(torch.stack(losses[-look:]).sum()), clock, "weight")
            if on_step is not None:
                on_step(clock, float(losses[-1]))
        if cut:
            break
    if not tuning and len(losses) == steps:
        searcher.end_epoch(objective, Clock(epoch, steps - 1, epochs, steps))
    means = {name: sum(values) / len(values) for name, values in sums.items()}
    return {"loss": float(torch.stack(losses).double().mean()), **means}


def _on_cpu(problem: Problem) -> bool:
    return all(w.device.type == "cpu" for w in problem.objective.weights().values())


def _check(loss: float, clock: Clock, kind: str) -> None:
    if not math.isfinite(loss):
        raise NonFiniteLoss(f"the loss is {loss} at epoch {clock.epoch + 1}, step {clock.step + 1} ({kind} step)")


class NonFiniteLoss(BenchbedError):
    """The loss turned NaN or infinite; the stage adds its settings and where the last good checkpoint is."""
