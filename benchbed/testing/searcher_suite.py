"""The contracts of searchers and of modifiers as checks that a plug-in's author can run.

    from benchbed.testing.searcher_suite import check_modifier, check_searcher, quick
    check_searcher(MySearcher, {"alpha_lr": 0.05, "warmup": 0.0})
    check_modifier(MyModifier, [DARTS, GDAS])

A modifier is checked around each searcher that it fits, by the checks of a searcher. Every check takes a class and its
options, runs on toys of known answer, and raises AssertionError with what is wrong. Give options that learn quickly,
such as `quick` finds: a searcher gets 100 epochs of 4 batches, and no warm-up. `CHECKS` lists the checks, to be run one
by one. A searcher that never makes an architecture step is excused from the last two; the others run on a toy without
topology and on one with.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import wraps
from typing import Any

import torch
from pydantic import BaseModel
from torch import Tensor

from ..cost import Cost, Problem, without_cost
from ..errors import BenchbedError
from ..latency.costs import AdditiveCost
from ..latency.penalty import CostOptions, with_cost
from ..modifier import Modified, Modifier, made_of
from ..objective import Batch, Tree
from ..searcher import Clock, Plugin, Searcher
from ..space import Space
from ..streams import Streams
from ..training.search_loop import train_epoch
from ..typed import typed
from .toy_network import ToyNetwork
from .toys import ToyCell, ToySpace, ToyTable, random_table
from .tree import checks_in, difference, require, require_same, through_file

SearcherClass = type[Searcher]
FORGOTTEN = (
    "trains at other gates: what is kept between steps is not all in state() and load_state(), or is drawn "
    "from elsewhere than self.streams"
)
EPOCHS = 100  # of four batches: the budget of the two checks that a searcher learns

# (P, O): the operation without a loss is another column at each position, one that may be selected, since a searcher
# that decides chooses no other; the greatest total loss is 0.75
LOSSES = torch.tensor([[0.25, 0.0, 0.25, 0.0], [0.0, 0.25, 0.0, 0.0], [0.25, 0.25, 0.0, 0.25]])
BEST = (1, 0, 2)
# the cheapest operation of each position is one of the lossy ones
COSTS = torch.tensor([[1.0, 1.0, 0.0, 0.0], [1.0, 0.0, 0.0, 0.0], [0.0, 1.0, 1.0, 1.0]])
CHEAPEST = (2, 1, 0)


def check_searcher(searcher_class: SearcherClass, options: Mapping[str, Any]) -> None:
    """All checks, in order. Raises AssertionError at the first that fails."""
    for check in CHECKS:
        check(searcher_class, options)


# Under these a plug-in learns and decides within a suite's budget. An option means the same wherever it has this name;
# a class says otherwise in `suite_options`.
QUICK: dict[str, Any] = {
    "alpha_init": 1e-3,
    "alpha_lr": 0.05,
    "alpha_weight_decay": 0.0,
    "budget": 150.0,
    "epochs": 2,
    "fidelity": 1,
    "interval": 2,
    "min_epochs": 1,
    "patience": 1,
    "population": 5,
    "warmup": 0.0,
}


def quick(kind: type[Plugin], given: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Options under which a suite runs the class: `QUICK`'s, its own `suite_options` over them, `given` over both."""
    model: type[BaseModel] = kind.Options
    suit = {key: value for key, value in QUICK.items() if key in model.model_fields and _takes(model, key, value)}
    return {**suit, **kind.suite_options, **(given or {})}


def _takes(model: type[BaseModel], key: str, value: object) -> bool:
    try:
        typed(model, {key: value}, "it")
    except BenchbedError as error:
        return f"{key} = " not in str(error)  # another option is missing, which `suite_options` may give
    return True


def around(
    modifier_class: type[Modifier[Any]],
    searchers: Iterable[SearcherClass],
    name: str = "modifier",
    given: Mapping[str, Any] | None = None,
) -> Iterator[type[Modified]]:
    """The modifier, by its name and under these options, around each of the searchers that it says it fits."""
    for searcher_class in searchers:
        options = modifier_class.Options(**(given or {}))
        try:
            for space in (ToySpace(), ToyCell()):
                modifier_class.fits(searcher_class, options, space, None)
        except BenchbedError:
            continue
        yield made_of(searcher_class, ((name, modifier_class),))


