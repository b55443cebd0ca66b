"""ENAS and SETN beside AutoDL-Projects: the controller, its training loop, and the template's two losses.

One more shim: `Tensor.view` of memory that newer torch does not view so is `reshape`, in their accuracy alone.
"""

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import one_hot

from benchbed.cost import without_cost
from benchbed.objective import Measure
from benchbed.searcher import Clock
from benchbed.searchers.enas import ENAS
from benchbed.spaces.nb201.space import NB201
from benchbed.streams import Streams

from . import cells201
from .clones import bystanders, clone
from .ours import gradient, objective, searcher

OF = "AutoDL-Projects"
NAMES = {"start": "input_vars", "lstm": "w_lstm", "embedding": "w_embd", "output": "w_pred"}
IMAGES, DRAWS = 100, 6


@pytest.fixture(autouse=True)
def _views(monkeypatch: pytest.MonkeyPatch) -> None:
    inner = Tensor.view

    def view(self: Tensor, *shape: Any) -> Tensor:
        return self.reshape(-1) if shape == (-1,) else inner(self, *shape)

    monkeypatch.setattr(Tensor, "view", view)


def enas(**options: Any) -> Any:
    """Ours, with weights that are far from equal; the start is theirs in shape alone."""
    found = ENAS(NB201(), ENAS.Options(samples=DRAWS, **options), Streams(0))
    torch.manual_seed(3)
    for weight in found.controller.parameters():
        nn.init.normal_(weight, std=0.4)
    return found


def their_controller(ours: nn.Module) -> nn.Module:
    """Theirs with our weights, of which all take part."""
    package = clone(OF) / "xautodl"
    (module,) = cells201.modules(package.parent, "xautodl.models.cell_searchs.search_model_enas_utils")
    theirs = module.Controller(6, 5)
    left = dict(theirs.named_parameters())
    for name, weight in ours.named_parameters():
        first, _, rest = name.partition(".")
        there = left.pop(f"{NAMES[first]}.{rest}" if rest else NAMES[first])
        there.data.copy_(weight.detach().reshape(there.shape))
    assert not left
    return theirs


def their_loop() -> Any:
    """`train_controller` of their script for NAS-Bench-201."""
    script = clone(OF) / "exps" / "NAS-Bench-201-algos"
    beside = bystanders("nas_201_api")
    beside["nas_201_api"].NASBench201API = object  # type: ignore[attr-defined]
    (module,) = cells201.modules([script, clone(OF)], "ENAS", packages=beside)
    return module.train_controller


class Judge:
    """Their supernet, of which the loop asks logits alone: of a cell's first operations so many images are right."""

    def __init__(self) -> None:
        self.module, self.arch = self, list[int]()

    def eval(self) -> None: ...

    def update_arch(self, arch: list[int]) -> None:
        self.arch = list(arch)

    def __call__(self, images: Tensor) -> tuple[None, Tensor]:
        return None, one_hot((torch.arange(IMAGES) >= right(self.arch)).long(), 10).double()


def right(arch: list[int]) -> int:
    return 10 + sum(k * (i + 2) for i, k in enumerate(arch))


def by_their_loop(controller: nn.Module, baseline: float | None) -> tuple[dict[str, Tensor], list[list[int]], float]:
    """The gradient of one of their steps by our names, the cells that it drew, and the baseline that it ends with."""
    found, drawn, judge = dict[str, Tensor](), list[list[int]](), Judge()
    update = judge.update_arch
    judge.update_arch = lambda arch: (drawn.append(list(arch)), update(arch))[1]  # type: ignore[method-assign]

    def step() -> None:
        for name, weight in controller.named_parameters():
            assert weight.grad is not None
            found[name] = weight.grad.clone()

    loader = [(torch.zeros(IMAGES, 1), torch.zeros(IMAGES, dtype=torch.int64))] * DRAWS
    config = SimpleNamespace(baseline=baseline, ctl_train_steps=1, ctl_num_aggre=DRAWS, ctl_entropy_w=0.01,
                             ctl_bl_dec=0.99)  # fmt: skip
    logger = SimpleNamespace(log=lambda *_: None)
    *_, last = their_loop()(loader, judge, controller, None, SimpleNamespace(step=step), config, "", 1000, logger)
    return found, drawn, float(last)


def by_ours(of: Any, drawn: list[list[int]]) -> dict[str, Tensor]:
    """The gradient of our step where these are the draws, judged alike."""
    paths, controller, found = torch.tensor(drawn), of.controller, dict[str, Tensor]()
    controller.draw = lambda n, generator: controller.follow(n, lambda i, p: paths[:, i])

    def measure(gates: Tensor, batch: Any) -> Measure:
        hits = torch.tensor([float(right(one.argmax(1).tolist())) for one in gates])
        return Measure(1 - hits / IMAGES, 100 * hits / IMAGES, IMAGES)

    on = objective(NB201(), channels=cells201.CHANNELS, cells=cells201.CELLS)
    on.measure = measure
    of.optimiser.step = lambda: found.update({n: w.grad.clone() for n, w in controller.named_parameters()})
    of.arch_step(without_cost(on), None, Clock(0, 0, 5, 1))
    return found


