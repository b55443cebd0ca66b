"""The contract of a modifier: it changes how a searcher searches, and goes around any that it fits.

`--searcher gdas+sdarts-rs+sgas` is GDAS under two modifiers. One is made when its searcher is, and is then called so:

    every architecture step     `problem`, before the searcher makes the step: the objective and the loss that it sees
                                `alpha_gradient`, within it, before Adam's step: the gradient that Adam is given
    every weight step           `weight_gates`, after the searcher said at which gates its weights train
    the end of an epoch         `end_epoch`, after the searcher's own; a modifier that `narrows` takes operations away
                                here, in place: `self.searcher.mask[i, k] = False`, and alpha may be put back
                                `done`, after that: whether the search is over
    a line of the history       `progress`
    a checkpoint                `state`, `load_state`

All in the order in which they are named; each default changes nothing. In a selector's tuning everything is called but
`end_epoch`, since what is left to decide is the selector's. Randomness is drawn from `self.streams`, from a stream that
no searcher uses, so that `state` and the streams continue a modifier bit for bit. What is on the searcher's `mask` no
more does not flow: a row with one operation left is one-hot, a row with none is zero, in weight steps, architecture
steps and samples, and an alpha that has nothing left to decide stays bit for bit where it is.
"""

from collections.abc import Sequence
from functools import cache
from typing import Any, ClassVar

import torch
from jaxtyping import Float
from pydantic import BaseModel, ConfigDict, Field, create_model
from torch import Tensor

from .cost import Problem
from .errors import BenchbedError
from .objective import Batch, Decisions, Mask, Objective, Paths, Rows, Tree
from .searcher import AlphaSearcher, Clock, EvaluationMode, OptionsT, Plugin, Searcher
from .space import Space
from .streams import Streams

PERTURBS = "perturbations of the weight gates"  # the role of those that keep the rows of gates on the simplex


class Modifier(Plugin[OptionsT]):
    """Base of every modifier. `self.searcher` is the searcher that it modifies, whatever other modifiers there are.

    narrows: whether it takes operations from the searcher's mask. role: what it does to a search, where two that do the
    same exclude each other, such as 'decisions'; empty: it goes with every other.
    """

    narrows: ClassVar[bool] = False
    role: ClassVar[str] = ""

    def __init__(self, searcher: Searcher[Any], options: OptionsT):
        self.searcher, self.options = searcher, options
        self.space, self.streams = searcher.space, searcher.streams

    @classmethod
    def fits(cls, searcher: type[Searcher[Any]], options: OptionsT, space: Space, objective: Objective | None) -> None:
        """Raises BenchbedError where it is not defined for this searcher, space or objective, as `check` is called.

        The line goes on from "modifier 'NAME' does not fit searcher 'NAME': ". Default: it fits all that have what its
        methods change.
        """
        if cls.alpha_gradient is not Modifier.alpha_gradient and not issubclass(searcher, AlphaSearcher):
            raise BenchbedError(f"it changes the gradient of alpha, and {searcher.__name__} learns no alpha by Adam")

    def problem(self, problem: Problem, clock: Clock) -> Problem:
        """What the searcher's architecture step is made on; `problem.penalise(loss, p)` is what it descends."""
        return problem

    def alpha_gradient(self, gradient: Rows, clock: Clock) -> Rows:
        """The gradient of alpha that Adam is given in place of the searcher's."""
        return gradient

    def weight_gates(self, gates: Rows, objective: Objective, batch: Batch | None, clock: Clock) -> Rows:
        """Detached gates of the next weight step, in place of the searcher's; `batch` is the one that it will see.

        Zero outside the searcher's mask. It may measure on `objective` and freeze operations there, and changes nothing
        else.
        """
        return gates

    def end_epoch(self, objective: Objective, clock: Clock) -> None:
        """After the last step of an epoch of the search, `clock` at that step. Default: nothing."""
        return None

    def done(self) -> bool:
        """Whether it ends the search with this epoch; it follows from what `state` holds. Default: no."""
        return False

    def progress(self) -> dict[str, Any]:
        """What an epoch's line of the history says of this modifier. Default: nothing."""
        return {}

    def state(self) -> Tree:
        """What continues it bit for bit, under the same keys from the beginning on; not the mask. Default: nothing."""
        return {}

    def load_state(self, tree: Tree) -> None:
        """Takes back what `state` gave."""
        return None


