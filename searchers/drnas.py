"""DrNAS: gates are drawn from a Dirichlet distribution, whose concentration is learned along the draw.

Chen et al., "DrNAS: Dirichlet Neural Architecture Search", ICLR 2021, sections 3.1 and 3.2. Rows are independent, and

    c = elu(alpha) + 1,     gates ~ Dir(c),     dL/dalpha = dL/dgates dgates/dc dc/dalpha

where dgates/dc is the pathwise (implicit) derivative of the draw, Jankowiak and Obermeyer's, as torch has it. Weight
and architecture steps each have a draw of their own. The distance of Dir(c) from Dir(1), which keeps c near its start,
is in the paper's equation 3 the Kullback-Leibler divergence,

    reg=kl:     L + kl_scale * sum over positions of KL(Dir(c) || Dir(1)), without weight decay
    reg=l2:     Adam's weight decay of alpha, 1e-3, c = 1 being alpha = 0

The authors' code has both and takes l2 for all its results. Probabilities are the mean of the draws, c / sum c, whose
greatest is that of alpha. Where nodes choose among their inputs the authors' code ranks them by softmax(alpha), here
they are ranked by that mean. Its progressive scheme (partial channels, then fewer operations) is another matter.
"""

from typing import Literal

import torch
from pydantic import Field
from torch import Tensor
from torch.distributions import Dirichlet, kl_divergence
from torch.nn.functional import normalize

from benchbed.objective import Batch, Objective
from benchbed.searcher import AlphaOptions, Clock, GradientSearcher
from benchbed.space import Space
from benchbed.streams import Streams, seeded

ABSENT = 1e-6  # the concentration of what is off the mask: it draws next to nothing, and what it draws is left out


class Options(AlphaOptions):
    """What holds the concentration near 1. Defaults: the authors' script on NAS-Bench-201."""

    reg: Literal["l2", "kl"] = Field(
        "l2", description="what holds alpha near 0: Adam's weight decay (authors' code) or the KL divergence (paper)"
    )
    kl_scale: float = Field(1e-3, ge=0, description="weight of the divergence where reg=kl (official: 1e-3)")


class DrNAS(GradientSearcher[Options]):
    """Mixes all operations by Dirichlet draws; alpha moves along them."""

    evaluation = "mixture"  # not measured: the mean of what weights train at

    def __init__(self, space: Space, options: Options, streams: Streams):
        super().__init__(space, options, streams)
        if options.reg == "kl":
            self.optimiser.param_groups[0]["weight_decay"] = 0.0

    def concentration(self) -> Tensor:
        """elu(alpha) + 1 (P, O), float64, above 0 for any alpha that a search reaches; next to nothing off the mask."""
        alpha = self.alpha.double()
        return (alpha.clamp_max(0).exp() + alpha.relu()).masked_fill(~self.mask, ABSENT)

    def draw(self) -> Tensor:
        """Gates (P, O), differentiable in alpha. Shares of a Dirichlet draw are one of these operations alone."""
        with seeded(self.streams.generator("gates")):  # Dirichlet draws from torch's own generator alone
            drawn = Dirichlet(self.concentration(), validate_args=False).rsample()
        return normalize(drawn * self.mask, p=1, dim=1).float()

    def weight_gates(self, objective: Objective, batch: Batch | None, clock: Clock) -> Tensor:
        with torch.no_grad():
            return self.draw()

    def arch_gates(self) -> tuple[Tensor, Tensor, Tensor]:
        gates = self.draw()
        return gates.detach(), self.mask, gates

    def paid_gates(self, p: Tensor) -> Tensor:
        return self.distribution()

    def own_loss(self) -> Tensor | None:
        if self.options.reg == "l2":
            return None
        rows = [row[kept] for row, kept in zip(self.concentration(), self.mask, strict=True) if kept.any()]
        distance = [kl_divergence(Dirichlet(c, validate_args=False), Dirichlet(torch.ones_like(c))) for c in rows]
        return self.options.kl_scale * torch.stack(distance).sum().float()

    def distribution(self) -> Tensor:
        """The mean of the draws, c / sum c."""
        return normalize(self.concentration() * self.mask, p=1, dim=1).float()
