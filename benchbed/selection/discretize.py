"""Discretisation accuracy: a choice is set on one position, the supernet is trained until it converges, and measured.

Wang et al., ICLR 2021 (DARTS-PT), section 4.1 and figures 1 and 2: the yardstick against which alpha is held there.
"""

from collections.abc import Callable
from typing import NamedTuple

from pydantic import Field, model_validator
from torch import Tensor

from ..objective import Decisions, Tree
from ..searcher import Options
from ..selector import Context


class TrainingOptions(Options):
    """How long and how a candidate is trained. The paper does not say; the defaults are the reference's protocol."""

    epochs: int = Field(20, ge=1, description="most tuning epochs a candidate")
    min_epochs: int = Field(5, ge=1, description="fewest")
    patience: int = Field(2, ge=1, description="stop after so many epochs without a better validation accuracy")
    tune_lr_factor: float = Field(0.1, gt=0, description="tuning's learning rate over the search's (DARTS-PT: 0.1)")
    tune_alpha: bool = Field(False, description="alpha moves too; no: the other positions keep their mixture")

    @model_validator(mode="after")
    def _fits(self) -> "TrainingOptions":
        if self.min_epochs > self.epochs:
            raise ValueError(f"min_epochs = {self.min_epochs}: at most epochs = {self.epochs} are trained")
        return self


class Trained(NamedTuple):
    """accuracy: percent on validation, the best epoch's; epochs: how many were trained."""

    accuracy: float
    epochs: int


def discretised(
    context: Context, decisions: Decisions, options: TrainingOptions, gates: Callable[[], Tensor]
) -> Trained:
    """The accuracy that the supernet converges to under the decisions; everything is then as it was before.

    gates: the evaluation gates (K, P, O) of now, made anew after each epoch since alpha may move. Weights, optimiser,
    data cursors, alpha and all streams are put back bit for bit, so each candidate sees the same batches. The copy
    takes the memory of weights and momentum once more, and momentum a third time while it is put back.
    """
    before = _taken(context)
    accuracies = list[float]()
    while len(accuracies) < options.epochs:
        context.tune(decisions, len(accuracies), options.epochs, options.tune_lr_factor, options.tune_alpha)
        measured = context.objective.decided(decisions).measure(gates())
        accuracies.append(float(measured.accuracy.double().mean()))
        since = len(accuracies) - 1 - accuracies.index(max(accuracies))
        if len(accuracies) >= options.min_epochs and since >= options.patience:
            break
    _put_back(context, before)
    return Trained(max(accuracies), len(accuracies))


def _taken(context: Context) -> Tree:
    return {
        "objective": context.objective.state(),
        "searcher": context.searcher.state(),
        "streams": context.streams.state(),
    }


def _put_back(context: Context, tree: Tree) -> None:
    context.objective.load_state(tree["objective"])
    context.searcher.load_state(tree["searcher"])
    context.streams.load_state(tree["streams"])
