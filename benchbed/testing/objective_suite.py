"""The contract of an objective as checks that its author can run.

    from benchbed.testing.objective_suite import check_objective
    check_objective(lambda: (MyObjective(space, ..., streams), streams))

`make` builds the objective anew, the same each time, and hands over the streams that it draws from. Each check
raises AssertionError with what is wrong; `CHECKS` lists them, to be run one by one. Comparisons of gradients allow
for float32.
"""

from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor

from ..objective import Batch, Decisions, Objective, Tree, View
from ..searcher import masked_softmax, one_hot_draws
from ..streams import Streams
from .tree import checks_in, difference, require, require_same, through_file

Make = Callable[[], tuple[Objective, Streams]]
SPLITS: tuple[Literal["train"], Literal["valid"]] = ("train", "valid")


def check_objective(make: Make) -> None:
    """All checks, in order. Raises AssertionError at the first that fails."""
    for check in CHECKS:
        check(make)


def dense_gates(objective: Objective, seed: int = 0) -> Tensor:
    """Gates (P, O) at which every operation flows, rows summing to 1."""
    mask = torch.from_numpy(objective.space.mask)
    return masked_softmax(torch.randn(mask.shape, generator=torch.Generator().manual_seed(seed)), mask)


def one_hot_gates(objective: Objective, seed: int = 0) -> Tensor:
    """Gates (P, O) of one random path."""
    mask = torch.from_numpy(objective.space.mask)
    uniforms = torch.rand(1, len(mask), generator=torch.Generator().manual_seed(seed))
    return one_hot_draws(mask / mask.sum(1, keepdim=True), uniforms)[0]


def _trained(make: Make) -> tuple[Objective, Streams]:
    """An objective whose weights have momentum: two dense steps, two one-path steps."""
    objective, streams = make()
    for seed in range(4):
        gates = (dense_gates if seed < 2 else one_hot_gates)(objective, seed)
        objective.weight_step(gates, objective.batch("train"))
    return objective, streams


def _everything(objective: Objective, streams: Streams) -> Tree:
    return {"objective": objective.state(), "streams": streams.state(), "dice": torch.get_rng_state()}


def _require_close(a: Tensor, b: Tensor, text: str) -> None:
    scale, worst = float(b.abs().max()), float((a - b).abs().max())
    require(worst <= 2e-4 * scale + 1e-6, f"{text}: off by {worst:.2e} where the greatest entry is {scale:.2e}")


def _autograd(objective: Objective, gates: Tensor, batch: Batch | None) -> tuple[Tensor, Tensor]:
    point = gates.clone().requires_grad_()
    loss = objective.loss(point, batch)
    (gradient,) = torch.autograd.grad(loss, point)
    return loss.detach().cpu(), gradient.cpu()


# -- gradients -------------------------------------------------------------------------------------------------------


def check_gate_gradient(make: Make) -> None:
    """The loss, and autograd's gradient of it, at gates that all flow and at one path (where most do not)."""
    objective, _ = _trained(make)
    mask, batch = torch.from_numpy(objective.space.mask), objective.batch("valid")
    for gates in (dense_gates(objective), one_hot_gates(objective), one_hot_gates(objective, 5)):
        loss, gradient = objective.gate_gradient(gates, batch)
        expected_loss, expected = _autograd(objective, gates, batch)
        require(gradient.shape == mask.shape, f"the gradient has shape {tuple(gradient.shape)}")
        require(gradient.dtype == torch.float32 and gradient.device.type == "cpu", "not float32 on the CPU")
        require(not gradient.requires_grad and not loss.requires_grad, "loss or gradient carry a graph")
        require(bool((gradient[~mask] == 0).all()), "padding has a gradient")
        _require_close(loss, expected_loss, "gate_gradient's loss is not loss()")
        _require_close(gradient, expected, "the gradient is not autograd's of loss()")
        require(bool((expected != 0).any()), "the loss does not depend on the gates")
        same, frugal = objective.gate_gradient(gates, batch, keep="nothing")
        _require_close(same, loss, "the loss depends on what is kept")
        _require_close(frugal, gradient, "the gradient depends on what is kept")


