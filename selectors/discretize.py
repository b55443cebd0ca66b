"""Discretize: each operation in turn set on its position, the supernet trained until it converges; the best are kept.

The yardstick of Wang et al., ICLR 2021 (DARTS-PT), figures 1 and 2: D(e, o) is the validation accuracy to which the
trained supernet converges once position e holds o alone and all others keep their mixture. The architecture of the best
operation at every position is dear to find, and what `magnitude` and `perturb` are held against. The paper defines D
for operations alone. Where a node has more inputs than it keeps, each is also removed and the supernet trained,
D(e, -), and those are kept that gain most, max_o D(e, o) - D(e, -), ties to the earlier; that extension is ours.

Every candidate begins from the search's final state, and that state is put back after it: a step is one candidate, so a
kill costs one candidate's training. The memory of weights and momentum is needed once more.
"""

from typing import Any, ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor

from benchbed.objective import Decisions, Tree
from benchbed.selection.discretize import TrainingOptions, discretised
from benchbed.selection.schedule import contested
from benchbed.selector import Context, Selection, Selector, evaluation_mode
from benchbed.space import Space

DROPPED = -1


class Options(TrainingOptions):
    """The training of a candidate, and at which gates it is measured."""

    gates: Literal["auto", "mixture", "sampled"] = Field(
        "auto", description="measure the mixture or paths drawn from it"
    )
    draws: int = Field(32, ge=1, description="paths per measurement where gates are sampled; the same for all")


class Discretize(Selector[Options]):
    """Trains each candidate of each position and keeps the most accurate."""

    needs: ClassVar[frozenset[str]] = frozenset({"weights"})
    trials: ClassVar[bool] = True
    presets: ClassVar[dict[str, Any]] = {
        "recommended": {"epochs": 20, "min_epochs": 5, "patience": 2, "tune_lr_factor": 0.1, "tune_alpha": False},
    }

    def __init__(self, options: Options):
        super().__init__(options)
        self.accuracies, self.epochs = list[float](), list[int]()
        self.uniforms: Tensor | None = None

    def steps(self, space: Space) -> int:
        return len(_candidates(space))

    def step(self, context: Context) -> Selection | None:
        space, candidates = context.space, _left(context)
        if self.uniforms is None:
            generator = context.streams.generator("selection")
            self.uniforms = torch.rand(self.options.draws, len(space.positions), generator=generator)
        self._train(context, *candidates[len(self.accuracies)])
        return self._selection(context) if len(self.accuracies) == len(candidates) else None

    def _train(self, context: Context, position: int, operation: int) -> None:
        space, none = context.space, Decisions.none(context.space)
        decisions = none.drop(position) if operation == DROPPED else none.decide(position, operation)
        mode = evaluation_mode(self.options.gates, context.searcher)
        mask, uniforms = torch.from_numpy(space.mask), self.uniforms
        assert uniforms is not None
        found = discretised(
            context, decisions, self.options, lambda: context.searcher.evaluation_gates(mask, mode, uniforms)
        )
        self.accuracies.append(found.accuracy)
        self.epochs.append(found.epochs)
        where = space.positions[position]
        name = "dropped" if operation == DROPPED else where.operations[operation]
        context.log({"candidate": f"{where.name} {name}", "accuracy": round(found.accuracy, 4), "epochs": found.epochs})

    def _selection(self, context: Context) -> Selection:
        space = context.space
        scores = torch.full(space.mask.shape, torch.nan, dtype=torch.float64)
        removed: dict[int, float] = {}
        for (position, operation), accuracy in zip(_left(context), self.accuracies, strict=True):
            if operation == DROPPED:
                removed[position] = accuracy
            else:
                scores[position, operation] = accuracy
        best = scores.nan_to_num(-torch.inf)
        choices = best.argmax(1).tolist()  # ties to the lowest index; a position without a candidate is not kept
        strength = [float(best[i, k]) - removed.get(i, 0.0) for i, k in enumerate(choices)]
        notes: dict[str, Any] = {
            "gates": evaluation_mode(self.options.gates, context.searcher),
            "tuning_epochs": sum(self.epochs),
        }
        if removed:
            notes["without"] = {space.positions[i].name: accuracy for i, accuracy in removed.items()}
        architecture = space.architecture_of(space.keep_strongest(choices, strength))
        return Selection(architecture, scores.numpy(), notes)

    def state(self) -> Tree:
        uniforms = None if self.uniforms is None else self.uniforms.clone()
        return {"accuracies": list(self.accuracies), "epochs": list(self.epochs), "uniforms": uniforms}

    def load_state(self, tree: Tree) -> None:
        self.accuracies, self.epochs = list(tree["accuracies"]), list(tree["epochs"])
        self.uniforms = None if tree["uniforms"] is None else tree["uniforms"].clone()


def _candidates(space: Space) -> list[tuple[int, int]]:
    """(position, operation or DROPPED) in turn, as many as there can be."""
    inputs = {i for n in contested(space) for i in space.nodes[n].incoming}
    found = list[tuple[int, int]]()
    for i, row in enumerate(space.selectable):
        found += [(i, int(k)) for k in row.nonzero()[0]]
        found += [(i, DROPPED)] if i in inputs else []
    return found


def _left(context: Context) -> list[tuple[int, int]]:
    """The candidates without what the searcher has decided against."""
    space, gone, selectable = context.space, context.dropped, context.selectable
    full = {i for node in space.nodes if len(set(node.incoming) - set(gone)) <= node.keep for i in node.incoming}
    return [
        (i, k)
        for i, k in _candidates(space)
        if i not in gone and (i not in full if k == DROPPED else bool(selectable[i, k]))
    ]
