"""Perturbation: keep the operation whose removal costs the supernet most, one position at a time.

Wang et al., "Rethinking Architecture Selection in Differentiable NAS", ICLR 2021 (DARTS-PT), algorithm 1. At an
undecided position each operation o is masked alone and the supernet is measured on the validation split; the operation
with the lowest remaining accuracy (or the highest loss) is kept, ties to the lowest index. Then the supernet trains
on for a few epochs under the decisions taken so far, and the next position follows. Where a node has more inputs than
it keeps, each of them is removed alone once all operations are decided, and the one that is missed least is dropped,
ties to the later, until as many are left as the node keeps.

Every measurement uses all of validation and moves no buffer: a score is a function of the supernet and the seed. By
default images are unaugmented and batch norm takes the batch's own statistics; the official code augments anew for each
candidate and lets running averages drift, which its own scores do not read. docs/selectors.md lists the options of both
presets and every difference.
"""

from collections.abc import Sequence
from typing import Any, ClassVar, Literal

import torch
from pydantic import Field, model_validator
from torch import Tensor

from benchbed.errors import BenchbedError
from benchbed.objective import Decisions, Objective, View
from benchbed.searcher import renormalised
from benchbed.selection.compare import Compared, Criterion, compare, race
from benchbed.selection.progressive import Inputs, Progressive, ProgressiveOptions
from benchbed.selection.schedule import Decision
from benchbed.selector import Context, evaluation_mode
from benchbed.space import Space
from benchbed.streams import derive


class Options(ProgressiveOptions):
    """DARTS-PT at both levels, operations and inputs. Defaults: `recommended`."""

    criterion: Criterion = Field("acc", description="lowest accuracy, or highest loss, without the operation")
    edge_criterion: Criterion | None = Field(
        None, description="the same for a node's inputs; none: as `criterion` (which the official code uses for both)"
    )
    topology: Literal["cumulative", "non-cumulative"] = Field(
        "cumulative",
        description="whether an input that a node drops is gone while its other inputs are tried (official: no)",
    )
    order: Literal[
        "random", "forward", "backward", "global-op-once", "global-op-greedy", "global-edge-once", "global-edge-greedy"
    ] = Field(
        "random",
        description="the positions' order (official: random); global: first the position with the operation, or of "
        "which all, is missed most, ranked once or before each decision",
    )
    mask: Literal["as-is", "renormalised"] = Field(
        "as-is", description="what is left of a masked mixture (official: as is)"
    )
    gates: Literal["auto", "mixture", "sampled"] = Field(
        "auto", description="measure the mixture or paths drawn from it"
    )
    draws: int = Field(32, ge=1, description="paths per measurement where gates are sampled; the same for every mask")
    batch_norm: Literal["batch", "eval", "recalibrated"] = Field(
        "batch",
        description="whose statistics batch norm takes while measuring: the batch's own (official), or, of training "
        "images, the unmasked supernet's as running averages have them, or each candidate's own",
    )
    transform: Literal["test", "train"] = Field(
        "test", description="measure validation's images unaugmented, or augmented as in training (official)"
    )
    race: float | None = Field(
        None, gt=0, lt=0.5, description="drop candidates early, wrongly at most so often a decision; none: never"
    )

    @model_validator(mode="after")
    def _fits(self) -> "Options":
        if self.race is not None and self.order.startswith("global"):
            raise ValueError(
                f"race = {self.race} with order = '{self.order}': a race ends before it knows how much a position is "
                "missed; take order = 'random', 'forward' or 'backward'"
            )
        return self


STATED: dict[str, Any] = {
    "criterion": "acc", "edge_criterion": None, "interval": 5, "order": "random", "mask": "as-is", "gates": "auto",
    "draws": 32, "tune_lr_factor": 0.1, "tune_alpha": True, "batch_norm": "batch", "race": None,
}  # fmt: skip


