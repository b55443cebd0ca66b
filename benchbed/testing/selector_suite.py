"""The contract of a selector, as checks that a plug-in's author can run.

    from benchbed.testing.selector_suite import CHECKS

    @pytest.mark.parametrize("check", CHECKS)
    def test_contract(check):
        check(lambda space: MySelector(MySelector.Options()))

Each check takes `make`, which gives a fresh selector for a space, and raises AssertionError where the contract is
broken. They run on the toy spaces, without and with topology, with a searcher that moves and a table that drifts while
it is tuned; one of them on a small supernet of NAS-Bench-201.
"""

from collections.abc import Callable
from itertools import product
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..checkpoints.module import tuning
from ..objective import Batch, Decisions, Objective, Tree
from ..objectives.options import SupernetOptions
from ..objectives.supernet import SupernetObjective
from ..searcher import AlphaOptions, Clock, EvaluationMode, GradientSearcher, masked_softmax
from ..selector import Context, Selection, Selector
from ..space import Space
from ..spaces.nb201.space import NB201
from ..streams import Streams
from ..task import Seal, Split, Task
from .toys import ToyCell, ToySpace, ToyTable, random_table
from .tree import checks_in, require, require_same, through_file

MakeSelector = Callable[[Space], Selector]
MODES: tuple[EvaluationMode, ...] = ("mixture", "sampled")
SPACES: tuple[type[Space], ...] = (ToySpace, ToyCell)  # without topology and with
EACH = tuple(product(MODES, SPACES))


class MovingSearcher(GradientSearcher):
    """DARTS' architecture step on strongly spread alpha; weight steps on sampled paths, so that streams advance."""

    def __init__(self, space: Space, streams: Streams, evaluation: EvaluationMode = "mixture"):
        super().__init__(space, AlphaOptions.model_validate({"alpha_init": 1.0, "alpha_lr": 0.1}), streams)
        self.evaluation = evaluation

    def arch_gates(self) -> tuple[Tensor, Tensor, Tensor]:
        p = masked_softmax(self.alpha, self.mask)
        return p.detach(), self.mask, p

    def weight_gates(self, objective: Objective, batch: Batch | None, clock: Clock) -> Tensor:
        return self.sample(1)[0]


class DriftingTable(ToyTable):
    """A table whose entries move towards the paths that weight steps visit: shared weights in miniature."""

    provides = frozenset({"weights"})

    def weight_step(self, gates: Tensor, batch: Batch | None) -> Tensor:
        before = super().weight_step(gates, batch)
        flowing = gates.sum(1) > 0  # the table's last entry of a droppable position: nothing flows there
        chosen = tuple(int(row.argmax()) if flows else -1 for row, flows in zip(gates, flowing, strict=True))
        self.losses = self.losses.clone()
        self.losses[chosen] *= 0.8
        return before

    def state(self) -> Tree:
        return {"losses": self.losses.clone()}

    def load_state(self, tree: Tree) -> None:
        self.losses = tree["losses"].clone()


class Bench:
    """What a selector works on here; notes every set of decisions that it tunes under."""

    def __init__(self, space: Space, objective: Objective, streams: Streams, evaluation: EvaluationMode = "mixture"):
        self.space, self.objective, self.streams = space, objective, streams
        self.searcher = MovingSearcher(space, streams, evaluation)
        streams.generator("gates")  # made here, so that every state holds it
        self.tuned: list[Decisions] = []

    @classmethod
    def toy(cls, seed: int = 0, evaluation: EvaluationMode = "mixture", space: type[Space] = ToySpace) -> "Bench":
        table = random_table(space(), seed)
        return cls(table.space, DriftingTable(table.space, table.losses), Streams(seed), evaluation)

    def context(self) -> Context:
        return Context(self.space, self.searcher, self.objective, self.streams, self.tune, lambda values: None)

    def tune(self, decisions: Decisions, done: int, epochs: int, lr_factor: float, train_alpha: bool) -> None:
        self.tuned.append(decisions)
        tuning(self.objective, self.searcher)(decisions, done, epochs, lr_factor, train_alpha)

    def state(self) -> Tree:
        streams, searcher, objective = self.streams.state(), self.searcher.state(), self.objective.state()
        return {"streams": streams, "searcher": searcher, "objective": objective}

    def load_state(self, tree: Tree) -> None:
        self.objective.load_state(tree["objective"])
        self.searcher.load_state(tree["searcher"])
        self.streams.load_state(tree["streams"])

    def run(self, selector: Selector) -> Selection:
        """Steps to the end, in exactly the number of steps that the selector announces."""
        announced = selector.steps(self.space)
        require(announced >= 1, f"steps() announces {announced}, and a selection takes at least one step")
        for step in range(announced):
            selection = selector.step(self.context())
            if selection is not None:
                require(step == announced - 1, f"selected at step {step + 1} where steps() announces {announced}")
                return selection
        raise AssertionError(f"no selection after the {announced} steps that steps() announces")


