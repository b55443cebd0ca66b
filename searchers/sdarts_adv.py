"""SDARTS-ADV: DARTS whose weights train at the gates near p that raise the training loss most.

Chen and Hsieh, ICML 2020, adversarial training (section 3.2, equation 7): a weight step runs at max over |u| <= eps
of L_train(w, p + u), sought by projected gradient ascent as in the official code. From clip(p + U(-eps, eps)), seven
times:

    g <- clip(p + clamp(g + (2 eps / 7) sign(dL_train/dg) - p, -eps, eps))

with `clip` and the ramp of eps of `sdarts-rs`. p itself is taken where the loss did not rise. Each weight step costs
nine more evaluations of its batch. The official code seeks in evaluation mode, with running statistics; supernets here
have none, so the loss that is raised is the very one that the weight step then lowers.
"""

from typing import Any, ClassVar

from pydantic import BaseModel, Field
from torch import Tensor

from benchbed.objective import Batch, Objective
from benchbed.searcher import Clock

from .sdarts_rs import Options as SmoothOptions
from .sdarts_rs import SmoothDARTS, clipped


class Options(SmoothOptions):
    """SDARTS-RS' options, and the ascent's."""

    ascent_steps: int = Field(7, ge=1, description="steps of the ascent, each of 2 eps / steps (official: 7)")


class AdversarialDARTS(SmoothDARTS):
    """DARTS with the worst gates within eps in its weight steps."""

    Options: ClassVar[type[BaseModel]] = Options
    presets: ClassVar[dict[str, Any]] = SmoothDARTS.presets

    def weight_gates(self, objective: Objective, batch: Batch | None, clock: Clock) -> Tensor:
        p, radius, steps = self.probabilities(), self.radius(clock), self.options.ascent_steps
        gates = clipped(p + self.noise(radius), self.mask)
        for _ in range(steps):
            _, gradient = objective.gate_gradient(gates, batch, self.mask)
            raised = gates + 2 * radius / steps * gradient.sign()
            gates = clipped(p + (raised - p).clamp(-radius, radius), self.mask)
        before, after = objective.measure(p, batch).loss, objective.measure(gates, batch).loss
        return gates if float(after) > float(before) else p
