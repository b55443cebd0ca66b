"""Decisions one at a time, the supernet tuned on in between: the frame of perturbation and its variants.

DARTS-PT, algorithm 1: an undecided position is taken, its operation decided, its row of gates fixed to one-hot, and
the rest trained on for a few epochs; where a node has more inputs than it keeps, the same goes for its inputs at the
end, and what it drops has a row of zeros. How a decision is made is a subclass's.
"""

from abc import abstractmethod
from copy import deepcopy
from typing import Any, NamedTuple

import torch
from pydantic import Field
from torch import Tensor
from typing_extensions import TypeVar

from ..objective import Decisions, Tree
from ..searcher import Options as PluginOptions
from ..selector import Context, Selection, Selector
from ..space import Space
from .schedule import Decision, Rule, agenda_of, by_group, name_of, schedule_on


class ProgressiveOptions(PluginOptions):
    """When decisions fall and how the supernet is tuned between them."""

    order: str = Field("random", description="the order of the decisions; a subclass says which there are")
    interval: int = Field(5, ge=0, description="tuning epochs between decisions (official: 5); 0: decide at once")
    tune_lr_factor: float = Field(0.1, gt=0, description="tuning's learning rate over the search's (official: 0.1)")
    tune_alpha: bool = Field(True, description="alpha goes on moving while tuning (official: yes)")
    schedule: Rule = Field(
        "even", description="official: one epoch of tuning that decides nothing comes last; even: none does"
    )


class Inputs(NamedTuple):
    """Which inputs a node drops, and a strength of each of its inputs, higher is better, in their order."""

    dropped: tuple[int, ...]
    strength: tuple[float, ...]


ProgressiveT = TypeVar("ProgressiveT", bound=ProgressiveOptions, default=ProgressiveOptions)


class Progressive(Selector[ProgressiveT]):
    """Base of selectors that decide one position or node a step and tune in between.

    Its option `order` is 'random', 'forward', 'backward', or another by which a subclass picks.
    """

    def __init__(self, options: ProgressiveT):
        super().__init__(options)
        self.epoch, self.made = 0, 0
        self.agenda = list[Decision]()
        self.choices: dict[int, int] = {}  # position -> operation, in the order in which they were decided
        self.dropped: list[int] = []
        self.scores: Tensor | None = None
        self.notes: dict[str, Any] = {}

    # -- what a subclass decides -----------------------------------------------------------------------------------

    @abstractmethod
    def decide_operation(self, context: Context, decisions: Decisions, position: int) -> tuple[int, Tensor]:
        """(operation, scores (O,)) at the position: higher is better, NaN where nothing was measured."""

    @abstractmethod
    def decide_inputs(self, context: Context, decisions: Decisions, node: int) -> Inputs:
        """Which inputs of the space's node number `node` are dropped, all operations being decided."""

    def begin(self, context: Context) -> None:
        """Called before the first decision. Default: nothing."""

    def pick(self, context: Context, decisions: Decisions, position: int, group: list[int]) -> int:
        """The position to decide now, of the undecided of its group. Default: the one whose turn it is, `position`."""
        return position

    # -- the frame -------------------------------------------------------------------------------------------------

    def steps(self, space: Space) -> int:
        decisions = len(agenda_of(*by_group(space)))
        return schedule_on(space, self.options.interval, self.options.schedule).epochs + decisions

    def step(self, context: Context) -> Selection | None:
        space, o = context.space, self.options
        if self.scores is None:
            self._begin(context)
        plan = schedule_on(space, o.interval, o.schedule)
        if self.made < len(self.agenda) and plan.starts[self.agenda[self.made].event] == self.epoch:
            self._decide(context, self.agenda[self.made])
            self.made += 1
        else:
            context.tune(self.decisions(context), self.epoch, plan.epochs, o.tune_lr_factor, o.tune_alpha)
            self.epoch += 1
        if self.made < len(self.agenda) or self.epoch < plan.epochs:
            return None
        assert self.scores is not None
        choices = (-1 if i in self.dropped else self.choices[i] for i in range(len(space.positions)))
        order = {"order": [space.positions[i].name for i in self.choices]}
        notes = {**order, **self.notes, "tuning_epochs": plan.epochs}
        return Selection(space.architecture_of(tuple(choices)), self.scores.double().numpy(), notes)

    def decisions(self, context: Context) -> Decisions:
        """What has been decided so far, what the searcher has dropped included."""
        decisions = Decisions.none(context.space)
        for position, operation in self.choices.items():
            decisions = decisions.decide(position, operation)
        for position in (*self.dropped, *context.dropped):
            decisions = decisions.drop(position)
        return decisions

    def _begin(self, context: Context) -> None:
        positions, nodes = by_group(context.space)
        for indices in (*positions, *nodes):
            if self.options.order == "random":
                order = torch.randperm(len(indices), generator=context.streams.generator("selection"))
                indices[:] = [indices[k] for k in order.tolist()]
            elif self.options.order == "backward":
                indices.reverse()
        self.agenda = agenda_of(positions, nodes)
        self.scores = torch.full(context.space.mask.shape, torch.nan)
        self.begin(context)

    def _decide(self, context: Context, decision: Decision) -> None:
        if decision.kind == "operation":
            self._decide_operation(context, decision.of)
        else:
            self._decide_inputs(context, decision.of)

    def _decide_operation(self, context: Context, due: int) -> None:
        assert self.scores is not None
        space, decisions = context.space, self.decisions(context)
        group = space.positions[due].group
        open_ = [i for i, p in enumerate(space.positions) if p.group == group and i not in self.choices]
        position = self.pick(context, decisions, due, open_)
        operation, scores = self.decide_operation(context, decisions, position)
        self.scores[position], self.choices[position] = scores, operation
        measured = [round(x, 4) for x in scores.tolist() if x == x]
        where = space.positions[position]
        context.log({"position": where.name, "operation": where.operations[operation], "scores": measured})

    def _decide_inputs(self, context: Context, node: int) -> None:
        space = context.space
        found = self.decide_inputs(context, self.decisions(context), node)
        self.dropped += found.dropped
        incoming, name = space.nodes[node].incoming, name_of(space, space.nodes[node])
        kept = [space.positions[i].name for i in incoming if i not in found.dropped]
        strength = [round(x, 4) for x in found.strength]
        names = [space.positions[i].name for i in incoming]
        self.notes.setdefault("inputs", {})[name] = dict(zip(names, strength, strict=True))
        context.log({"node": name, "kept": kept, "scores": strength})

    def state(self) -> Tree:
        return {
            "epoch": self.epoch,
            "made": self.made,
            "agenda": [list(decision) for decision in self.agenda],
            "choices": dict(self.choices),
            "dropped": list(self.dropped),
            "scores": None if self.scores is None else self.scores.clone(),
            "notes": deepcopy(self.notes),  # no list is shared with what goes on changing
        }

    def load_state(self, tree: Tree) -> None:
        self.epoch, self.made = tree["epoch"], tree["made"]
        self.agenda = [Decision(*values) for values in tree["agenda"]]
        self.choices, self.dropped = dict(tree["choices"]), list(tree["dropped"])
        self.scores = None if tree["scores"] is None else tree["scores"].clone()
        self.notes = deepcopy(tree["notes"])
