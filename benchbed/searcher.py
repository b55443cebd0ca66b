"""The contract of a searcher: it owns the architecture parameters and their optimiser, and nothing else.

A searcher is driven by the loop (`training/search_loop.py`), once per training batch: it says how many architecture
steps are due, which gates the next weight step uses, and makes its architecture steps on the problem that it is given.
It reports probabilities, draws samples, and gives the gates at which its weights may be measured. It never sees test
data, a cost or a selector's decisions.

Gates and probabilities are float32 on the CPU, (P, O), zero on the space's padding. All randomness comes from the
streams handed over at construction; `state` and `load_state` continue a searcher bit for bit.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from copy import deepcopy
from typing import Any, ClassVar, Generic, Literal, NamedTuple, get_args

import torch
from jaxtyping import Float
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor
from typing_extensions import TypeVar

from .cost import Problem
from .objective import Batch, Keep, Mask, Objective, Paths, Rows, Scalar, Tree
from .space import Space
from .streams import Streams

EvaluationMode = Literal["mixture", "sampled"]


class Clock(NamedTuple):
    """Where the loop is: `step` of `steps_per_epoch` in `epoch` of `epochs`, all counted from 0."""

    epoch: int
    step: int
    epochs: int
    steps_per_epoch: int

    def linear(self, start: float, end: float) -> float:
        """From `start` in the first epoch to `end` in the last."""
        return float(start + (end - start) * self.epoch / max(self.epochs - 1, 1))

    def due(self, every: int, warmup: float) -> int:
        """1 at the last of every `every` batches of an epoch, or of the fewer that it has, once the warm-up is over."""
        if self.epoch < round(warmup * self.epochs):
            return 0
        every = min(every, self.steps_per_epoch)
        return int(self.step % every == every - 1)


class Options(BaseModel):
    """Base of every plug-in's options: typed, frozen, unknown keys refused."""

    model_config = ConfigDict(extra="forbid", frozen=True)


OptionsT = TypeVar("OptionsT", bound=BaseModel, default=Any)


class Plugin(ABC, Generic[OptionsT]):
    """What searchers, selectors and modifiers share: typed options, what they need, and one check of whether they fit.

    `class Mine(Searcher[MyOptions])` has `Mine.Options` = MyOptions, and its `self.options` is one; without a
    parameter it has the options of its base; `Options = ...` in the class says it too. `needs`: of 'weights',
    'operations', 'layers', 'splits', 'network', 'images', 'fidelity', what an objective must provide.
    `suite_options`: those under which `benchbed check` runs it, where testing.checks.QUICK does not suit.
    """

    Options: ClassVar[type[BaseModel]] = Options
    needs: ClassVar[frozenset[str]] = frozenset()
    suite_options: ClassVar[Mapping[str, Any]] = {}

    def __init_subclass__(cls, **kwargs: object) -> None:
        super().__init_subclass__(**kwargs)
        given = [a for base in vars(cls).get("__orig_bases__", ()) for a in get_args(base)]
        given = [a.__bound__ if isinstance(a, TypeVar) else a for a in given]
        models = [a for a in given if isinstance(a, type) and issubclass(a, BaseModel) and a is not BaseModel]
        if models and "Options" not in vars(cls):
            cls.Options = models[0]

    @classmethod
    def needed(cls, options: OptionsT) -> frozenset[str]:
        """What the objective must provide under these options. Default: `needs`, whatever they are."""
        return cls.needs

    @classmethod
    def check(cls, options: OptionsT, space: Space, objective: Objective | None) -> None:
        """Raises BenchbedError, one line, where the options do not fit the space or the objective. Default: they do.

        Called before anything is trained: first without an objective, unless that is a table, which is known at once;
        then, before the search is begun, with the objective that it will run on.
        """
        return None