def check_need(make: Make) -> None:
    """Entries that are not needed are exactly zero; those that are do not depend on which others are."""
    objective, _ = _trained(make)
    mask, batch = torch.from_numpy(objective.space.mask), objective.batch("valid")
    some = mask & (torch.rand(mask.shape, generator=torch.Generator().manual_seed(2)) < 0.5)
    for gates in (dense_gates(objective), one_hot_gates(objective)):
        _, everything = objective.gate_gradient(gates, batch)
        for need in (some, mask & ~some, torch.zeros_like(mask)):
            loss, gradient = objective.gate_gradient(gates, batch, need)
            require(bool((gradient[~need] == 0).all()), "an entry outside `need` has a gradient")
            _require_close(gradient, everything * need, "the gradient depends on what else is needed")
            require(bool(loss.isfinite()), "the loss is not finite")


def check_looking_changes_nothing(make: Make) -> None:
    """loss, gate_gradient, measure and lookahead leave weights, state, streams and torch's generator untouched."""
    objective, streams = _trained(make)
    train, valid = objective.batch("train"), objective.batch("valid")
    dense, path = dense_gates(objective), one_hot_gates(objective)
    mask = torch.from_numpy(objective.space.mask)
    looks: dict[str, Callable[[], object]] = {
        "loss": lambda: objective.loss(dense.clone().requires_grad_(), valid),
        "gate_gradient": lambda: [objective.gate_gradient(g, valid, n) for g in (dense, path) for n in (None, ~mask)],
        "gate_gradient that keeps nothing": lambda: [objective.gate_gradient(path, valid, keep="nothing")],
        "measure": lambda: objective.measure(torch.stack([dense, path])),
        "measure of a batch": lambda: objective.measure(path, valid),
        "lookahead": lambda: objective.lookahead(dense, train),
    }
    for name, look in looks.items():
        before = through_file(_everything(objective, streams))
        look()
        require_same(before, _everything(objective, streams), f"{name} changed the objective or a generator")


def check_measure(make: Make) -> None:
    """One loss and accuracy per set of gates, in the shape of the leading dimensions; each as if measured alone."""
    objective, _ = _trained(make)
    gates = torch.stack([one_hot_gates(objective, seed) for seed in range(4)]).reshape(
        2, 2, *dense_gates(objective).shape
    )
    for batch in (None, objective.batch("valid")):
        together = objective.measure(gates, batch)
        require(together.loss.shape == together.accuracy.shape == (2, 2), f"shape {tuple(together.loss.shape)}")
        alone = objective.measure(gates[1, 0], batch)
        _require_close(together.loss[1, 0], alone.loss, "the loss of gates depends on what is measured beside them")
        _require_close(together.accuracy[1, 0], alone.accuracy, "the accuracy depends on what is measured beside")
        if batch is not None:
            _require_close(alone.loss, objective.loss(gates[1, 0], batch).detach().cpu(), "measure is not loss()")


def check_views(make: Make) -> None:
    """An objective with images: a view is repeatable, its parts make up its whole, and it changes nothing else.

    Statistics that are held are those of the gates that they are said to be of, whatever else is measured beside.
    """
    objective, streams = _trained(make)
    if "images" not in objective.provides:
        return
    dense, path = dense_gates(objective), one_hot_gates(objective)
    both, plain = torch.stack([dense, path]), objective.measure(torch.stack([dense, path]))
    before = through_file(_everything(objective, streams))
    views = [
        View(norm, dense, augmentation) for norm in ("batch", "eval", "recalibrated") for augmentation in (None, 5)
    ]
    for view in views:
        seen = objective.seen(view)
        found = seen.measure(both)
        require_same(list(found), list(objective.seen(view).measure(both)), f"two looks by {view.norm} differ")
        parts = [seen.outcomes(both, k) for k in reversed(range(seen.parts))]
        _require_close(torch.cat([p.loss for p in parts], -1).mean(-1), found.loss, "the parts are not the whole")
        require(bool(found.loss.isfinite().all()), f"the loss by {view.norm} is not finite")
    require_same(before, _everything(objective, streams), "a view changed the objective or a generator")
    require_same(list(plain), list(objective.measure(both)), "a view changed what is measured without it")
    own = [objective.seen(View("recalibrated")).measure(g).loss for g in both]
    for gates, loss in zip(both, own, strict=True):
        there = objective.seen(View("eval", gates)).measure(gates).loss
        _require_close(there, loss, "statistics held for some gates are not theirs")
    decisions = Decisions.none(objective.space).decide(0, 1)
    decided = objective.decided(decisions).seen(View("eval", dense)).measure(dense)
    applied = decisions.apply(dense)
    require_same(list(decided), list(objective.seen(View("eval", applied)).measure(applied)), "decisions are ignored")


