"""Shrink: a search that drops the weakest operation of every position at equal intervals, until one is left.

A baseline of progressive shrinking by alpha, to set beside selection after the search (DARTS-PT, Wang et al., ICLR
2021). The rule is ours, the simplest of its kind:

    With K operations at the position that has most, the E epochs are K equal intervals. At the end of each of the
    first K - 1, every position with more than one operation left drops the one of lowest alpha, ties to the highest
    index, but never its last selectable one. The rest goes on as before, p renormalised over what is left.

So a longest position ends at one operation after E (K - 1) / K epochs and its weights train alone in the last
interval; shorter ones end earlier. An interval's end that falls inside an epoch waits for the epoch's end, so that with
fewer than K epochs several operations go at once. With the last of them nodes that keep some of their inputs drop the
others: they keep those whose remaining operation has the greatest p in the softmax over all it began with (DARTS'
rule, section 2.4).
"""

import torch

from benchbed.objective import Objective
from benchbed.searcher import Clock, Options, masked_softmax

from ._progressive import Progressive


class Shrinking(Progressive[Options]):
    """Lowest alpha goes first; what is left at the end is the architecture."""

    def end_epoch(self, objective: Objective, clock: Clock) -> None:
        longest = int(self.everything.sum(1).max())
        due = min((clock.epoch + 1) * longest // clock.epochs, longest - 1)
        while self.rounds() < due:
            self.drop_weakest()
        if due == longest - 1 and self.mask.any(1).all():  # once: from then on the dropped inputs have nothing left
            self.drop_inputs()

    def rounds(self) -> int:
        """How many times an operation was dropped at the longest positions."""
        return int((self.everything.sum(1) - self.mask.sum(1)).max())

    def drop_weakest(self) -> None:
        """One operation fewer at every position that has more than one."""
        selectable = torch.from_numpy(self.space.selectable)
        for i in self.open.nonzero().flatten().tolist():
            left = self.mask[i].clone()
            if int((left & selectable[i]).sum()) == 1:
                left &= ~selectable[i]
            columns, alpha = left.nonzero().flatten().tolist(), self.alpha[i].tolist()
            weakest = min(columns, key=lambda k: (alpha[k], -k))
            self.mask[i, weakest] = False

    def drop_inputs(self) -> None:
        """Each node keeps its strongest inputs, by p of the operation that is left there among all it began with."""
        p = masked_softmax(self.alpha, self.everything)
        left = self.mask.int().argmax(1)
        strength = p.gather(1, left[:, None])[:, 0].tolist()
        for i, kept in enumerate(self.space.keep_strongest(left.tolist(), strength)):
            if kept < 0:
                self.mask[i] = False
