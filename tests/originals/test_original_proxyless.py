"""ProxylessNAS' binary gates beside its authors' code, in every mode, on a chain of four searched blocks."""

from collections.abc import Iterable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from benchbed.cost import without_cost
from benchbed.spaces.mbconv.space import MBConv

from .clones import bystanders, clone, load
from .ours import CLASSES, FIRST, gradient, objective, searcher

CANDIDATES = [f"{kernel}x{kernel}_MBConv{expansion}" for kernel in (3, 5, 7) for expansion in (3, 6)]
SPACE = {"stem_width": 8, "first_width": 8, "stage_widths": (8, 16), "stage_depths": (2, 2), "stage_strides": (1, 2),
         "resolution": 16}  # fmt: skip
OURS = {"full": "full", "full_v2": "echo", "two": "two"}  # their modes, and ours


def authors(mode: str) -> Any:
    """Their network; its fixed parts have the widths of `SPACE` at a width of 1/4."""
    names = ("models.super_nets.super_proxyless", "modules.mix_op")
    super_nets, mix_op = load(clone("proxylessnas") / "search", *names, beside=bystanders("yaml"))
    mix_op.MixedEdge.MODE = mode
    return super_nets.SuperProxylessNASNets([32, 64], [2, 2], list(CANDIDATES), [1, 2], CLASSES, width_mult=0.25)


def hand_over(on: Any, of: Any, network: Any) -> None:
    """Our weights, which have another name each and the same order, and our alphas."""
    theirs = list(network.weight_parameters())
    with torch.no_grad():
        for ours, there in zip(on.weights().values(), theirs, strict=True):
            assert ours.shape == there.shape
            there.copy_(ours)
        for row, there in zip(of.alpha, network.architecture_parameters(), strict=True):
            there.copy_(row[: len(there)])


def draw(network: Any, active: Iterable[int], pairs: Tensor | None, mask: Tensor) -> None:
    """What their `binarize` prepares, by our draws; `pairs` (P, O): the two operations of each position in mode two."""
    for i, (module, chosen) in enumerate(zip(network.redundant_modules, active, strict=True)):
        among = (mask if pairs is None else pairs)[i].nonzero().flatten().tolist()
        module.active_index, module.inactive_index = [chosen], [k for k in among if k != chosen]
        module.AP_path_wb.data.zero_()
        module.AP_path_wb.data[chosen] = 1.0


def step(network: Any, on: Any, of: Any) -> None:
    """Their architecture step up to its gradient, in the order of nas_manager.gradient_step, on our latest draw."""
    draw(network, of.gates.argmax(1).tolist(), of.pair if of.options.mode == "two" else None, of.mask)
    network.unused_modules_off()
    images, labels = on.batch("valid")
    loss = nn.functional.cross_entropy(network(images), labels)
    network.zero_grad()
    loss.backward()
    network.set_arch_param_grad()


def rows(found: Iterable[Tensor | None], mask: Tensor) -> Tensor:
    """(P, O) of a vector a position; zeros where there is none."""
    filled = torch.zeros(mask.shape)
    for row, own in zip(filled, found, strict=True):
        if own is not None:
            row[: len(own)] = own
    return filled


def both(mode: str, zero: bool, **own: Any) -> tuple[Any, Any, Any, Tensor]:
    """Objective, searcher, their network and our gradient, at the first draw in which zero is, or is not, chosen."""
    for seed in range(40):
        on = objective(MBConv(**SPACE), side=16, count=8)  # type: ignore[arg-type]
        of = searcher("proxyless", on, mode=OURS[mode], **own)
        of.streams.generator("gates").manual_seed(seed)
        network = authors(mode)
        hand_over(on, of, network)
        found = gradient(of, on)
        if bool((of.gates[:, -1] > 0).any()) == zero:
            return on, of, network, found
    raise AssertionError("no seed has such a draw")


@pytest.mark.parametrize("mode", OURS)
def test_binary_gates(mode: str, ledger: Any) -> None:
    on, of, network, found = both(mode, zero=False)
    step(network, on, of)
    theirs = rows((alpha.grad for alpha in network.architecture_parameters()), of.mask)
    ledger.equal("proxyless", f"gradient, {mode}", "proxylessnas", theirs, found, f"`mode={OURS[mode]}`")


def test_where_zero_is_drawn(ledger: Any) -> None:
    on, of, network, found = both("full", zero=True)
    step(network, on, of)
    theirs = rows((alpha.grad for alpha in network.architecture_parameters()), of.mask)
    why = "their block leaves its mixed operation where it drew zero, and the position's gradient with it: " \
          "proxyless_nets.py, MobileInvertedResidualBlock.forward; `dead=dropped` is theirs"  # fmt: skip
    ledger.differs("proxyless", "gradient where zero is drawn", "proxylessnas", theirs, found, why)
    elsewhere = of.gates[:, -1] == 0
    ledger.equal(
        "proxyless",
        "gradient where zero is drawn, at the other positions",
        "proxylessnas",
        theirs[elsewhere],
        found[elsewhere],
    )


def test_steps_of_two_with_adam_and_rescaling(ledger: Any) -> None:
    """Alpha after some steps: which rows Adam moves, its step counts, and the shift that keeps a pair's mass."""
    on = objective(MBConv(**SPACE), side=16, count=8)  # type: ignore[arg-type]
    of = searcher("proxyless", on, mode="two", dead="dropped")
    network = authors("two")
    hand_over(on, of, network)
    adam, zeros = torch.optim.Adam(network.architecture_parameters(), 6e-3, betas=(0.0, 0.999)), 0
    for _ in range(8):
        of.arch_step(without_cost(on), None, FIRST)
        zeros += int(of.gates[:, -1].sum())
        step(network, on, of)
        adam.step()
        network.rescale_updated_arch_param()
        network.unused_modules_back()
    assert zeros
    theirs = rows((alpha.detach() for alpha in network.architecture_parameters()), of.mask)
    what = "alpha after eight steps of two, zero drawn among them"
    ledger.equal("proxyless", what, "proxylessnas", theirs, of.alpha, "`dead=dropped`")