class Searcher(Plugin[OptionsT]):
    """Base of every searcher.

    `mask` (P, O) is True where an operation may have probability: the space's, or less where a searcher has decided.
    What it runs with beside its options' defaults stands in benchbed/protocols/. `evaluation` is the mode in which the
    searcher's weights are measured where a selector does not say otherwise: at the mixture of its probabilities, or
    on paths sampled from them.
    """

    evaluation: EvaluationMode = "mixture"
    arch_first: ClassVar[bool] = True  # architecture steps before the weight step of the same batch (DARTS' order)
    simplex: ClassVar[bool] = True  # whether the rows of its gates for weight steps sum to 1

    def __init__(self, space: Space, options: OptionsT, streams: Streams):
        self.space, self.options, self.streams = space, options, streams
        self.mask = torch.from_numpy(space.mask)

    def arch_steps_due(self, clock: Clock) -> int:
        """How many architecture steps to make at this batch. Default: one."""
        return 1

    @abstractmethod
    def weight_gates(self, objective: Objective, batch: Batch | None, clock: Clock) -> Paths:
        """Detached gates for the next weight step, on the training batch that it will see; or several sets of gates,
        (K, P, O), whose gradients that one step adds up.

        Never called where the objective is a table, which has no weights: a schedule of alpha's belongs in `arch_step`.
        Where a selector tunes weights alone no `arch_step` comes before: a schedule of draws follows from `clock` here.
        """

    @abstractmethod
    def arch_step(self, problem: Problem, batch: Batch | None, clock: Clock) -> dict[str, float]:
        """One architecture step; `batch` is the training batch. Returns what to log, the loss under 'loss'."""

    @abstractmethod
    def probabilities(self) -> Rows:
        """Rows sum to 1 over the mask and are 0 on the padding; all 0 where the searcher has dropped a position."""

    def strength(self) -> Float[Tensor, " P"]:
        """How much of each position flows: its row of the probabilities times this is its row of gates. Default: ones.

        Of a searcher whose rows of gates need not sum to 1. Where a node drops inputs, gates are compared.
        """
        return torch.ones(len(self.mask))

    def end_epoch(self, objective: Objective, clock: Clock) -> None:
        """After the last step of an epoch of the search, `clock` at that step; not of tuning. Default: nothing.

        For what is decided between epochs (SGAS). It may measure on `objective` and split it, and changes nothing else
        there.
        """
        return None

    def done(self) -> bool:
        """Asked after every epoch of the search: whether it is over before its last epoch (RobustDARTS). Default: no.

        It follows from what `state` holds.
        """
        return False

    def progress(self) -> dict[str, Any]:
        """What an epoch's line of the history says of this searcher alone. Default: nothing."""
        return {}

    def anytime(self) -> list[tuple[float, float, str]]:
        """(simulated seconds, validation accuracy, architecture) of each new incumbent, for the record.

        Default: none. The seconds of a search that shares weights are those of its history's lines.
        """
        return []

    @abstractmethod
    def state(self) -> Tree: ...

    @abstractmethod
    def load_state(self, tree: Tree) -> None: ...

    def sample(self, n: int, generator: torch.Generator | None = None) -> Float[Tensor, "n P O"]:
        """n one-hot draws from the searcher's own stream unless a generator is given.

        Positions are independent, but where a searcher draws them together (ENAS).
        """
        generator = self.streams.generator("gates") if generator is None else generator
        return one_hot_draws(self.probabilities(), torch.rand(n, len(self.mask), generator=generator))

    def evaluation_gates(
        self, allowed: Mask, mode: EvaluationMode, uniforms: Float[Tensor, "n P"]
    ) -> Float[Tensor, "K P O"]:
        """The gates at which shared weights are measured when only `allowed` entries may flow.

        mixture: one set of gates, the probabilities times `strength` with the other entries set to zero and not
        renormalised (DARTS-PT). sampled: n one-hot paths, by inverse transform of `uniforms` (in [0, 1)) on the
        renormalised rows, so that two masks measured with the same uniforms share their draws on every row that they
        share.
        """
        kept = self.probabilities() * allowed
        if mode == "mixture":
            return (kept * self.strength()[:, None])[None]
        return one_hot_draws(renormalised(kept, allowed), uniforms)


def renormalised(kept: Rows, allowed: Mask) -> Rows:
    """Rows of `kept` scaled to sum 1; a row without any mass is uniform over what is allowed, zero if nothing is."""
    mass = kept.sum(1, keepdim=True)
    uniform = allowed / allowed.sum(1, keepdim=True).clamp_min(1)
    return torch.where(mass > 0, kept / mass.clamp_min(torch.finfo(kept.dtype).tiny), uniform)


def one_hot_draws(p: Rows, uniforms: Float[Tensor, "n P"]) -> Float[Tensor, "n P O"]:
    """One-hot rows by inverse transform: entry k of row i is drawn where the uniform falls into its share of [0, 1).

    Rows need not sum to 1. A row of zeros stays zero: nothing flows there.
    """
    edges = p.double().cumsum(1)
    total = edges[:, -1:]
    edges = edges / torch.where(total > 0, total, 1.0)
    chosen = (uniforms.double()[:, :, None] >= edges).sum(2)
    # rounding may leave a uniform beyond the last edge: the last entry with any probability takes it
    last = p.shape[1] - 1 - (p.flip(1) > 0).int().argmax(1)
    return torch.nn.functional.one_hot(torch.minimum(chosen, last), p.shape[1]) * (total > 0).float()


def masked_softmax(alpha: Rows, mask: Mask) -> Rows:
    """The softmax of each row over its mask; exactly 0 outside it, and everywhere in a row without a mask."""
    flowing = mask.any(-1, keepdim=True)
    p = alpha.masked_fill(~mask & flowing, -torch.inf).softmax(-1)
    return p if bool(flowing.all()) else p * flowing


