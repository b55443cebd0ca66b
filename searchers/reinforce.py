"""REINFORCE: sampled architectures, scored by shared weights, reward alpha.

Williams 1992, as ProxylessNAS' second estimator (Cai et al., ICLR 2019, section 3.3.2, "Proxyless-R"). Weight steps
train paths drawn from p = softmax(alpha). An architecture step draws M architectures, measures each on one
validation batch with the shared weights, and ascends

    1/M sum_m (R_m - b) dlog p(g_m)/dalpha,     dlog p_k/dalpha_i = delta_ik - p_i

with the baseline b. `ema` uses the average of earlier rewards, before this step's enter it; `leave-one-out` the mean
of the step's other rewards; both leave the gradient unbiased. `official` is the published code's, which gives the new
mean a weight of 0.99 and uses it at once: its expected gradient is (1 - 0.99 / M) of the true one.
"""

from typing import Literal

from pydantic import Field, model_validator
from torch import Tensor

from benchbed.cost import Problem
from benchbed.objective import Batch, Objective, Tree
from benchbed.searcher import AlphaOptions, AlphaSearcher, Clock
from benchbed.space import Space
from benchbed.streams import Streams


class Options(AlphaOptions):
    """REINFORCE's architecture step. Defaults: the paper's CIFAR-10 learning rate, the official code's M and betas."""

    alpha_lr: float = Field(1e-2, gt=0, description="Adam's learning rate of alpha (paper, CIFAR-10: 0.01)")
    alpha_beta1: float = Field(0.0, ge=0, lt=1, description="Adam's first beta (official: 0)")
    alpha_weight_decay: float = Field(0.0, ge=0, description="L2 on alpha, through Adam")
    samples: int = Field(10, ge=1, description="M: architectures per step (official: 10)")
    baseline: Literal["ema", "leave-one-out", "official", "none"] = Field(
        "ema", description="what a reward is held against"
    )
    decay: float = Field(0.99, ge=0, lt=1, description="share of the old value that the 'ema' baseline keeps")
    warmup: float = Field(0.25, ge=0, lt=1, description="share of the epochs that train weights alone, paths from p")
    every: int = Field(1, ge=1, description="batches of an epoch per architecture step")

    @model_validator(mode="after")
    def _others_to_hold_against(self) -> "Options":
        if self.baseline == "leave-one-out" and self.samples < 2:
            raise ValueError("baseline=leave-one-out needs samples of at least 2: a single draw has no others")
        return self


class Reinforce(AlphaSearcher[Options]):
    """Draws M architectures a step; their shared-weight accuracies reward alpha."""

    evaluation = "sampled"  # measured: results/evaluation-gates.md

    def __init__(self, space: Space, options: Options, streams: Streams):
        super().__init__(space, options, streams)
        self.baseline: float | None = None

    def arch_steps_due(self, clock: Clock) -> int:
        return clock.due(self.options.every, self.options.warmup)

    def weight_gates(self, objective: Objective, batch: Batch | None, clock: Clock) -> Tensor:
        return self.sample(1)[0]

    def arch_step(self, problem: Problem, batch: Batch | None, clock: Clock) -> dict[str, float]:
        gates = self.sample(self.options.samples)
        measured = problem.objective.measure(gates, problem.objective.batch("valid"))
        rewards = problem.reward(measured.accuracy, gates)
        advantages = self.advantages(rewards)
        self.alpha.grad = -score_gradient(advantages, gates, self.probabilities())
        self.optimiser.step()
        return {"loss": float(measured.loss.mean()), "reward": float(rewards.mean())}

    def advantages(self, rewards: Tensor) -> Tensor:
        """R_m - b (M,); moves the running baseline."""
        mean, kind = float(rewards.mean()), self.options.baseline
        if kind == "none":
            return rewards
        if kind == "leave-one-out":
            return (rewards - mean) * len(rewards) / max(len(rewards) - 1, 1)
        if kind == "official":
            self.baseline = mean if self.baseline is None else self.baseline + 0.99 * (mean - self.baseline)
            return rewards - self.baseline
        before = self.baseline
        self.baseline = mean if before is None else self.options.decay * before + (1 - self.options.decay) * mean
        # a first step has no earlier reward to be held against: the other draws of the step stand in, unbiased too
        return (rewards - mean) * len(rewards) / max(len(rewards) - 1, 1) if before is None else rewards - before

    def state(self) -> Tree:
        return {**super().state(), "baseline": self.baseline}

    def load_state(self, tree: Tree) -> None:
        super().load_state(tree)
        self.baseline = tree["baseline"]


def score_gradient(advantages: Tensor, gates: Tensor, p: Tensor) -> Tensor:
    """1/M sum_m advantage_m (g_m - p), (P, O): the score of a softmax row is delta_ik - p_i."""
    return (advantages[:, None, None] * (gates - p)).mean(0)