def check_modifier(modifier_class: type[Modifier[Any]], searchers: Iterable[SearcherClass]) -> None:
    """All checks around each searcher that it fits, none of them modified already. Raises AssertionError as they do."""
    found = list(around(modifier_class, searchers))
    require(bool(found), f"{modifier_class.__name__} fits none of the searchers")
    for searcher_class in found:
        check_searcher(searcher_class, quick(searcher_class))


def make(
    searcher_class: SearcherClass, options: Mapping[str, Any], seed: int = 0, space: type[Space] = ToySpace
) -> Searcher:
    """A searcher of a toy space."""
    return searcher_class(space(), searcher_class.Options(**options), Streams(seed))


Check = Callable[[SearcherClass, Mapping[str, Any]], None]


def on_each_space(check: Callable[[SearcherClass, Mapping[str, Any], type[Space]], None]) -> Check:
    """The check on the toy space and on the one whose nodes drop inputs."""

    @wraps(check)
    def on_each(searcher_class: SearcherClass, options: Mapping[str, Any]) -> None:
        for space in (ToySpace, ToyCell):
            check(searcher_class, options, space)

    return on_each


class Traced(ToyNetwork):
    """A toy with weights that keeps a trace of the gates at which its weights were trained."""

    def __init__(self, space: type[Space] = ToySpace, seed: int = 0):
        super().__init__(space(), random_table(space(), 3).losses, Streams(seed))
        self.trace: list[Tensor] = []

    def weight_step(self, gates: Tensor, batch: Batch | None) -> Tensor:
        self.trace.append(gates.clone())
        return super().weight_step(gates, batch)


def _search(searcher: Searcher, problem: Problem, epochs: range, total: int) -> None:
    for epoch in epochs:
        train_epoch(problem, searcher, epoch, total)


def _searched(
    searcher_class: SearcherClass, options: Mapping[str, Any], space: type[Space], seed: int = 0
) -> tuple[Searcher, Traced]:
    """A searcher after a short search on a toy whose own seed is fixed, and that toy."""
    searcher, objective = make(searcher_class, options, seed, space), Traced(space)
    _search(searcher, without_cost(objective), range(3), 6)
    return searcher, objective


def _everything(searcher: Searcher) -> Tree:
    return {"searcher": searcher.state(), "streams": searcher.streams.state()}


# -- probabilities and draws -----------------------------------------------------------------------------------------


@on_each_space
def check_probabilities(searcher_class: SearcherClass, options: Mapping[str, Any], space: type[Space]) -> None:
    """A distribution on the mask and exactly zero on the padding, before and after a search."""
    for searcher in (make(searcher_class, options, 0, space), _searched(searcher_class, options, space)[0]):
        p = searcher.probabilities()
        require(p.shape == searcher.mask.shape, f"probabilities have shape {tuple(p.shape)}")
        require(p.dtype == torch.float32, f"probabilities are {p.dtype}, not float32")
        require(not p.requires_grad, "probabilities carry a graph: detach them")
        require(bool((p[~torch.from_numpy(searcher.space.mask)] == 0).all()), f"padding has probability: {p.tolist()}")
        require(bool((p >= 0).all()), f"negative probabilities: {p.tolist()}")
        sums = p.double().sum(1)
        fine = ((sums - 1).abs() < 1e-5) | ((sums == 0) & _droppable(searcher.space))
        require(bool(fine.all()), f"rows of the probabilities sum to {sums.tolist()}")
        require_same(p, searcher.probabilities(), "two calls of probabilities differ")


