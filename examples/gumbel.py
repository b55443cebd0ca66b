"""Gumbel: one path a batch, drawn with Gumbel noise; all gates get a straight-through gradient."""

import torch
from torch.nn.functional import one_hot

from benchbed.searcher import GradientSearcher, masked_softmax


class Gumbel(GradientSearcher):
    def draw(self):
        noise = -torch.empty_like(self.alpha).exponential_(generator=self.streams.generator("gates")).log()
        soft = masked_softmax(self.alpha + noise, self.mask)  # (P, O), differentiable in alpha
        return one_hot(soft.argmax(1), soft.shape[1]).float(), soft

    def weight_gates(self, objective, batch, clock):
        return self.draw()[0]

    def arch_gates(self):
        hard, soft = self.draw()
        return hard, self.mask, soft  # where to differentiate, which gates, and how they depend on alpha