def joined(gradients: dict[str, Tensor]) -> Tensor:
    """In one order on both sides: ours have other names."""
    named = {}
    for name, g in gradients.items():
        first, _, rest = name.partition(".")
        back = {theirs: ours for ours, theirs in NAMES.items()}.get(first, first)
        named[f"{back}.{rest}"] = g.flatten()
    return torch.cat([named[name] for name in sorted(named)])


# -- ENAS --------------------------------------------------------------------------------------------------------------


def test_the_controllers_log_probability_and_entropy(ledger: Any) -> None:
    of = enas()
    theirs, rows = their_controller(of.controller), []
    torch.manual_seed(5)
    for _ in range(DRAWS):
        log_p, entropy, arch = theirs()
        own = of.controller.follow(1, lambda i, p, arch=arch: torch.tensor(arch[i : i + 1]))
        rows.append((log_p.reshape(()), own.log_p[0], entropy.reshape(()), own.entropy[0]))
    one, two, three, four = (torch.stack(row) for row in zip(*rows, strict=True))
    ledger.equal("ENAS", "log probability of a draw", OF, one, two)
    ledger.equal("ENAS", "entropy along a draw", OF, three, four)
    assert float(one.detach().std()) > 0.1


@pytest.mark.parametrize("baseline", [None, 0.4])
def test_the_gradient_of_a_controller_step(baseline: float | None, ledger: Any) -> None:
    """First epoch and later ones, with both of its bugs switched on; the baseline that the epoch ends with."""
    of = enas(baseline="official", entropy="official", entropy_weight=0.01)
    of.held = baseline
    torch.manual_seed(5)
    theirs, drawn, last = by_their_loop(their_controller(of.controller), baseline)
    what = "the first epoch" if baseline is None else "a later epoch"
    ledger.equal("ENAS", f"gradient of a controller step in {what}", OF, joined(theirs), joined(by_ours(of, drawn)))
    assert of.average == pytest.approx(last, abs=1e-12)


def test_what_its_bugs_change(ledger: Any) -> None:
    base = {"entropy_weight": 0.01}
    for bug, why in (
        ("baseline", "in the first epoch each reward is held against itself: only the entropy is learned"),
        ("entropy", "the entropy in the reward is not detached: its gradient lowers the entropy"),
    ):
        of = enas(**base, **{name: "official" for name in ("baseline", "entropy") if name != bug})
        of.average = of.held = None if bug == "baseline" else 0.4
        torch.manual_seed(5)
        theirs, drawn, _ = by_their_loop(their_controller(of.controller), of.held)
        what = f"gradient of a controller step without the bug of its {bug}"
        ledger.differs("ENAS", what, OF, joined(theirs), joined(by_ours(of, drawn)), why)


# -- SETN --------------------------------------------------------------------------------------------------------------


def setn() -> tuple[Any, Any, nn.Module]:
    on = objective(NB201(), channels=cells201.CHANNELS, cells=cells201.CELLS)
    of = searcher("setn", on)
    return on, of, cells201.with_weights(cells201.autodl("SETN")(), on, of.alpha, "arch_parameters")


def test_alpha_descends_the_joint_loss(ledger: Any) -> None:
    on, of, theirs = setn()
    theirs.set_cal_mode("joint")
    cells201.entropy(theirs, on.batch("valid")).backward()
    ledger.equal("SETN", "gradient of alpha", OF, theirs.arch_parameters.grad, gradient(of, on))


def test_weights_descend_the_loss_of_a_uniform_path(ledger: Any) -> None:
    on, of, theirs = setn()
    path = of.weight_gates(on, on.batch("train"), Clock(0, 0, 5, 1))
    (module,) = cells201.modules(clone(OF), "xautodl.models.cell_searchs.genotypes")
    cell = on.space.architecture(path.float().numpy().astype("float32"))
    theirs.set_cal_mode("dynamic", module.Structure.str2structure(str(cell)))
    loss = cells201.entropy(theirs, on.batch("train"))
    ledger.equal("SETN", "loss of a weight step", OF, loss, on.loss(path, on.batch("train")))
    loss.backward()
    weight = next(iter(on.weights().values()))
    (own,) = torch.autograd.grad(on.loss(path, on.batch("train")), [weight])
    ledger.equal("SETN", "gradient of the stem in a weight step", OF, theirs.stem[0].weight.grad, own)


def test_the_log_probability_of_a_cell(ledger: Any) -> None:
    on, of, theirs = setn()
    (module,) = cells201.modules(clone(OF), "xautodl.models.cell_searchs.genotypes")
    cells = [on.space.architecture_of(tuple(c)) for c in ((0, 1, 2, 3, 4, 0), (3, 3, 3, 1, 2, 4))]
    there = [theirs.get_log_prob(module.Structure.str2structure(str(cell))) for cell in cells]
    p = of.distribution().detach().log()
    own = [sum(p[i, k] for i, k in enumerate(cell.choices)) for cell in cells]
    ledger.equal("SETN", "log probability of a cell", OF, torch.tensor(there), torch.stack(own))
