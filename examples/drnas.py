"""DrNAS: gates are drawn from a Dirichlet distribution, whose concentration is learned along the draw.

Chen et al., "DrNAS: Dirichlet Neural Architecture Search", ICLR 2021: gates ~ Dir(elu(alpha) + 1), anew in every step.
"""

from torch.distributions import Dirichlet
from torch.nn.functional import elu, normalize

from benchbed.searcher import GradientSearcher
from benchbed.streams import seeded


class DrNAS(GradientSearcher):
    def draw(self):
        with seeded(self.streams.generator("gates")):  # Dirichlet draws from torch's own generator alone
            drawn = Dirichlet(elu(self.alpha) + 1).rsample()  # (P, O), differentiable in alpha
        return normalize(drawn * self.mask, p=1, dim=1)  # on a row's own operations: Dirichlet again, of these

    def weight_gates(self, objective, batch, clock):
        return self.draw().detach()

    def arch_gates(self):
        gates = self.draw()
        return gates.detach(), self.mask, gates  # where to differentiate, which gates, and how they depend on alpha

    def probabilities(self):
        return normalize((elu(self.alpha.detach()) + 1) * self.mask, p=1, dim=1)  # the mean of the draws
