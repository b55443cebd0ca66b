"""Perturbation: keep the operation whose removal costs the supernet most, one position at a time.

Wang et al., "Rethinking Architecture Selection in Differentiable NAS", ICLR 2021 (DARTS-PT), algorithm 1. At an
undecided position each operation o is masked alone and the supernet is measured on the validation split; the operation
with the lowest remaining accuracy (or the highest loss) is kept, ties to the lowest index. Then the supernet trains
on for a few epochs under the decisions taken so far, and the next position follows.

Every measurement uses the batch's own statistics and moves no buffer; the official code lets its running averages
drift, which its own scores do not read. `official` ends with its one tuning epoch after the last decision.
"""

from typing import Any, ClassVar, Literal

import torch
from pydantic import BaseModel, Field
from torch import Tensor

from benchbed.errors import BenchbedError
from benchbed.objective import Decisions, Tree
from benchbed.searcher import Options as PluginOptions
from benchbed.searcher import renormalised
from benchbed.selector import Context, Selection, Selector, evaluation_mode
from benchbed.space import Space


class Options(PluginOptions):
    """DARTS-PT at operation level. Defaults: `recommended`."""

    criterion: Literal["acc", "loss"] = Field(
        "acc", description="lowest accuracy, or highest loss, without the operation"
    )
    interval: int = Field(5, ge=0, description="tuning epochs between decisions (official: 5); 0: decide at once")
    order: Literal["random", "forward", "backward"] = Field(
        "random", description="the positions' order (official: random)"
    )
    mask: Literal["as-is", "renormalised"] = Field(
        "as-is", description="what is left of a masked mixture (official: as is)"
    )
    gates: Literal["auto", "mixture", "sampled"] = Field(
        "auto", description="measure the mixture or paths drawn from it"
    )
    draws: int = Field(32, ge=1, description="paths per measurement where gates are sampled; the same for every mask")
    tune_lr_factor: float = Field(0.1, gt=0, description="tuning's learning rate over the search's (official: 0.1)")
    tune_alpha: bool = Field(True, description="alpha goes on moving while tuning (official: yes)")
    schedule: Literal["even", "official"] = Field(
        "even", description="official: the last decision one epoch early, then one epoch of tuning that decides nothing"
    )