# -- weights ---------------------------------------------------------------------------------------------------------


def check_weight_step(make: Make) -> None:
    """A step at one path changes what ran and nothing else: no decay and no momentum for a candidate that did not.

    What ran is found from outside: moving its weights moves the loss, or it has a gradient that is not exactly zero (a
    bias that a later batch norm takes away again moves nothing, and has one of rounding errors).
    """
    objective, _ = _trained(make)
    gates, batch = one_hot_gates(objective, 7), objective.batch("train")
    before = {name: w.detach().clone() for name, w in objective.weights().items()}
    at_rest = objective.loss(gates, batch)
    ran: set[str] = set()
    if before:
        found = torch.autograd.grad(at_rest, list(objective.weights().values()), allow_unused=True)
        ran = {name for name, g in zip(before, found, strict=True) if g is not None and bool((g != 0).any())}
    at_rest = at_rest.detach()
    moves = {
        name: bool(objective.loss(gates, batch, {**before, name: _other(w)}) != at_rest) or name in ran
        for name, w in before.items()
    }
    loss = objective.weight_step(gates, batch)
    _require_close(loss.cpu(), at_rest.cpu(), "weight_step's loss is not the loss before it")
    for name, now in objective.weights().items():
        if not moves[name]:
            require_same(before[name], now.detach(), f"'{name}' did not run and was changed")
    if before:
        changed = [name for name, now in objective.weights().items() if not torch.equal(before[name], now)]
        require(bool(changed), "the step changed no weight")
        require(not all(moves.values()), "every weight takes part in every path: the check sees nothing")


def check_paths(make: Make) -> None:
    """One step of several sets of gates: their mean loss, and what ran in none is not moved. One alone is one step."""
    objective, _ = _trained(make)
    if "weights" not in objective.provides:
        return
    paths, batch = torch.stack([one_hot_gates(objective, seed) for seed in (3, 4, 5)]), objective.batch("train")
    losses = torch.stack([objective.loss(path, batch).detach() for path in paths])
    moved = []
    for gates in (paths, *paths):
        one, _ = _trained(make)
        before = {name: w.detach().clone() for name, w in one.weights().items()}
        loss = one.weight_step(gates, batch)
        if gates.dim() == 3:
            _require_close(loss.cpu(), losses.mean().cpu(), "the loss of several paths is not the mean of theirs")
        moved.append({name for name, now in one.weights().items() if not torch.equal(before[name], now)})
    require(moved[0] == set().union(*moved[1:]), "a step of several paths moves other weights than theirs")
    (one, _), (other, _) = _trained(make), _trained(make)
    one.weight_step(paths[:1], batch)
    other.weight_step(paths[0], batch)
    require_same(one.state(), other.state(), "a set of one is another step than that one")