def check_returns_a_member_of_the_space(make: MakeSelector) -> None:
    """The architecture parses back to itself; scores are (P, O), never infinite, NaN on the padding."""
    for mode, space in EACH:
        bench = Bench.toy(0, mode, space)
        architecture, scores, notes = bench.run(make(bench.space))
        require(bench.space.parse(str(architecture)) == architecture, f"{architecture} is not a member of the space")
        require(scores.shape == bench.space.mask.shape, f"scores {scores.shape}, space {bench.space.mask.shape}")
        require(bool(not np.isinf(scores).any()), "an infinite score: NaN is for what was not measured")
        padded = scores[~bench.space.mask]
        require(
            bool((np.isnan(padded) | (padded <= np.nan_to_num(scores, nan=np.inf).min())).all()), "padding is preferred"
        )
        through_file({"notes": notes})  # plain values: they go into the record and the checkpoint


def check_same_seed_same_selection(make: MakeSelector) -> None:
    """Two runs from one seed agree to the bit, whatever the global generators hold."""
    for mode, space in EACH:
        benches = Bench.toy(3, mode, space), Bench.toy(3, mode, space)
        one = benches[0].run(make(benches[0].space))
        torch.rand(7), np.random.rand(7)
        _same(one, benches[1].run(make(benches[1].space)), "two runs from the same seed")


def check_resumes_after_every_step(make: MakeSelector) -> None:
    """Killed after every step, and continued by a fresh selector from what a file kept: the same selection."""
    for mode, space in EACH:
        whole = Bench.toy(5, mode, space)
        expected = whole.run(make(whole.space))
        saved = through_file({"bench": Bench.toy(5, mode, space).state(), "selector": make(whole.space).state()})
        steps = make(whole.space).steps(whole.space)
        for step in range(steps):
            bench, selector = Bench.toy(5, mode, space), make(whole.space)
            bench.tune(Decisions.none(bench.space), 0, 1, 0.1, True)  # elsewhere than where the file stands
            bench.load_state(saved["bench"])
            selector.load_state(saved["selector"])
            selection = selector.step(bench.context())
            if selection is not None:
                require(step == steps - 1, f"a resumed selection ended at step {step + 1} of {steps}")
                _same(selection, expected, "a run that was interrupted after every step and one that was not")
                require_same(bench.state(), whole.state(), "what a resumed run leaves behind changed")
                break
            saved = through_file({"bench": bench.state(), "selector": selector.state()})
        else:
            raise AssertionError(f"a resumed selection has not ended after {steps} steps")


def check_state_is_a_snapshot(make: MakeSelector) -> None:
    """A state taken between two steps does not change while the selector goes on."""
    for space in SPACES:
        bench = Bench.toy(6, space=space)
        selector = make(bench.space)
        for _ in range(selector.steps(bench.space)):
            state = selector.state()
            kept = through_file(state)
            if selector.step(bench.context()) is not None:
                break
            require_same(state, kept, "a state kept in memory changed")