class Modified(Searcher[Any]):
    """A searcher under modifiers. A subclass names both: `made_of` makes one, an alias of a pair is one by hand.

    Its options are those of the searcher and a section 'modifiers' with those of each modifier by name; an alias may
    have them all side by side. Its state is the searcher's, then the mask where one narrows it, then each modifier's
    own, a key that is taken already as 'NAME.KEY'.
    """

    of: ClassVar[type[Searcher[Any]]]
    by: ClassVar[tuple[tuple[str, type[Modifier[Any]]], ...]]

    def __init__(self, space: Space, options: BaseModel, streams: Streams):
        own, others = self.split(options)
        self.base = self.of(space, own, streams)
        self.modifiers = {name: kind(self.base, others[name]) for name, kind in self.by}
        self.narrows = any(kind.narrows for _, kind in self.by)
        self.evaluation = self.base.evaluation
        self.clock = Clock(0, 0, 1, 1)  # of the architecture step that is being made
        self.space, self.options, self.streams = space, options, streams
        changes = any(kind.alpha_gradient is not Modifier.alpha_gradient for _, kind in self.by)
        if changes and isinstance(self.base, AlphaSearcher):
            self.base.optimiser.register_step_pre_hook(self.change_gradient)

    @classmethod
    def split(cls, options: BaseModel) -> tuple[BaseModel, dict[str, BaseModel]]:
        """The searcher's options, and each modifier's by name."""
        values = options.model_dump()
        inside = values.get("modifiers", {})

        def part(model: type[BaseModel], given: dict[str, Any]) -> BaseModel:
            return model(**{key: given[key] for key in model.model_fields})

        return part(cls.of.Options, values), {name: part(m.Options, inside.get(name, values)) for name, m in cls.by}

    @classmethod
    def needed(cls, options: BaseModel) -> frozenset[str]:
        own, others = cls.split(options)
        return cls.of.needed(own).union(*(kind.needed(others[name]) for name, kind in cls.by))

    @classmethod
    def check(cls, options: BaseModel, space: Space, objective: Objective | None) -> None:
        own, others = cls.split(options)
        cls.of.check(own, space, objective)
        for name, kind in cls.by:
            try:
                if kind.role == PERTURBS and not cls.of.simplex:
                    raise BenchbedError(f"it scales rows of gates to sum 1, and those of {cls.of.__name__} do not")
                kind.fits(cls.of, others[name], space, objective)
            except BenchbedError as error:
                raise BenchbedError(f"modifier '{name}' does not fit searcher {cls.of.__name__}: {error}") from None
            kind.check(others[name], space, objective)

    @property
    def mask(self) -> Mask:
        """The searcher's own: what a modifier takes away there is gone here."""
        return self.base.mask

    @mask.setter
    def mask(self, value: Mask) -> None:
        self.base.mask = value

    # -- the loop ----------------------------------------------------------------------------------------------------

    def closed(self) -> Decisions | None:
        """The rows that have at most one operation left, where modifiers narrow; None while there are none."""
        fixed = self.mask.sum(1) <= 1
        return Decisions(self.mask.float(), fixed) if self.narrows and bool(fixed.any()) else None

    def arch_steps_due(self, clock: Clock) -> int:
        done = self.narrows and not bool((self.mask.sum(1) > 1).any())
        return 0 if done else self.base.arch_steps_due(clock)

    def arch_step(self, problem: Problem, batch: Batch | None, clock: Clock) -> dict[str, float]:
        self.clock = clock
        for modifier in self.modifiers.values():
            problem = modifier.problem(problem, clock)
        if (decisions := self.closed()) is not None:
            problem = problem._replace(objective=problem.objective.decided(decisions))
        alpha = self.base.alpha if self.narrows and isinstance(self.base, AlphaSearcher) else None
        before = None if alpha is None else alpha.detach().clone()
        logged = self.base.arch_step(problem, batch, clock)
        if alpha is not None and before is not None:  # Adam's momentum and decay would move what is decided
            with torch.no_grad():
                alpha.copy_(torch.where(self.mask & (self.mask.sum(1) > 1)[:, None], alpha, before))
        return logged

    def change_gradient(self, *_: object) -> None:
        """The gradient of alpha, as the modifiers change it; called before the optimiser's step."""
        assert isinstance(self.base, AlphaSearcher)
        for modifier in self.modifiers.values():
            assert self.base.alpha.grad is not None
            self.base.alpha.grad = modifier.alpha_gradient(self.base.alpha.grad, self.clock)

    def weight_gates(self, objective: Objective, batch: Batch | None, clock: Clock) -> Paths:
        gates, decisions = self.base.weight_gates(objective, batch, clock), self.closed()
        if decisions is not None:
            gates, objective = decisions.apply(gates), objective.decided(decisions)
        paths = list(gates.reshape(-1, *gates.shape[-2:]))
        for modifier in self.modifiers.values():
            paths = [modifier.weight_gates(path, objective, batch, clock) for path in paths]
        return torch.stack(paths).reshape(gates.shape)

    def end_epoch(self, objective: Objective, clock: Clock) -> None:
        self.base.end_epoch(objective, clock)
        for modifier in self.modifiers.values():
            modifier.end_epoch(objective, clock)

    def done(self) -> bool:
        return self.base.done() or any(modifier.done() for modifier in self.modifiers.values())

    # -- what it reports -----------------------------------------------------------------------------------------------

    def probabilities(self) -> Rows:
        return self.base.probabilities()

    def strength(self) -> Float[Tensor, " P"]:
        return self.base.strength()

    def sample(self, n: int, generator: torch.Generator | None = None) -> Float[Tensor, "n P O"]:
        return self.base.sample(n, generator)

    def evaluation_gates(
        self, allowed: Mask, mode: EvaluationMode, uniforms: Float[Tensor, "n P"]
    ) -> Float[Tensor, "K P O"]:
        """Nothing flows where the position was dropped, whatever is allowed."""
        if self.narrows:
            allowed = allowed & self.mask.any(1, keepdim=True)
        return self.base.evaluation_gates(allowed, mode, uniforms)

    def progress(self) -> dict[str, Any]:
        found = self.base.progress()
        for modifier in self.modifiers.values():
            found |= modifier.progress()
        return found

    def anytime(self) -> list[tuple[float, float, str]]:
        return self.base.anytime()

    # -- state ---------------------------------------------------------------------------------------------------------

    def _keys(self) -> dict[str, dict[str, str]]:
        """Of each modifier, under which key of the whole state each key of its own stands."""
        taken = {*self.base.state(), *(["mask"] if self.narrows else [])}
        found: dict[str, dict[str, str]] = {}
        for name, modifier in self.modifiers.items():
            found[name] = {key: f"{name}.{key}" if key in taken else key for key in modifier.state()}
            taken |= set(found[name].values())
        return found

    def state(self) -> Tree:
        tree = {**self.base.state(), **({"mask": self.mask.clone()} if self.narrows else {})}
        for name, keys in self._keys().items():
            tree |= {keys[key]: value for key, value in self.modifiers[name].state().items()}
        return tree

    def load_state(self, tree: Tree) -> None:
        found = self._keys()
        theirs = {stands for keys in found.values() for stands in keys.values()} | ({"mask"} if self.narrows else set())
        self.base.load_state({key: value for key, value in tree.items() if key not in theirs})
        if self.narrows:
            self.mask = tree["mask"].clone()
        for name, keys in found.items():
            self.modifiers[name].load_state({key: tree[stands] for key, stands in keys.items()})


