"""Random search: uniform draws, each trained for a few epochs; the best one seen. On a table.

The baseline of NAS-Bench-201 (Dong and Yang, ICLR 2020, section 5) and NATS-Bench: architectures are drawn
independently, repeats included, until the budget of simulated seconds is spent, and the one of highest validation
accuracy is the result. `random` is the other random search, whose paths share weights.
"""

from benchbed.black_box import BlackBoxSearcher
from benchbed.space import Architecture


class RandomSearch(BlackBoxSearcher):
    """Independent uniform draws."""

    draws_uniformly = True

    def propose(self) -> Architecture:
        return self.drawn(self.draws())
