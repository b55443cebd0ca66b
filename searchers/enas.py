"""ENAS: an LSTM writes the architecture down, an operation after the other, and is rewarded by shared weights.

Pham et al., "Efficient Neural Architecture Search via Parameter Sharing", ICML 2018, section 2. The controller theta
gives pi(a) = prod_i pi(a_i | a_1 .. a_(i-1)); every weight step trains one draw of it. At the end of each epoch come
`updates` steps on theta, each on M draws with the reward R_m, a validation batch's accuracy of draw m,

    theta  <- theta + 1/M sum_m (R_m + w H_m - b_m) dlog pi(a_m)/dtheta,    H_m = sum_i H(pi(. | a_1 .. a_(i-1)))

by Adam, with the gradient's norm cut at 5; H is the entropy. b is the moving average of the rewards of all earlier
draws, so that draw m is not in its own b_m and the step is unbiased; the first draw of a search has none and moves
nothing.

Sizes, start and defaults: the authors of NAS-Bench-201 (AutoDL-Projects f46486e, ENAS.py and Controller): two layers of
32; logits 2.5 tanh(logits / 5); the first layer's matrices, embedding and output begin in U(-0.1, 0.1). Two things in
which their code leaves the formula above are options, off by default. `baseline=official`: b_m = 0.99 B + 0.01 R_m with
B the b of the last draw of the epoch before, so that a whole epoch is held against one number, which moves by a
hundredth of one reward an epoch; in the first epoch b_m is the accuracy itself, so that nothing but entropy is learned.
`entropy=official`: H is not detached, and the gradient has -log pi(a) dH/dtheta too, which lowers the entropy that the
reward is to keep up. Probabilities are the marginals of pi: exact up to 4,096 prefixes, as on NAS-Bench-201.
"""

from copy import deepcopy
from typing import Any, ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from benchbed.cost import Problem
from benchbed.objective import Batch, Objective, Tree
from benchbed.searcher import Clock, Searcher
from benchbed.searcher import Options as PluginOptions
from benchbed.selection.controller import Controller
from benchbed.space import Space
from benchbed.streams import Streams, seeded


class Options(PluginOptions):
    """ENAS' controller steps. Defaults: the official script for NAS-Bench-201."""

    controller_lr: float = Field(1e-3, gt=0, description="Adam's learning rate of the controller (official: 0.001)")
    controller_beta1: float = Field(0.0, ge=0, lt=1, description="Adam's first beta (official: 0)")
    controller_beta2: float = Field(0.999, ge=0, lt=1, description="Adam's second beta (official: 0.999)")
    controller_eps: float = Field(1e-3, gt=0, description="Adam's epsilon (official: 0.001)")
    updates: int = Field(50, ge=1, description="controller steps at the end of an epoch (official: 50)")
    samples: int = Field(20, ge=1, description="M: draws of a step, each on its own validation batch (official: 20)")
    entropy_weight: float = Field(1e-4, ge=0, description="w: what entropy adds to a reward (official: 0.0001)")
    decay: float = Field(0.99, ge=0, lt=1, description="share of the old value that b keeps (official: 0.99)")
    baseline: Literal["ema", "official"] = Field("ema", description="what a reward is held against")
    entropy: Literal["detached", "official"] = Field("detached", description="official: differentiated as if a loss")


class ENAS(Searcher[Options]):
    """Draws paths by an LSTM; their shared-weight accuracies reward it."""

    evaluation = "sampled"  # not measured: as REINFORCE
    arch_first = False  # AutoDL-Projects: an epoch of weights, then the controller
    suite_options: ClassVar[dict[str, Any]] = {"updates": 4, "samples": 8, "controller_lr": 0.03}

    def __init__(self, space: Space, options: Options, streams: Streams):
        super().__init__(space, options, streams)
        with seeded(streams.generator("controller")):
            self.controller = Controller(self.mask)
        o, self.draws = options, streams.generator("gates")
        betas = (o.controller_beta1, o.controller_beta2)
        self.optimiser = torch.optim.Adam(self.controller.parameters(), o.controller_lr, betas, o.controller_eps)
        self.average: float | None = None  # b; with baseline=official, of the last draw
        self.held: float | None = None  # B, of baseline=official
        self.marginals: Tensor | None = None  # of the controller as it is

    def arch_steps_due(self, clock: Clock) -> int:
        return self.options.updates if clock.step == clock.steps_per_epoch - 1 else 0

    def weight_gates(self, objective: Objective, batch: Batch | None, clock: Clock) -> Tensor:
        return self.sample(1)[0]

    def sample(self, n: int, generator: torch.Generator | None = None) -> Tensor:
        with torch.no_grad():
            return self.controller.draw(n, self.draws if generator is None else generator).gates

    def arch_step(self, problem: Problem, batch: Batch | None, clock: Clock) -> dict[str, float]:
        o, objective = self.options, problem.objective
        drawn = self.controller.draw(o.samples, self.draws)
        found = [objective.measure(gates[None], objective.batch("valid")) for gates in drawn.gates]
        worth = problem.reward(torch.cat([one.accuracy for one in found]), drawn.gates)
        bonus = drawn.entropy if o.entropy == "official" else drawn.entropy.detach()
        loss = -(drawn.log_p * self.advantages(worth, o.entropy_weight * bonus)).mean()
        self.optimiser.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(self.controller.parameters(), 5.0)
        self.optimiser.step()
        self.marginals = None
        mean, entropy = float(worth.mean()), float(drawn.entropy.detach().mean())
        return {"loss": float(torch.cat([one.loss for one in found]).mean()), "reward": mean, "entropy": entropy}

    def advantages(self, worth: Tensor, bonus: Tensor) -> Tensor:
        """R_m + w H_m - b_m (M,), differentiable in the bonus where it is; moves the baseline."""
        rewards, keep = worth + bonus, self.options.decay
        if self.options.baseline == "official":
            b = worth if self.held is None else keep * self.held + (1 - keep) * rewards
            self.average = float(b[-1].detach())
            return rewards - b
        held = []
        for reward in rewards.detach().tolist():
            held.append(reward if self.average is None else self.average)
            self.average = keep * held[-1] + (1 - keep) * reward
        return rewards - torch.tensor(held, dtype=rewards.dtype)

    def end_epoch(self, objective: Objective, clock: Clock) -> None:
        self.held = self.average

    def probabilities(self) -> Tensor:
        if self.marginals is None:
            self.marginals = self.controller.marginals()
        return self.marginals

    def state(self) -> Tree:
        own = {name: value.clone() for name, value in self.controller.state_dict().items()}
        past = {"average": self.average, "held": self.held}
        return {"controller": own, "optimiser": deepcopy(self.optimiser.state_dict()), **past}

    def load_state(self, tree: Tree) -> None:
        self.controller.load_state_dict(tree["controller"])
        self.optimiser.load_state_dict(deepcopy(tree["optimiser"]))  # torch keeps the very tensors it is given
        self.average, self.held, self.marginals = tree["average"], tree["held"], None