@cache
def made_of(searcher: type[Searcher[Any]], modifiers: tuple[tuple[str, type[Modifier[Any]]], ...]) -> type[Modified]:
    """The class of a searcher under modifiers, by name. Raises BenchbedError for modifiers that do not go together."""
    if issubclass(searcher, Modified):
        long = "+".join([_plain(searcher.of), *(name for name, _ in searcher.by)])
        raise BenchbedError(f"searcher {searcher.__name__} has modifiers already: write it as {long}, and add others")
    refuse_pairs(modifiers)
    fields: dict[str, Any] = {name: (kind.Options, Field(default_factory=kind.Options)) for name, kind in modifiers}
    config = ConfigDict(extra="forbid", frozen=True)
    section = create_model("Modifiers", __config__=config, **fields)
    options = create_model("Options", __base__=searcher.Options, modifiers=(section, Field(default_factory=section)))
    name = "+".join([searcher.__name__, *(kind.__name__ for _, kind in modifiers)])
    own = {"of": searcher, "by": modifiers, "Options": options, "arch_first": searcher.arch_first}
    needs = searcher.needs.union(*(kind.needs for _, kind in modifiers))
    suits = {name: kind.suite_options for name, kind in modifiers}
    own |= {"evaluation": searcher.evaluation, "needs": needs, "simplex": searcher.simplex}
    own |= {"suite_options": {**searcher.suite_options, "modifiers": suits}}
    own |= {"__doc__": searcher.__doc__, "__module__": __name__}
    return type(name, (Modified,), own)


def refuse_pairs(modifiers: Sequence[tuple[str, type[Modifier[Any]]]]) -> None:
    """Raises BenchbedError for a modifier that is named twice, and for two of one role."""
    for n, (name, kind) in enumerate(modifiers):
        for other, others in modifiers[:n]:
            if name == other:
                raise BenchbedError(f"modifier '{name}' is named twice: give it once")
            if kind.role and kind.role == others.role:
                raise BenchbedError(
                    f"modifiers '{other}' and '{name}' exclude each other: both are {kind.role}; keep one"
                )


def _plain(searcher: type[Searcher[Any]]) -> str:
    return searcher.__module__.rpartition(".")[2].removeprefix("benchbed_plugin_").replace("_", "-")
