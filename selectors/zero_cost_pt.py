"""Zero-Cost-PT: perturbation by a proxy on a supernet that was never trained; the best of several proposals is kept.

Xiang et al., "Zero-cost operation scoring in differentiable architecture search", AAAI 2023. At each position in turn,
in a random order, each operation is removed alone and the supernet scored by a proxy; the operation is kept without
which the score is lowest, ties to the lowest index. `pool` proposals are made so, each in an order of its own, and of
these the one of greatest total score over `rounds` batches, at its own path, is kept. Meant for `--epochs 0`: alpha as
it is drawn, weights as they start.

The authors' default proxy, which their code calls jacob, is nwot's log det. Here batch norm takes the batch's
statistics (theirs: running ones at their start), proposals are compared at one-hot gates of the same supernet (theirs:
new discrete networks), and the candidates of a decision share one batch.
"""

from typing import Any, ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor

from benchbed.objective import Decisions, Objective, Tree
from benchbed.selection.progressive import Inputs, Progressive, ProgressiveOptions
from benchbed.selection.schedule import agenda_of, by_group
from benchbed.selection.zero_cost import ACCURACY, check_proxy, scores
from benchbed.selector import Context, Selection
from benchbed.space import Space


class Options(ProgressiveOptions):
    """The authors' pool and rounds."""

    proxy: str = Field("nwot", description="nwot, jacov or epe-nas; accuracy: the objective's own")
    pool: int = Field(10, ge=1, description="proposals")
    rounds: int = Field(100, ge=1, description="batches over which the proposals are compared")
    order: Literal["random", "forward", "backward"] = Field("random", description="of the decisions (authors: random)")
    interval: int = Field(0, ge=0, le=0, description="tuning epochs between decisions: none, nothing is trained")


class ZeroCostPT(Progressive[Options]):
    """Proposals by removal, then a comparison of their own paths."""

    needs: ClassVar[frozenset[str]] = frozenset({"network"})
    suite_options: ClassVar[dict[str, Any]] = {"proxy": "accuracy", "pool": 2, "rounds": 2}

    def __init__(self, options: Options):
        super().__init__(options)
        self.proposals: list[tuple[int, ...]] = []
        self.totals: list[float] = []
        self.round = 0

    @classmethod
    def needed(cls, options: Options) -> frozenset[str]:
        return frozenset() if options.proxy == ACCURACY else cls.needs

    @classmethod
    def check(cls, options: Options, space: Space, objective: Objective | None) -> None:
        check_proxy(options.proxy, objective)

    def steps(self, space: Space) -> int:
        return self.options.pool * len(agenda_of(*by_group(space))) + self.options.rounds

    def step(self, context: Context) -> Selection | None:
        if len(self.proposals) < self.options.pool:
            if (found := super().step(context)) is not None:
                self.proposals.append(found.architecture.choices)
                self.totals.append(0.0)
                if len(self.proposals) < self.options.pool:
                    self.made, self.agenda, self.choices, self.dropped, self.scores = 0, [], {}, [], None
            return None
        return self._compare(context)

    def _compare(self, context: Context) -> Selection | None:
        """One batch for all proposals; the selection after the last."""
        space = context.space
        members = [space.architecture_of(choices) for choices in self.proposals]
        gates = torch.stack([torch.from_numpy(space.gates(member)) for member in members])[:, None]
        self.totals = [a + b for a, b in zip(self.totals, self._scores(context, gates).tolist(), strict=True)]
        self.round += 1
        context.log({"round": self.round, "totals": self.totals})
        if self.round < self.options.rounds:
            return None
        best = self.totals.index(max(self.totals))
        notes = {"proxy": self.options.proxy, "proposals": [member.text for member in members], "totals": self.totals}
        assert self.scores is not None
        return Selection(members[best], self.scores.double().numpy(), notes)  # the last proposal's scores

    def _scores(self, context: Context, gates: Tensor) -> Tensor:
        """Of each set of gates, on the next training batch."""
        batch = context.objective.batch("train")
        return scores(context.objective, gates, self.options.proxy, batch, context.streams.seed)

    def _gates(self, context: Context, decisions: Decisions, removed: list[tuple[int, int | None]]) -> Tensor:
        """The mixture without each of the (position, operation) in turn; None: without the whole position."""
        found, uniforms = [], torch.zeros(1, len(context.space.positions))
        for position, column in removed:
            allowed = torch.from_numpy(context.space.mask).clone()
            if column is not None:
                allowed[position, column] = int(context.selectable[position].sum()) == 1
            gates = decisions.apply(context.searcher.evaluation_gates(allowed, "mixture", uniforms))
            if column is None:
                gates = gates.clone()
                gates[:, position] = 0
            found.append(gates)
        return torch.stack(found)

    def decide_operation(self, context: Context, decisions: Decisions, position: int) -> tuple[int, Tensor]:
        columns = context.selectable[position].nonzero().flatten().tolist()
        missed = -self._scores(context, self._gates(context, decisions, [(position, k) for k in columns]))
        found = torch.full((context.space.mask.shape[1],), torch.nan)
        found[columns] = missed.float()
        return columns[int((missed == missed.max()).nonzero()[0])], found

    def decide_inputs(self, context: Context, decisions: Decisions, node: int) -> Inputs:
        """The input that is missed least goes, ties to the later, until the node keeps enough."""
        rule = context.space.nodes[node]
        strength, gone = dict.fromkeys(rule.incoming, 0.0), list(context.dropped)
        left = [i for i in rule.incoming if i not in gone]
        while len(left) > rule.keep:
            missed = -self._scores(context, self._gates(context, decisions, [(i, None) for i in left]))
            strength.update(zip(left, missed.tolist(), strict=True))
            least = [i for i in left if strength[i] == min(strength[k] for k in left)][-1]
            left.remove(least)
            decisions = decisions.drop(least)
        return Inputs(tuple(i for i in rule.incoming if i not in left), tuple(strength[i] for i in rule.incoming))

    def state(self) -> Tree:
        own = {"proposals": [list(choices) for choices in self.proposals], "totals": list(self.totals)}
        return {**super().state(), **own, "round": self.round}

    def load_state(self, tree: Tree) -> None:
        super().load_state(tree)
        self.proposals = [tuple(choices) for choices in tree["proposals"]]
        self.totals, self.round = list(tree["totals"]), tree["round"]