@on_each_space
def check_samples(searcher_class: SearcherClass, options: Mapping[str, Any], space: type[Space]) -> None:
    """Samples are one-hot on the mask, at the frequencies of the probabilities, from the generator that is given."""
    searcher, _ = _searched(searcher_class, options, space)
    before, n = _everything(searcher), 4000
    drawn = searcher.sample(n, torch.Generator().manual_seed(1))
    require_same(before, _everything(searcher), "sample(n, generator) changed the searcher or its streams")
    require(drawn.shape == (n, *searcher.mask.shape), f"sample({n}) has shape {tuple(drawn.shape)}")
    _require_one_hot(drawn, torch.from_numpy(searcher.space.mask), searcher, "samples")
    again = searcher.sample(n, torch.Generator().manual_seed(1))
    require_same(drawn, again, "two samples from equal generators differ")
    p = searcher.probabilities().double()
    certain = bool(((p == 0) | (p == 1)).all())  # an incumbent: every draw is the same
    own = searcher.sample(n)
    require(certain or not torch.equal(drawn, own), "the searcher's own stream gives a foreign generator's draws")
    deviations = (drawn.double().mean(0) - p).abs() / (p * (1 - p) / n).sqrt().clamp_min(1 / n)
    require(bool(deviations.max() < 5), f"frequencies are up to {float(deviations.max()):.1f} standard errors from p")


@on_each_space
def check_evaluation_gates(searcher_class: SearcherClass, options: Mapping[str, Any], space: type[Space]) -> None:
    """mixture: p without the forbidden entries, not renormalised; sampled: allowed paths, common random numbers."""
    searcher, _ = _searched(searcher_class, options, space)
    require(searcher.evaluation in ("mixture", "sampled"), f"evaluation is '{searcher.evaluation}'")
    before, uniforms = _everything(searcher), torch.rand(200, len(searcher.mask), generator=torch.Generator())
    everything = torch.from_numpy(searcher.space.mask)
    allowed = everything.clone()
    allowed[2, 1] = False
    mixture = searcher.evaluation_gates(allowed, "mixture", uniforms)
    gates = searcher.probabilities() * searcher.strength()[:, None]
    require_same(mixture, (gates * allowed)[None], "mixture is not (1, P, O) of p times strength on `allowed`")
    drawn = searcher.evaluation_gates(allowed, "sampled", uniforms)
    require(drawn.shape == (200, *allowed.shape), f"sampled gates have shape {tuple(drawn.shape)}")
    _require_one_hot(drawn, allowed, searcher, "sampled evaluation gates")
    full = searcher.evaluation_gates(everything, "sampled", uniforms)
    require_same(drawn[:, :2], full[:, :2], "two masks draw differently on the rows that they share")
    require_same(before, _everything(searcher), "evaluation_gates changed the searcher or its streams")


def _require_one_hot(gates: Tensor, allowed: Tensor, searcher: Searcher, what: str) -> None:
    """One-hot rows on `allowed`; zero rows exactly where the searcher has dropped a position that may be dropped."""
    require(gates.dtype == torch.float32, f"{what} are {gates.dtype}, not float32")
    dropped = _droppable(searcher.space) & (searcher.probabilities().sum(1) == 0)
    one_hot = ((gates == 0) | (gates == 1)).all() and (gates.sum(-1) == (~dropped).float()).all()
    require(bool(one_hot), f"{what} are not one-hot")
    require(bool((gates[..., ~allowed] == 0).all()), f"{what} choose entries that are padding or not allowed")


def _droppable(space: Space) -> Tensor:
    return torch.tensor([position.droppable for position in space.positions])


# -- state and seeds -------------------------------------------------------------------------------------------------


@on_each_space
def check_state(searcher_class: SearcherClass, options: Mapping[str, Any], space: type[Space]) -> None:
    """The state goes through a file with weights_only=True, and the search continues from it bit for bit."""
    searcher, objective = _searched(searcher_class, options, space)
    held, saved = searcher.state(), _saved(searcher, objective)
    require_same(held, saved["searcher"], "the state is not what its file gives back")
    objective.trace.clear()
    _search(searcher, without_cost(objective), range(3, 6), 6)
    require_same(held, saved["searcher"], "a state that was taken changes as the search goes on: copy it")
    for _ in range(2):  # twice: a restored searcher must not go on in the tree that it was restored from
        other, elsewhere = _restored(searcher_class, options, space, saved)
        require_same(held, other.state(), "what is restored is not what was saved")
        _search(other, without_cost(elsewhere), range(3, 6), 6)
        require_same(objective.trace, elsewhere.trace, f"a search that goes on from its state {FORGOTTEN}")
        require_same(_everything(searcher), _everything(other), "the continued search ends elsewhere")