def check_decisions_stand(make: MakeSelector) -> None:
    """What a selector tunes under only grows, is selectable, and is what it selects in the end.

    A decided position may still be dropped where it is droppable; a dropped one does not come back. A selector of
    trials may tune under anything, and leaves everything as it was.
    """
    for space in SPACES:
        bench = Bench.toy(7, space=space)
        selector, before = make(bench.space), through_file(bench.state())
        selection = bench.run(selector)
        if selector.trials:
            _same_but_draws(bench.state(), before, "what a selector of trials tuned changed")
            continue
        final = torch.from_numpy(bench.space.gates(selection.architecture))
        droppable = torch.tensor([p.droppable for p in bench.space.positions])
        fixed = torch.zeros(len(final), dtype=torch.bool)
        for decisions in bench.tuned:
            require(bool((decisions.fixed | ~fixed).all()), "a decided position was given free again")
            fixed = decisions.fixed
            dropped = droppable & (final.sum(1) == 0) & (decisions.rows.sum(1) == 1)
            same = (decisions.rows == final).all(1) | dropped
            require(bool(same[fixed].all()), "the selection differs from what was tuned under")


def check_only_selectable_operations(make: MakeSelector) -> None:
    """An operation that may not be selected is not, however probable it is."""
    for seed in range(4):
        for mode, space in EACH:
            bench = Bench.toy(seed, mode, space)
            with torch.no_grad():  # most of the mass on what is in the space and may not be chosen
                bench.searcher.alpha += 3.0 * torch.from_numpy(bench.space.mask & ~bench.space.selectable)
            choices = bench.run(make(bench.space)).architecture.choices
            for i, (position, k) in enumerate(zip(bench.space.positions, choices, strict=True)):
                require(
                    bool(k < 0 or bench.space.selectable[i, k]),
                    f"{position.name}: {position.operations[k]} may not be selected",
                )


def check_draws_from_its_own_stream(make: MakeSelector) -> None:
    """Without tuning, only the stream 'selection' moves: not the searcher, the objective, a global generator."""
    for space in SPACES:
        bench = Bench.toy(8, space=space)
        before, world = through_file(bench.state()), _global_generators()
        context = bench.context()._replace(tune=lambda *_: None)
        selector = make(bench.space)
        for _ in range(selector.steps(bench.space)):
            selector.step(context)
        _same_but_draws(bench.state(), before, "the searcher, the objective or another stream changed")
        # the standard library's own generator is left out: a run-time type checker may draw from it
        require_same(_global_generators(), world, "a global random generator changed")


def check_test_data_stays_sealed(make: MakeSelector) -> None:
    """On a supernet and a task whose test split raises when it is read."""

    def read() -> Split:
        raise AssertionError("a selector opened the test split")

    generator = torch.Generator().manual_seed(0)
    images, labels = torch.randn(48, 3, 8, 8, generator=generator), torch.arange(48) % 4
    train, valid = Split(images[:24], labels[:24]), Split(images[24:], labels[24:])
    task = Task("noise", 4, (3, 8, 8), train, valid, Seal(read), fingerprint="noise")
    streams = Streams(0)
    options = SupernetOptions.model_validate({"channels": 2, "cells": 1, "batch": 12, "valid_batch": 12})
    objective = SupernetObjective(NB201(), task, options, streams, epochs=1)
    Bench(objective.space, objective, streams).run(make(objective.space))
    require(not task.seal.opened, "a selector opened the test split")


CHECKS: tuple[Callable[[MakeSelector], None], ...] = checks_in(globals())


def _same(one: Selection, two: Selection, what: str) -> None:
    require(one.architecture == two.architecture, f"{what}: {one.architecture} and {two.architecture}")
    require(bool(np.array_equal(one.scores, two.scores, equal_nan=True)), f"{what} differ in their scores")
    require(one.notes == two.notes, f"{what} differ in their notes")


def _same_but_draws(after: Tree, before: Tree, text: str) -> None:
    """But for the stream of the selection's own draws."""
    for tree in (before, after):
        tree["streams"].pop("selection", None)
    require_same(after, before, text)


def _global_generators() -> list[Any]:
    kind, keys, *rest = np.random.get_state()
    return [torch.get_rng_state(), kind, torch.from_numpy(np.asarray(keys, dtype=np.int64)), *rest]
