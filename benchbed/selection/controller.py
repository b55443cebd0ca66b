"""An LSTM that names an operation a position, each after those before it: draws, their log probability, marginals.

Pham et al., ICML 2018 (ENAS), section 2; sizes and start as the authors of NAS-Bench-201 have them (AutoDL-Projects
f46486e, search_model_enas_utils.py).
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn

from ..objective import Mask, Rows

SIZE, LAYERS = 32, 2
TANH, TEMPERATURE = 2.5, 5.0
PREFIXES = 4096  # that are followed to the marginals; NAS-Bench-201 has 3,125 before its last edge


class Drawn(NamedTuple):
    """n architectures, one-hot; log_p and entropy (summed over positions) are differentiable in the controller."""

    gates: Float[Tensor, "n P O"]
    log_p: Float[Tensor, " n"]
    entropy: Float[Tensor, " n"]


class Controller(nn.Module):
    """pi(a) = prod_i pi(a_i | a_1 .. a_(i-1)) over the operations of the mask. Made by torch's own generator."""

    def __init__(self, mask: Mask):
        super().__init__()
        self.mask = mask
        self.start = nn.Parameter(torch.empty(1, SIZE))
        self.lstm = nn.LSTM(SIZE, SIZE, LAYERS)
        self.embedding = nn.Embedding(mask.shape[1], SIZE)
        self.output = nn.Linear(SIZE, mask.shape[1])
        named = dict(self.named_parameters())
        for name in ("start", "lstm.weight_hh_l0", "lstm.weight_ih_l0", "embedding.weight", "output.weight"):
            nn.init.uniform_(named[name], -0.1, 0.1)

    def forward(self, x: Tensor, memory: Any, i: int) -> tuple[Tensor, Any]:
        """(log pi(. | prefix) (n, O), -inf outside the mask; the memory after it) of n prefixes before position i."""
        found, memory = self.lstm(x[None], memory)
        logits = TANH * torch.tanh(self.output(found[0]) / TEMPERATURE)
        return logits.masked_fill(~self.mask[i], -torch.inf).log_softmax(1), memory

    def draw(self, n: int, generator: torch.Generator) -> Drawn:
        """n draws, from the generator."""
        return self.follow(n, lambda i, p: torch.multinomial(p, 1, generator=generator)[:, 0])

    def follow(self, n: int, pick: Callable[[int, Tensor], Tensor]) -> Drawn:
        """n architectures whose operation at position i is `pick(i, p)` (n,), p (n, O) its probabilities."""
        x, memory, rows = self.start.expand(n, -1), None, []
        log_p, entropy = x.new_zeros(n), x.new_zeros(n)
        for i in range(len(self.mask)):
            own, memory = self(x, memory, i)
            p, finite = own.exp(), own.masked_fill(~self.mask[i], 0.0)
            chosen = pick(i, p.detach())
            log_p = log_p + finite.gather(1, chosen[:, None])[:, 0]
            entropy = entropy - (p * finite).sum(1)
            rows.append(nn.functional.one_hot(chosen, self.mask.shape[1]))
            x = self.embedding(chosen)
        return Drawn(torch.stack(rows, 1).float(), log_p, entropy)

    @torch.no_grad()
    def marginals(self) -> Rows:
        """pi(a_i) of each position, float32: exact while there are at most `PREFIXES` prefixes.

        Of more, as many are followed on, at equal steps through their summed probabilities: no draw is made.
        """
        x, memory, weight, rows = self.start, None, self.start.new_ones(1).double(), []
        for i, kept in enumerate(self.mask):
            own, memory = self(x, memory, i)
            joint = weight[:, None] * own.double().exp()
            rows.append(joint.sum(0))
            of, chosen = (kept.expand(len(joint), -1)).nonzero(as_tuple=True)
            weight = joint[of, chosen]
            if len(weight) > PREFIXES:
                steps = (torch.arange(PREFIXES, dtype=torch.float64) + 0.5) / PREFIXES
                some = torch.searchsorted(weight.cumsum(0), steps * weight.sum()).clamp_max(len(weight) - 1)
                of, chosen, weight = of[some], chosen[some], torch.full_like(steps, 1 / PREFIXES)
            x, memory = self.embedding(chosen), tuple(part[:, of] for part in memory)
        return torch.stack(rows).float()
