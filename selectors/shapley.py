"""Shapley: at each position the operation of greatest Shapley value for the supernet's accuracy.

The value is that of Xiao et al., "Shapley-NAS", CVPR 2022, section 3.2 (`benchbed/selection/shapley.py`); as a selector
it is ours, for any searcher. v(S) is the validation accuracy in percent at the searcher's evaluation gates when only
the operations of S may flow: one removal at a time is what `perturb` looks at, here every order of removals counts.
Nothing is tuned. Inputs of a node are ranked by the value of their best operation. By default the estimate is
unbiased: no order is truncated, the mean is taken, and all orders see the same images.
"""

from typing import Literal

import torch
from pydantic import Field
from torch import Tensor

from benchbed.objective import Objective, Tree, View
from benchbed.selection.shapley import Estimate, check_empty_rows, estimated, falls
from benchbed.selector import Context, Selection, Selector, argmax_selection, evaluation_mode
from benchbed.space import Space


class Options(Estimate):
    """The estimate, and at which gates and on how much of validation a coalition is measured."""

    images: int | None = Field(
        1024, ge=1, description="validation images of a measurement, always the same; none: all (official batch: 1024)"
    )
    gates: Literal["auto", "mixture", "sampled"] = Field(
        "auto", description="measure the mixture, or common random paths; auto: the searcher's own mode"
    )
    draws: int = Field(8, ge=1, description="paths of a coalition where they are sampled")


class Shapley(Selector[Options]):
    """Measures one order of removals a step; argmax of the values at the end."""

    def __init__(self, options: Options):
        super().__init__(options)
        self.orders: list[Tensor] = []  # the falls (P, O) of each order

    @classmethod
    def check(cls, options: Options, space: Space, objective: Objective | None) -> None:
        check_empty_rows(space, objective)

    def steps(self, space: Space) -> int:
        return self.options.permutations

    def step(self, context: Context) -> Selection | None:
        o, searcher, generator = self.options, context.searcher, context.streams.generator("selection")
        mode = evaluation_mode(o.gates, searcher)
        objective = context.objective
        if o.images is not None and "images" in objective.provides:
            objective = objective.seen(View(images=min(o.images, objective.validation_images)))
        uniforms = torch.rand(o.draws, len(searcher.mask), generator=generator)  # shared by the coalitions of an order

        def worth(coalitions: Tensor) -> Tensor:
            gates = torch.stack([searcher.evaluation_gates(allowed, mode, uniforms) for allowed in coalitions])
            return objective.measure(gates).accuracy.mean(1)

        self.orders.append(falls(worth, searcher.mask, o.truncation, generator))
        context.log({"permutations": len(self.orders)})
        if len(self.orders) < o.permutations:
            return None
        values = estimated(self.orders, o.estimate)
        below = float(values[searcher.mask].min()) - 1.0  # what has left the search is chosen for nothing
        scores = torch.where(searcher.mask, values, below)
        chosen = argmax_selection(context, scores, {"gates": mode}, by_strength=False)
        return chosen._replace(scores=torch.where(searcher.mask, values, torch.nan).numpy())

    def state(self) -> Tree:
        return {"orders": [one.clone() for one in self.orders]}

    def load_state(self, tree: Tree) -> None:
        self.orders = [one.clone() for one in tree["orders"]]