def check_layers(make: Make) -> None:
    """layer_gradients at equal gates is the plain gradient spread over the cells; what is added counts for one step."""
    objective, streams = _trained(make)
    if "layers" not in objective.provides:
        return
    gates, batch = dense_gates(objective), objective.batch("train")
    before = through_file(_everything(objective, streams))
    by_gates, by_weights = objective.layer_gradients(objective.layered(gates), batch)
    require_same(before, _everything(objective, streams), "layer_gradients changed weights, state or streams")
    _, plain = objective.gate_gradient(gates, batch)
    along = torch.rand(gates.shape, generator=torch.Generator().manual_seed(0)) * (gates != 0)
    added = (by_gates * objective.layered(along)).sum()
    _require_close(added, (plain * along).sum(), "the cells' gradients do not add up to the gates'")
    weights = objective.weights()
    wanted = torch.autograd.grad(objective.loss(gates, batch), list(weights.values()), allow_unused=True)
    for name, gradient in zip(weights, wanted, strict=True):
        if gradient is not None:
            _require_close(by_weights[name], gradient, f"dL/dw of '{name}' at equal gates is not the loss's")
    product = objective.layer_product(objective.layered(gates), batch, objective.layered(along))
    point = gates.clone().requires_grad_()
    (by_point,) = torch.autograd.grad(objective.loss(point, batch), point, create_graph=True)
    mixed = torch.autograd.grad((by_point * along).sum(), list(weights.values()), allow_unused=True)
    for name, gradient in zip(weights, mixed, strict=True):
        if gradient is not None:
            _require_close(product[name], gradient, f"layer_product of '{name}' along equal gates is not the loss's")
    objective.add_gradient({name: 0.5 * gradient for name, gradient in by_weights.items()})
    moved = []
    for _ in range(2):  # the second step has nothing added
        twin, _ = make()
        twin.load_state(through_file(objective.state()))
        for one in (objective, twin):
            one.weight_step(gates, batch)
        pairs = zip(objective.weights().values(), twin.weights().values(), strict=True)
        moved.append(any(not torch.equal(a, b) for a, b in pairs))
    require(moved[0], "what add_gradient gave changed no weight")
    require(not moved[1], "what add_gradient gave is added once more")


def check_operations(make: Make) -> None:
    """operation_gradients is autograd's and changes nothing; what is frozen stays bit for bit, all else as it would."""
    objective, streams = _trained(make)
    if "operations" not in objective.provides:
        return
    gates, batch = dense_gates(objective), objective.batch("train")
    before = through_file(_everything(objective, streams))
    found = objective.operation_gradients(gates, batch)
    require_same(before, _everything(objective, streams), "operation_gradients changed weights, state or streams")
    require(bool(found), "operation_gradients has no operation with weights")
    wanted = torch.autograd.grad(objective.loss(gates, batch), list(objective.weights().values()), allow_unused=True)
    for pair, own in found.items():
        for gradient in own:
            near = [w for w in wanted if w is not None and w.shape == gradient.shape]
            off = min((float((w - gradient).abs().max()) for w in near), default=torch.inf)
            require(off <= 2e-4 * float(gradient.abs().max()) + 1e-6, f"operation {pair}: no weight has its gradient")
    pair = next(iter(found))
    frozen = torch.zeros_like(gates, dtype=torch.bool)
    frozen[pair] = True
    other, _ = _trained(make)
    other.batch("train")
    objective.freeze(frozen)
    weights = {name: w.detach().clone() for name, w in objective.weights().items()}
    ahead, _ = objective.lookahead(gates, batch)
    for one in (objective, other):
        one.weight_step(gates, batch)
    still = [n for n, w in objective.weights().items() if torch.equal(w, weights[n])]
    moved = [n for n, w in other.weights().items() if n in still and not torch.equal(w, weights[n])]
    require(len(moved) == len(found[pair]), f"freezing one operation of {len(found[pair])} weights holds {moved}")
    require(not set(moved) & set(ahead), "the look-ahead names what is frozen, though it does not depend on the gates")
    again, _ = make()
    again.load_state(through_file(objective.state()))
    again.new_optimiser(0.1, 1, "constant")
    again.weight_step(gates, batch)
    held = {n: torch.equal(again.weights()[n], weights[n]) for n in moved}
    require(all(held.values()), f"what was frozen moves in a continued run's tuning: {held}")


def _other(w: Tensor) -> Tensor:
    noise = torch.randn(w.shape, generator=torch.Generator().manual_seed(0), dtype=w.dtype)
    return w + noise.to(w.device)


def check_lookahead(make: Make) -> None:
    """lookahead gives leaves for every weight, at the rate that it reports, and moves towards a smaller loss."""
    objective, _ = make()
    gates, batch = dense_gates(objective), objective.batch("train")
    ahead, rate = objective.lookahead(gates, batch)
    require(list(ahead) == list(objective.weights()), "lookahead names other weights than weights()")
    require(all(w.requires_grad and w.is_leaf for w in ahead.values()), "w' must be leaves that require gradients")
    if ahead:
        require(rate > 0, f"the rate is {rate}")
        (first, *_) = torch.autograd.grad(objective.loss(gates, batch), list(objective.weights().values()))
        name = next(iter(ahead))
        moved = (objective.weights()[name] - ahead[name]).detach() / rate
        cosine = torch.nn.functional.cosine_similarity(moved.flatten(), first.flatten(), 0)
        require(float(cosine) > 0.99, f"'{name}' moves at cosine {float(cosine):.3f} to its gradient")


