"""SDARTS-ADV: weights train at the gates near the searcher's that raise the training loss most.

Chen and Hsieh, ICML 2020, adversarial training (section 3.2, equation 7), for DARTS: a weight step runs at the max over
|u| <= eps of L_train(w, p + u), p being the gates at which the searcher would have trained them, sought by projected
gradient ascent as in the official code. From clip(p + U(-eps, eps)), seven times:

    g <- clip(p + clamp(g + (2 eps / 7) sign(dL_train/dg) - p, -eps, eps))

with `clip` and the ramp of eps of `sdarts-rs`. p itself is taken where the loss did not rise. Each weight step costs
nine more evaluations of its batch. The official code seeks in evaluation mode, with running statistics; supernets here
have none, so the loss that is raised is the very one that the weight step then lowers.
"""

from pydantic import Field
from torch import Tensor

from benchbed.objective import Batch, Objective
from benchbed.searcher import Clock

from .sdarts_rs import Options as SmoothingOptions
from .sdarts_rs import Smoothing, clipped


class Options(SmoothingOptions):
    """SDARTS-RS' options, and the ascent's."""

    ascent_steps: int = Field(7, ge=1, description="steps of the ascent, each of 2 eps / steps (official: 7)")


class Adversary(Smoothing[Options]):
    """The worst gates within eps for weight steps."""

    def weight_gates(self, gates: Tensor, objective: Objective, batch: Batch | None, clock: Clock) -> Tensor:
        p, mask, radius, steps = gates, self.searcher.mask, self.radius(clock), self.options.ascent_steps
        worst = clipped(p + self.noise(radius), mask)
        for _ in range(steps):
            _, gradient = objective.gate_gradient(worst, batch, mask)
            raised = worst + 2 * radius / steps * gradient.sign()
            worst = clipped(p + (raised - p).clamp(-radius, radius), mask)
        before, after = objective.measure(p, batch).loss, objective.measure(worst, batch).loss
        return worst if float(after) > float(before) else p
