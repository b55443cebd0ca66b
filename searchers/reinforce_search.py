"""REINFORCE without shared weights: a policy over operations, rewarded by trained architectures. On a table.

Williams 1992, as NATS-Bench runs it (its reinforce.py) but for b: the policy is a softmax a position; one architecture
is drawn from it, trained for a few epochs, and alpha ascends (R - b) dlog p / dalpha by Adam, b being the running
average of earlier rewards; there it has R in it already, and its start is divided out. The result is the best
architecture seen; the first version of the published code took the policy's argmax (`result=policy`). At the learning
rate 0.5 of its scripts for NAS-Bench-201 the policy collapses within a few steps; NATS-Bench's is 0.01. `reinforce` is
the searcher whose rewards come from shared weights.
"""

from copy import deepcopy
from typing import Any, ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor

from benchbed.black_box import BlackBoxOptions, BlackBoxSearcher, Trial
from benchbed.objective import Tree
from benchbed.searcher import masked_softmax, one_hot_draws
from benchbed.space import Architecture, Space
from benchbed.streams import Streams


class Options(BlackBoxOptions):
    """The policy's step. Defaults: NATS-Bench's."""

    alpha_lr: float = Field(0.01, gt=0, description="Adam's learning rate of alpha (NATS-Bench: 0.01)")
    alpha_beta1: float = Field(0.9, ge=0, lt=1, description="Adam's first beta")
    alpha_init: float = Field(1e-3, ge=0, description="standard deviation of alpha at the start")
    decay: float = Field(0.9, ge=0, lt=1, description="share of the old value that the baseline keeps")
    result: Literal["best", "policy"] = Field("best", description="the best architecture seen, or what the policy says")


class ReinforceSearch(BlackBoxSearcher[Options]):
    """One draw of the policy, one training, one step."""

    suite_options: ClassVar[dict[str, Any]] = {"budget": 400.0, "alpha_lr": 0.1}

    def __init__(self, space: Space, options: Options, streams: Streams):
        super().__init__(space, options, streams)
        self.selectable = torch.from_numpy(space.selectable)
        start = torch.randn(self.mask.shape, generator=streams.generator("alpha")) * options.alpha_init
        self.alpha = start.masked_fill(~self.selectable, 0.0).requires_grad_()
        self.optimiser = torch.optim.Adam([self.alpha], lr=options.alpha_lr, betas=(options.alpha_beta1, 0.999))
        self.baseline: float | None = None

    def policy(self) -> Tensor:
        """(P, O): the probabilities of the next draw."""
        return masked_softmax(self.alpha.detach(), self.selectable)

    def propose(self) -> Architecture:
        """A draw of the policy; where nodes keep some of their inputs, those kept are a uniform draw."""
        rng = self.draws()
        uniforms = torch.from_numpy(rng.random((1, len(self.mask))))
        drawn: list[int] = one_hot_draws(self.policy(), uniforms.float())[0].argmax(1).tolist()
        strength = rng.random(len(drawn)).tolist() if self.space.nodes else [0.0] * len(drawn)
        return self.space.architecture_of(self.space.keep_strongest(drawn, strength))

    def observe(self, trial: Trial) -> None:
        """Ascends; the first reward has no earlier one to be held against, and moves the baseline alone."""
        before, decay = self.baseline, self.options.decay
        self.baseline = trial.reward if before is None else decay * before + (1 - decay) * trial.reward
        advantage = 0.0 if before is None else trial.reward - before
        gates = torch.from_numpy(self.space.gates(trial.architecture))
        score = torch.where(gates.any(1, keepdim=True), gates - self.policy(), 0.0)  # a dropped position says nothing
        self.alpha.grad = -advantage * score
        self.optimiser.step()

    def probabilities(self) -> Tensor:
        return self.policy() if self.options.result == "policy" else super().probabilities()

    def state(self) -> Tree:
        own = {"alpha": self.alpha.detach().clone(), "optimiser": deepcopy(self.optimiser.state_dict())}
        return {**super().state(), **own, "baseline": self.baseline}

    def load_state(self, tree: Tree) -> None:
        super().load_state(tree)
        with torch.no_grad():
            self.alpha.copy_(tree["alpha"])
        self.optimiser.load_state_dict(deepcopy(tree["optimiser"]))  # torch keeps the very tensors it is given
        self.baseline = tree["baseline"]