class AlphaOptions(Options):
    """Adam on alpha."""

    alpha_lr: float = Field(3e-4, gt=0, description="Adam's learning rate of alpha")
    alpha_beta1: float = Field(0.5, ge=0, lt=1, description="Adam's first beta")
    alpha_beta2: float = Field(0.999, ge=0, lt=1, description="Adam's second beta")
    alpha_weight_decay: float = Field(1e-3, ge=0, description="L2 on alpha, through Adam")
    alpha_init: float = Field(1e-3, ge=0, description="standard deviation of alpha at the start; 0 is exactly uniform")


AlphaOptionsT = TypeVar("AlphaOptionsT", bound=AlphaOptions, default=AlphaOptions)


class AlphaSearcher(Searcher[AlphaOptionsT]):
    """A searcher that learns alpha (P, O) by Adam.

    Its probabilities are the softmax of each row; one that has others of alpha says so in `distribution`.
    """

    def __init__(self, space: Space, options: AlphaOptionsT, streams: Streams):
        super().__init__(space, options, streams)
        start = torch.randn(self.mask.shape, generator=streams.generator("alpha")) * options.alpha_init
        self.alpha = start.masked_fill(~self.mask, 0.0).requires_grad_()
        self.optimiser: torch.optim.Optimizer = torch.optim.Adam(
            [self.alpha],
            lr=options.alpha_lr,
            betas=(options.alpha_beta1, options.alpha_beta2),
            weight_decay=options.alpha_weight_decay,
        )

    def distribution(self) -> Rows:
        """The probabilities, differentiable in alpha."""
        return masked_softmax(self.alpha, self.mask)

    def probabilities(self) -> Rows:
        with torch.no_grad():
            return self.distribution()

    def state(self) -> Tree:
        return {"alpha": self.alpha.detach().clone(), "optimiser": deepcopy(self.optimiser.state_dict())}

    def load_state(self, tree: Tree) -> None:
        with torch.no_grad():
            self.alpha.copy_(tree["alpha"])
        self.optimiser.load_state_dict(deepcopy(tree["optimiser"]))  # torch keeps the very tensors it is given


class GradientSearcher(AlphaSearcher[AlphaOptionsT]):
    """Descends an estimate of dL/dalpha.

    A subclass says at which gates the loss is differentiated, for which entries, and through which probabilities
    the gates' gradient reaches alpha (`arch_gates`). The step is then the same for all: with G = dL/dgates,
    alpha.grad is the vector-Jacobian product of those probabilities with G, plus the cost's own gradient.
    """

    @property
    def keep(self) -> Keep:
        """What the gate gradient holds of operations that do not flow. Default: their outputs."""
        return "outputs"

    def paid_gates(self, p: Rows) -> Rows:
        """What the cost is of, differentiable in alpha. Default: the probabilities of the step, p."""
        return p

    def own_loss(self) -> Scalar | None:
        """What the searcher itself adds to the loss that alpha descends, differentiable in alpha. Default: nothing."""
        return None

    @abstractmethod
    def arch_gates(self) -> tuple[Rows, Mask, Rows]:
        """(gates, need, p): where to differentiate, which entries are needed, and p, differentiable in alpha."""

    def arch_step(self, problem: Problem, batch: Batch | None, clock: Clock) -> dict[str, float]:
        valid = problem.objective.batch("valid")
        gates, need, p = self.arch_gates()
        loss, gradient = problem.objective.gate_gradient(gates, valid, need, self.keep)
        self.alpha.grad = arch_gradient(problem, self.alpha, loss, gradient, p, self.paid_gates(p))
        if (own := self.own_loss()) is not None:
            self.alpha.grad += torch.autograd.grad(own, self.alpha)[0]
        self.optimiser.step()
        return {"loss": float(loss)}


def arch_gradient(
    problem: Problem, alpha: Tensor, loss: Scalar, gradient: Rows, p: Rows, paid: Rows | None = None
) -> Tensor:
    """d penalise(L, paid)/dalpha, with dL/dp replaced by the gates' gradient (ProxylessNAS, equation 4).

    For a softmax row this is p_i (G_i - sum_j p_j G_j); the cost's part is exact. alpha: what is learned, shaped as it
    is. paid: what the cost is of; None: p.
    """
    paid = p if paid is None else paid
    value, q = loss.detach().float().requires_grad_(), paid.detach().requires_grad_()
    with torch.enable_grad():
        total = problem.penalise(value, q)
    by_loss, by_cost = torch.autograd.grad(total, (value, q), allow_unused=True)
    outputs, cotangents = [p], [gradient if by_loss is None else by_loss * gradient]
    if by_cost is not None:
        outputs, cotangents = [p, paid], [*cotangents, by_cost]
    result: Tensor
    (result,) = torch.autograd.grad(outputs, alpha, cotangents)
    return result