@on_each_space
def check_weights_alone(searcher_class: SearcherClass, options: Mapping[str, Any], space: type[Space]) -> None:
    """Weights that are tuned while alpha rests go on from a restored state as from the search that made it."""
    searcher, objective = _searched(searcher_class, options, space)
    other, elsewhere = _restored(searcher_class, options, space, _saved(searcher, objective))
    objective.trace.clear()
    for one, on in ((searcher, objective), (other, elsewhere)):
        train_epoch(without_cost(on), one, 2, 6, train_alpha=False, tuning=True)
    require_same(objective.trace, elsewhere.trace, "weight_gates draws otherwise once the state was restored and alpha "
                 "rests: what it needs belongs into state(), or follows from the clock")  # fmt: skip


def _saved(searcher: Searcher, objective: Traced) -> Tree:
    """Everything of both, as a file gives it back."""
    world = {"objective": objective.state(), "streams": objective.streams.state()}
    return through_file({**_everything(searcher), "world": world})


def _restored(
    searcher_class: SearcherClass, options: Mapping[str, Any], space: type[Space], saved: Tree
) -> tuple[Searcher, Traced]:
    """A searcher of another seed and a toy that take over what was saved."""
    other, elsewhere = make(searcher_class, options, 1, space), Traced(space)
    other.load_state(saved["searcher"])
    other.streams.load_state(saved["streams"])
    elsewhere.load_state(saved["world"]["objective"])
    elsewhere.streams.load_state(saved["world"]["streams"])
    return other, elsewhere


@on_each_space
def check_seeds(searcher_class: SearcherClass, options: Mapping[str, Any], space: type[Space]) -> None:
    """One seed gives one search; another seed another (give options under which the searcher draws at all)."""
    runs = [_searched(searcher_class, options, space, seed) for seed in (0, 0, 1)]
    found = [(objective.trace, _everything(searcher)["searcher"]) for searcher, objective in runs]
    require_same(found[0], found[1], "two searches of one seed differ")
    require(difference(found[0], found[2]) is not None, "another seed gives the same search")


# -- who moves what --------------------------------------------------------------------------------------------------