# -- data and state --------------------------------------------------------------------------------------------------


def check_batches(make: Make) -> None:
    """Two objectives made alike give the same batches, whichever split is asked first, and not one batch for ever."""
    one, other = make()[0], make()[0]
    batches = {split: [one.batch(split) for _ in range(6)] for split in SPLITS}
    for split in reversed(SPLITS):
        again = [other.batch(split) for _ in range(6)]
        for a, b in zip(batches[split], again, strict=True):
            require((a is None) == (b is None), "only one of two equal objectives has data")
            if a is not None and b is not None:
                require_same([a.images, a.labels], [b.images, b.labels], f"{split} batches of equal objectives differ")
        if again[0] is not None:
            require(any(b is not None and difference(list(b), list(again[0])) for b in again), "always the same batch")


def check_state(make: Make) -> None:
    """The state goes through a file with weights_only=True; training continues from it bit for bit, again and again."""
    objective, streams = _trained(make)
    held, dice = objective.state(), streams.state()
    saved = through_file({"objective": held, "streams": dice})
    trace = _continued(objective)
    require_same(held, saved["objective"], "a state that was taken changes as training goes on: copy it")
    for _ in range(2):  # twice: a restored objective must not go on in the tree that it was restored from
        other, others = make()
        other.weight_step(one_hot_gates(other), other.batch("train"))
        other.load_state(saved["objective"])
        others.load_state(saved["streams"])
        require_same(saved["objective"], other.state(), "what is restored is not what was saved")
        require_same(trace, _continued(other), "the continued training differs")
    objective.load_state(held)
    streams.load_state(dice)
    require_same(trace, _continued(objective), "an objective cannot be rolled back to a state that it gave")


def _continued(objective: Objective) -> list[object]:
    trace: list[object] = []
    for seed in range(6):
        gates = (dense_gates if seed % 2 else one_hot_gates)(objective, seed)
        trace.append(objective.weight_step(gates, objective.batch("train")).cpu())
        trace += objective.gate_gradient(gates, objective.batch("valid"))
    return [*trace, objective.state()]


def check_decisions(make: Make) -> None:
    """Under decisions the decided rows are what flows, whatever gates are given, and have gradient exactly zero."""
    objective, _ = _trained(make)
    decisions = Decisions.none(objective.space).decide(0, 1).decide(2, 0)
    decided, batch = objective.decided(decisions), objective.batch("valid")
    gates, mask = dense_gates(objective), torch.from_numpy(objective.space.mask)
    applied = gates.clone()
    applied[0], applied[2] = torch.eye(mask.shape[1])[1], torch.eye(mask.shape[1])[0]
    free = torch.ones(len(mask), dtype=torch.bool)
    free[[0, 2]] = False
    require_same(decided.loss(gates, batch).detach(), objective.loss(applied, batch).detach(), "loss ignores decisions")
    require_same(list(decided.measure(gates)), list(objective.measure(applied)), "measure ignores decisions")
    loss, gradient = decided.gate_gradient(gates, batch)
    expected_loss, expected = objective.gate_gradient(applied, batch)
    _require_close(loss, expected_loss, "gate_gradient ignores decisions")
    _require_close(gradient, expected * free[:, None], "the undecided rows' gradient is not that of the decided gates")
    for found in (gradient, _autograd(decided, gates, batch)[1]):
        require(bool((found[~free] == 0).all()), "a decided row has a gradient")
    if not objective.weights():
        return
    step, twin = objective.batch("train"), _trained(make)[0]
    decided.weight_step(gates, step)
    twin.weight_step(applied, step)
    now, then = (dict(o.weights()) for o in (objective, twin))
    require_same({n: w.detach() for n, w in now.items()}, {n: w.detach() for n, w in then.items()}, "weight_step")


CHECKS: tuple[Callable[[Make], None], ...] = checks_in(globals(), "check_objective")