class Perturb(Selector):
    """Masks one operation at a time and keeps the one that is missed most."""

    Options: ClassVar[type[BaseModel]] = Options
    presets: ClassVar[dict[str, Any]] = {
        "official": {"schedule": "official"},
        "recommended": {},
        "paper": {"schedule": "official"},
        "small": {"interval": 1, "draws": 8},
        "table": {"interval": 0, "mask": "renormalised"},  # nothing to tune; a row without mass is uniform
    }

    def __init__(self, options: Any):
        super().__init__(options)
        self.epoch, self.order = 0, list[int]()
        self.choices: dict[int, int] = {}
        self.scores: Tensor | None = None
        self.modes: list[str] = []

    def steps(self, space: Space) -> int:
        epochs, decisions = decision_epochs(len(space.positions), self.options.interval, self.options.schedule)
        return epochs + len(decisions)

    def step(self, context: Context) -> Selection | None:
        space = context.space
        if self.scores is None:
            self._begin(context)
        epochs, decisions = decision_epochs(len(space.positions), self.options.interval, self.options.schedule)
        made = len(self.choices)
        if made < len(decisions) and decisions[made] == self.epoch:
            self._decide(context, self.order[made])
        elif self.epoch < epochs:
            context.tune(
                self._decisions(space), self.epoch, epochs, self.options.tune_lr_factor, self.options.tune_alpha
            )
            self.epoch += 1
        if len(self.choices) < len(decisions) or self.epoch < epochs:
            return None
        assert self.scores is not None
        choices = [self.choices[i] for i in range(len(space.positions))]
        strength = context.searcher.probabilities()[range(len(choices)), choices].tolist()
        chosen = space.architecture_of(space.keep_strongest(choices, strength))
        notes = {
            "order": [space.positions[i].name for i in self.order],
            "gates": self.modes[0],
            "tuning_epochs": epochs,
        }
        return Selection(chosen, self.scores.double().numpy(), notes)

    def _begin(self, context: Context) -> None:
        positions = len(context.space.positions)
        self.order = list(range(positions))
        if self.options.order == "random":
            self.order = torch.randperm(positions, generator=context.streams.generator("selection")).tolist()
        elif self.options.order == "backward":
            self.order.reverse()
        self.scores = torch.full(context.space.mask.shape, torch.nan)
        self.modes = [evaluation_mode(self.options.gates, context.searcher)]

    def _decisions(self, space: Space) -> Decisions:
        decisions = Decisions.none(space)
        for position, operation in self.choices.items():
            decisions = decisions.decide(position, operation)
        return decisions

    def _decide(self, context: Context, position: int) -> None:
        """One decision: every selectable operation of the position masked in turn."""
        assert self.scores is not None
        space = context.space
        columns = torch.from_numpy(space.selectable[position]).nonzero().flatten().tolist()
        objective = context.objective.decided(self._decisions(space))
        measured = objective.measure(self._masked(context, position, columns))
        worse = -measured.accuracy if self.options.criterion == "acc" else measured.loss
        strength = worse.double().mean(1)  # over the draws: (len(columns),)
        if not torch.isfinite(strength).all():
            name = space.positions[position].name
            raise BenchbedError(f"the validation loss is not finite at position '{name}': the supernet has diverged")
        self.scores[position, columns] = strength.float()
        best = columns[int((strength == strength.max()).nonzero()[0])]
        self.choices[position] = best
        context.log(
            {
                "position": space.positions[position].name,
                "operation": space.positions[position].operations[best],
                "scores": [round(x, 4) for x in strength.tolist()],
            }
        )

    def _masked(self, context: Context, position: int, columns: list[int]) -> Tensor:
        """Evaluation gates with each of the columns masked at the position, (len(columns), K, P, O)."""
        mode, mask = evaluation_mode(self.options.gates, context.searcher), torch.from_numpy(context.space.mask)
        uniforms = torch.rand(self.options.draws, len(mask), generator=context.streams.generator("selection"))
        masked = []
        for column in columns:
            allowed = mask.clone()
            allowed[position, column] = len(columns) == 1  # a position without a choice keeps its operation
            gates = context.searcher.evaluation_gates(allowed, mode, uniforms)
            if self.options.mask == "renormalised" and mode == "mixture":
                gates = renormalised(gates[0], allowed)[None]
            masked.append(gates)
        return torch.stack(masked)

    def state(self) -> Tree:
        return {
            "epoch": self.epoch,
            "order": list(self.order),
            "choices": dict(self.choices),
            "scores": None if self.scores is None else self.scores.clone(),
            "modes": list(self.modes),
        }

    def load_state(self, tree: Tree) -> None:
        self.epoch, self.order, self.choices = tree["epoch"], list(tree["order"]), dict(tree["choices"])
        self.scores = None if tree["scores"] is None else tree["scores"].clone()
        self.modes = list(tree["modes"])


def decision_epochs(positions: int, interval: int, schedule: str) -> tuple[int, list[int]]:
    """(tuning epochs, the epoch before which each decision falls), DARTS-PT's schedule for one decision an event.

    official: interval * (positions - 1) epochs, decisions at 0, I, 2I, ... and the last at the last epoch (so six
    positions at I = 5 decide at 0, 5, 10, 15, 20, 24 of 25); even: the last at 5I, with no epoch after it.
    """
    epochs = interval * (positions - 1)
    decisions = [interval * i for i in range(positions)]
    if schedule == "official" and epochs > 0:
        decisions[-1] = epochs - 1
    return epochs, decisions