@on_each_space
def check_steps_move_their_own(searcher_class: SearcherClass, options: Mapping[str, Any], space: type[Space]) -> None:
    """weight_gates gives detached gates and moves no alpha; arch_step moves no weight; neither draws globally."""
    searcher, objective = make(searcher_class, options, 0, space), Traced(space)
    problem, dice = without_cost(objective), torch.get_rng_state()
    apart: Tree = {"cursors": {}, "frozen": None}  # batches may be drawn and operations frozen
    for step in range(8):
        clock, batch = Clock(step // 4, step % 4, 2, 4), objective.batch("train")
        p, weights = searcher.probabilities(), through_file(dict(objective.state(), **apart))
        gates = searcher.weight_gates(objective, batch, clock)
        require_same(p, searcher.probabilities(), "weight_gates moved the probabilities")
        _require_gates(gates, torch.from_numpy(searcher.space.mask))
        for _ in range(searcher.arch_steps_due(clock)):
            logged = searcher.arch_step(problem, batch, clock)
            require(all(isinstance(v, float) for v in logged.values()), f"arch_step logs other than floats: {logged}")
        now = dict(objective.state(), **apart)
        require_same(weights, now, "weight_gates or arch_step changed the weights or their optimiser")
        objective.weight_step(gates, batch)
    require(torch.equal(dice, torch.get_rng_state()), "torch's global generator was used: draw from the streams")


def _require_gates(gates: Tensor, mask: Tensor) -> None:
    fits = gates.shape[-2:] == mask.shape and gates.dim() <= 3  # one set of gates, or several
    require(fits, f"weight_gates has shape {tuple(gates.shape)}, not {tuple(mask.shape)}")
    require(gates.dtype == torch.float32 and gates.device.type == "cpu", "weight_gates is not float32 on the CPU")
    require(not gates.requires_grad, "weight_gates carries a graph: detach it")
    require(bool(gates.isfinite().all()), f"weight_gates is not finite: {gates.tolist()}")
    require(bool((gates[~mask] == 0).all()), f"weight_gates lets padding flow: {gates.tolist()}")


@on_each_space
def check_what_is_gone_stays_gone(
    searcher_class: SearcherClass, options: Mapping[str, Any], space: type[Space]
) -> None:
    """Weights train on nothing that the mask has lost, at one-hot rows where it has one operation left."""
    searcher, objective = make(searcher_class, options, 0, space), Traced(space)
    for epoch in range(6):
        mask = searcher.mask.clone()
        objective.trace.clear()
        _search(searcher, without_cost(objective), range(epoch, epoch + 1), 6)
        require(not bool((searcher.mask & ~mask).any()), "an operation came back to the mask")
        for gates in (path for step in objective.trace for path in step.reshape(-1, *mask.shape)):
            require(bool((gates[~mask] == 0).all()), f"weight_gates lets flow what the mask has lost: {gates.tolist()}")
            decided = mask.sum(1) == 1
            require(bool((gates[decided] == mask[decided].float()).all()), f"decided rows flow by {gates.tolist()}")


# -- learning --------------------------------------------------------------------------------------------------------


def _learned(searcher_class: SearcherClass, options: Mapping[str, Any], problem: Problem) -> Tensor | None:
    """The probabilities after the budget; None where the searcher makes no architecture step at all."""
    searcher = make(searcher_class, options)
    clocks = [Clock(e, s, EPOCHS, 4) for e in range(EPOCHS) for s in range(4)]
    if not any(searcher.arch_steps_due(clock) for clock in clocks):
        return None
    _search(searcher, problem, range(EPOCHS), EPOCHS)
    return searcher.probabilities()


class Relative(ToyTable):
    """Knows shares alone, as what a batch norm follows does: to turn all gates of a position down changes nothing."""

    def value(self, gates: Tensor) -> Tensor:
        return super().value(gates / gates.sum(1, keepdim=True).clamp_min(1e-9))


def _objective(searcher_class: SearcherClass) -> ToyTable:
    """The additive toy; with weights, of little effect on the loss, for a searcher that needs some.

    For one whose rows of gates need not sum to 1, of their shares: an additive loss would be least where nothing flows.
    """
    missing = searcher_class.needs - ToyNetwork.provides
    require(not missing, f"the toys have no {', '.join(missing)}")
    table = ToyTable.of_costs(ToySpace(), LOSSES)
    if getattr(searcher_class, "of", searcher_class).strength is not Searcher.strength:
        table = Relative(table.space, table.losses)
    weighted = "weights" in searcher_class.needs
    return ToyNetwork(table.space, table.losses, Streams(0), share=0.01) if weighted else table


def check_better_operation_wins(searcher_class: SearcherClass, options: Mapping[str, Any]) -> None:
    """Where one operation a position is clearly better, a searcher that learns gives it more than 0.9."""
    p = _learned(searcher_class, options, without_cost(_objective(searcher_class)))
    for i, k in enumerate(BEST if p is not None else ()):
        require(p is not None and float(p[i, k]) > 0.9, f"position {i}: operation {k} has no loss, but p = {p}")


def check_cheapest_wins(searcher_class: SearcherClass, options: Mapping[str, Any]) -> None:
    """Under a cost of great weight a searcher that learns ends at the cheapest operations, against their loss."""
    require_cheapest(searcher_class, options, AdditiveCost(ToySpace(), 1.0, COSTS.numpy(), "toy", "ms"))


def require_cheapest(searcher_class: SearcherClass, options: Mapping[str, Any], cost: Cost) -> None:
    """`check_cheapest_wins` with a cost whose cheapest operations are those of `COSTS`.

    The cost goes through `with_cost`, as in a run: one whose gradient is cut fails here.
    """
    heavy = CostOptions.model_validate({"table": "toy", "target": 2.0, "weight": 4.0, "reward_exponent": 4.0})
    p = _learned(searcher_class, options, with_cost(_objective(searcher_class), cost, heavy))
    for i, k in enumerate(CHEAPEST if p is not None else ()):
        require(
            p is not None and int(p[i].argmax()) == k and float(p[i, k]) > 0.5,
            f"position {i}: operation {k} is by far the cheapest, but p = {p}: is the cost ignored?",
        )


CHECKS: tuple[Check, ...] = checks_in(globals(), "check_searcher", "check_modifier")