class Perturb(Progressive[Options]):
    """Masks one operation at a time and keeps the one that is missed most."""

    presets: ClassVar[dict[str, Any]] = {
        "official": {**STATED, "schedule": "official", "topology": "non-cumulative", "transform": "train"},
        "recommended": {**STATED, "schedule": "even", "topology": "cumulative", "transform": "test"},
    }

    def __init__(self, options: Options):
        super().__init__(options)
        self.measured: dict[int, tuple[list[int], Tensor]] = {}  # by position, within one step

    @classmethod
    def needed(cls, options: Options) -> frozenset[str]:
        images = options.race is not None or options.batch_norm != "batch"
        return cls.needs | {"images"} if images else cls.needs

    @classmethod
    def check(cls, options: Options, space: Space, objective: Objective | None) -> None:
        if options.race is not None and objective is not None and objective.parts < 2:
            raise BenchbedError(
                f"selector 'perturb': race = {options.race}: the {objective.validation_images} "
                "validation images are measured in one part; a race needs two (lower supernet.eval_batch)"
            )

    def begin(self, context: Context) -> None:
        self.notes = {"gates": evaluation_mode(self.options.gates, context.searcher)}
        if self.options.race is not None:
            self.notes["race"] = self.options.race
        if self.options.order.endswith("-once"):
            self._rank_all(context)

    # -- operations ------------------------------------------------------------------------------------------------

    def decide_operation(self, context: Context, decisions: Decisions, position: int) -> tuple[int, Tensor]:
        """Every operation of the position that may be selected masked in turn."""
        columns, strength = self.measured.get(position) or self._operations(context, decisions, position)
        self.measured = {}
        scores = torch.full((context.space.mask.shape[1],), torch.nan)
        scores[columns] = strength.float()
        return columns[int((strength == strength.max()).nonzero()[0])], scores

    def _operations(self, context: Context, decisions: Decisions, position: int) -> tuple[list[int], Tensor]:
        """(columns, strength float64 of each) of the position."""
        columns, uniforms = context.selectable[position].nonzero().flatten().tolist(), self._uniforms(context)
        gates = decisions.apply(self._masked(context, position, columns, uniforms))
        name = f"position '{context.space.positions[position].name}'"
        return columns, self._compared(context, self._looking(context, decisions, uniforms), gates, name)

    def _masked(self, context: Context, position: int, columns: list[int], uniforms: Tensor) -> Tensor:
        """Evaluation gates with each of the columns masked at the position, (len(columns), K, P, O)."""
        mask = torch.from_numpy(context.space.mask)
        masked = []
        for column in columns:
            allowed = mask.clone()
            allowed[position, column] = len(columns) == 1  # a position without a choice keeps its operation
            masked.append(self._evaluation_gates(context, allowed, uniforms))
        return torch.stack(masked)

    def _uniforms(self, context: Context) -> Tensor:
        """Drawn once a decision: its candidates share them."""
        generator = context.streams.generator("selection")
        return torch.rand(self.options.draws, len(context.space.positions), generator=generator)

    def _evaluation_gates(self, context: Context, allowed: Tensor, uniforms: Tensor) -> Tensor:
        mode = evaluation_mode(self.options.gates, context.searcher)
        gates = context.searcher.evaluation_gates(allowed, mode, uniforms)
        if self.options.mask == "renormalised" and mode == "mixture":
            return (renormalised(gates[0], allowed) * context.searcher.strength()[:, None])[None]
        return gates

    # -- inputs ----------------------------------------------------------------------------------------------------

    def decide_inputs(self, context: Context, decisions: Decisions, node: int) -> Inputs:
        """Inputs removed in turn; what is missed least is dropped, ties to the later, until the node keeps enough.

        Non-cumulative: each round tries removals from the node with all its inputs, as the official code does. The
        gates of a later round are those of the first, and so are their figures: they are measured once.
        """
        rule, uniforms = context.space.nodes[node], self._uniforms(context)
        strength = dict.fromkeys(rule.incoming, 0.0)
        gone_before, measured, once = context.dropped, False, self.options.topology == "non-cumulative"
        left = [i for i in rule.incoming if i not in gone_before]
        looking = self._looking(context, decisions, uniforms)
        while len(left) > rule.keep:
            if not (once and measured):
                gates = self._without(context, decisions, left, uniforms)
                name = f"the inputs of {context.space.positions[left[0]].name} and others"
                found = self._compared(context, looking, gates, name, None if once else "least", inputs=True)
                strength.update(zip(left, found.tolist(), strict=True))
                measured = True
            least = min(strength[i] for i in left)
            gone = [i for i in left if strength[i] == least][-1]
            left.remove(gone)
            decisions = decisions.drop(gone)
        dropped = tuple(i for i in rule.incoming if i not in left)
        return Inputs(dropped, tuple(strength[i] for i in rule.incoming))

    def _without(self, context: Context, decisions: Decisions, edges: Sequence[int], uniforms: Tensor) -> Tensor:
        """Evaluation gates under the decisions, with each of the edges removed, (len(edges), K, P, O)."""
        gates = self._unmasked(context, decisions, uniforms)
        removed = gates.expand(len(edges), *gates.shape).clone()
        for one, edge in zip(removed, edges, strict=True):
            one[:, edge] = 0.0
        return removed

    def _unmasked(self, context: Context, decisions: Decisions, uniforms: Tensor) -> Tensor:
        """Evaluation gates under the decisions, (K, P, O)."""
        allowed = torch.from_numpy(context.space.mask)
        return decisions.apply(self._evaluation_gates(context, allowed, uniforms))

    # -- measuring -------------------------------------------------------------------------------------------------

    def _looking(self, context: Context, decisions: Decisions, uniforms: Tensor) -> Objective:
        """The objective as the options look at validation: one view for all candidates of a decision."""
        o, objective = self.options, context.objective
        augmented = o.transform == "train" and "images" in objective.provides
        if o.batch_norm == "batch" and not augmented:
            return objective
        unmasked = self._unmasked(context, decisions, uniforms) if o.batch_norm == "eval" else None
        seed = derive(context.streams.seed, f"augmentation-{self.made}") if augmented else None
        return objective.seen(View(o.batch_norm, unmasked, seed))

    def _compared(
        self,
        context: Context,
        objective: Objective,
        gates: Tensor,
        where: str,
        seek: Literal["greatest", "least"] | None = "greatest",
        inputs: bool = False,
    ) -> Tensor:
        """The strength of each candidate (C,), raced towards what is sought if the options say so; None: never."""
        found: Compared
        criterion: Criterion = (self.options.edge_criterion if inputs else None) or self.options.criterion
        if self.options.race is None or seek is None or len(gates) == 1:
            found = compare(objective, gates, criterion)
        else:
            # of the run's seed, but not of the stream that gates are drawn from: these stay what they are without races
            generator = torch.Generator().manual_seed(derive(context.streams.seed, f"race-{self.made}"))
            parts = torch.randperm(objective.parts, generator=generator)
            found = race(objective, gates, criterion, self.options.race, parts.tolist(), seek)
        if not torch.isfinite(found.strength).all():
            raise BenchbedError(f"the validation loss is not finite at {where}: the supernet has diverged")
        if found.images:
            self.notes["validation_images"] = self.notes.get("validation_images", 0) + found.images
        return found.strength

    # -- global orders (Zero-Cost-PT, Xiang et al. 2021, from its code's option names; the rules here are stated) ------

    def pick(self, context: Context, decisions: Decisions, position: int, group: list[int]) -> int:
        """Greedy: of the undecided of the group, the position of greatest importance now, ties to the first."""
        if not self.options.order.endswith("-greedy"):
            return position
        importance = self._importance(context, decisions, group)
        return group[importance.index(max(importance))]

    def _rank_all(self, context: Context) -> None:
        """Reorders the agenda's positions within each group by importance, before anything is decided."""
        space, positions = context.space, [d.of for d in self.agenda if d.kind == "operation"]
        ranked: dict[str, list[int]] = {}
        for name in dict.fromkeys(space.positions[i].group for i in positions):
            group = sorted(i for i in positions if space.positions[i].group == name)
            importance = self._importance(context, Decisions.none(space), group)
            best = sorted(zip(importance, group, strict=True), key=lambda pair: -pair[0])
            ranked[name] = [i for _, i in best]
        self.agenda = [
            d if d.kind == "inputs" else Decision(d.event, d.kind, ranked[space.positions[d.of].group].pop(0))
            for d in self.agenda
        ]
        self.measured = {}

    def _importance(self, context: Context, decisions: Decisions, group: list[int]) -> list[float]:
        """op: the strength of the position's strongest operation; edge: how much the whole position is missed."""
        if self.options.order.startswith("global-op"):
            self.measured = {i: self._operations(context, decisions, i) for i in group}
            return [float(strength.max()) for _, strength in self.measured.values()]
        uniforms = self._uniforms(context)
        gates, looking = self._without(context, decisions, group, uniforms), self._looking(context, decisions, uniforms)
        return self._compared(context, looking, gates, "the removal of a position", None).tolist()
