"""Each proxy against what it is by hand, by finite differences, or by a plain computation of the same formula."""

import math
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchbed.proxies._layers import Activations, weights
from benchbed.proxies.az_nas import AzNas, entropy, steadiness
from benchbed.proxies.az_nas import Options as AzOptions
from benchbed.proxies.epe_nas import EpeNas
from benchbed.proxies.fisher import Fisher
from benchbed.proxies.flops import Flops
from benchbed.proxies.grad_norm import GradNorm
from benchbed.proxies.grasp import Grasp
from benchbed.proxies.jacov import Jacov
from benchbed.proxies.l2_norm import L2Norm
from benchbed.proxies.meco import Meco
from benchbed.proxies.nwot import Nwot, alike
from benchbed.proxies.nwot import Options as NwotOptions
from benchbed.proxies.params import Params
from benchbed.proxies.plain import Plain
from benchbed.proxies.snip import Snip
from benchbed.proxies.swap import Options as SwapOptions
from benchbed.proxies.swap import Swap
from benchbed.proxies.synflow import Synflow
from benchbed.proxies.zen import Options as ZenOptions
from benchbed.proxies.zen import Zen
from benchbed.proxies.zico import Options as ZicoOptions
from benchbed.proxies.zico import Zico
from benchbed.proxy import BatchOptions, Case, Options
from benchbed.spaces.nb201.network import Cell, NB201Network
from benchbed.testing.proxy_suite import architectures, case

from .toy_cases import Flat, case_of, noise

NONE = Options()


def of(batch: int) -> BatchOptions:
    return BatchOptions(batch=batch)


def loss_at(case: Case, network: nn.Module, batch: int) -> Tensor:
    given = case.batch(batch)
    return F.cross_entropy(network(given.images), given.labels)


def naive_gradients(case: Case, batch: int, number: int = 0) -> list[tuple[np.ndarray, np.ndarray]]:
    """(weight, gradient) of each layer, by `backward`."""
    network, given = case.network(), case.batch(batch, number)
    F.cross_entropy(network(given.images), given.labels).backward()
    layers = [m for m in network.modules() if isinstance(m, nn.Conv2d | nn.Linear)]
    return [(m.weight.detach().numpy(), np.zeros(m.weight.shape) if m.weight.grad is None else m.weight.grad.numpy())
            for m in layers]  # fmt: skip


# -- of weights and their gradients ------------------------------------------------------------------------------------


def test_synflow_of_a_linear_chain_by_hand() -> None:
    """Each layer's sum of |w dR/dw| is R itself, of degree 1 in every layer: R = 1' |W2| |W1| 1."""
    one = case_of(partial(Flat, 32, 5, 3, relu=False), noise(4))
    first, second = (layer.weight.detach().double().abs() for layer in one.network().layers)
    flow = float((second @ first @ torch.ones(32, dtype=torch.float64)).sum())
    assert Synflow(NONE).score(one) == pytest.approx(math.log1p(2 * flow), rel=1e-12)


def test_synflow_sees_no_batch_norm_no_image_and_no_label() -> None:
    def build() -> nn.Module:
        torch.manual_seed(0)
        return nn.Sequential(nn.Conv2d(2, 3, 3), nn.BatchNorm2d(3), nn.ReLU(), nn.Flatten(), nn.Linear(12, 3, False))

    def without() -> nn.Module:
        return nn.Sequential(*(module for module in build() if not isinstance(module, nn.BatchNorm2d)))

    one, other = case_of(build, noise(4)), case_of(without, noise(8) * 100, torch.zeros(8, dtype=torch.int64))
    assert Synflow(NONE).score(one) == pytest.approx(Synflow(NONE).score(other), rel=1e-12)


def test_snip_is_the_weight_times_grad_norm_on_one_parameter() -> None:
    one = case_of(partial(Flat, 1, 1), torch.randn(6, 1, 1, 1), classes=1)
    twice = case_of(lambda: nn.Sequential(nn.Flatten(), Fixed(torch.tensor([[0.7], [0.0]]))), torch.ones(6, 1, 1, 1),
                    classes=2)  # fmt: skip
    assert Snip(of(6)).score(one) == 0  # one class: the loss is 0 whatever the weight
    weight = twice.network()[1].weight.detach()
    ((_, g),) = naive_gradients(twice, 6)
    assert GradNorm(of(6)).score(twice) == pytest.approx(float(np.linalg.norm(g)), rel=1e-6)
    assert Snip(of(6)).score(twice) == pytest.approx(abs(0.7 * g[0, 0]), rel=1e-6)
    assert Plain(of(6)).score(twice) == pytest.approx(float((weight.numpy() * g).sum()), rel=1e-6)


class Fixed(nn.Linear):
    """A linear layer of given weights."""

    def __init__(self, weight: Tensor):
        super().__init__(weight.shape[1], weight.shape[0], bias=False)
        self.weight.data.copy_(weight)


def test_sums_over_a_networks_layers() -> None:
    one = case(architectures()[0])
    layers = naive_gradients(one, 32)
    assert GradNorm(of(32)).score(one) == pytest.approx(sum(np.linalg.norm(g) for _, g in layers), rel=1e-5)
    assert Snip(of(32)).score(one) == pytest.approx(sum(np.abs(w * g).sum() for w, g in layers), rel=1e-5)
    assert Plain(of(32)).score(one) == pytest.approx(sum((w * g).sum() for w, g in layers), abs=1e-5)
    assert L2Norm(NONE).score(one) == pytest.approx(sum(np.linalg.norm(w) for w, _ in layers), rel=1e-6)


def test_plain_of_a_layer_before_batch_norm_is_nothing() -> None:
    """The loss does not change with such a layer's scale, so w . g is 0 (Euler) but for batch norm's epsilon."""
    network, total = (one := case(architectures()[0])).network(), 0.0
    loss_at(one, network, 64).backward()
    for module in network.modules():
        if isinstance(module, nn.Conv2d) and module is not network.blocks[1].shortcut:
            total = max(total, abs(float((module.weight.grad * module.weight.detach()).sum())))
    assert total < 0.001 * Snip(of(64)).score(one)


def test_grasp_is_the_finite_difference_of_the_gradient() -> None:
    """-w . H g with H g = (g(w + e g) - g(w - e g)) / 2e, in float64 on a network without kinks nearby."""

    class Smooth(Flat):
        def forward(self, x: Tensor) -> Tensor:
            return self.layers[1](torch.tanh(self.layers[0](x.flatten(1))))

    one = case_of(lambda: Smooth(32, 6, 3).double(), noise(12).double())
    network, e = one.network(), 1e-5
    start = [w.detach().clone() for w in weights(network)]

    def gradient(at: list[Tensor]) -> list[Tensor]:
        for w, value in zip(weights(network), at, strict=True):
            w.data.copy_(value)
        return list(torch.autograd.grad(loss_at(one, network, 12), weights(network)))

    g = gradient(start)
    sides = [gradient([w + sign * e * d for w, d in zip(start, g, strict=True)]) for sign in (1, -1)]
    hessian = [(a - b) / (2 * e) for a, b in zip(*sides, strict=True)]
    expected = -sum(float((w * h).sum()) for w, h in zip(start, hessian, strict=True))
    assert Grasp(of(12)).score(one) == pytest.approx(expected, rel=1e-6)


def test_fisher_of_one_linear_layer_by_hand() -> None:
    """a = x W', dL/da = (softmax - one-hot) / n: the mean over images of (a dL/da)^2 / 2, summed over the units."""
    one = case_of(partial(Flat, 32, 3), noise(9))
    given, w = one.batch(9), one.network().layers[0].weight.detach()
    a = given.images.flatten(1) @ w.T
    slope = (a.softmax(1) - F.one_hot(given.labels, 3)) / 9
    by_hand = float((a * slope).square().mean(0).sum() / 2)
    assert Fisher(Fisher.Options(batch=9)).score(one) == pytest.approx(by_hand, rel=1e-5)


def test_fisher_masks_channels() -> None:
    """Of a convolution: its square root is the derivative of an image's loss in a mask of the channel."""

    class Masked(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            torch.manual_seed(0)
            self.conv, self.mask = nn.Conv2d(2, 3, 3), torch.ones(5, 3, 1, 1, requires_grad=True)

        def forward(self, x: Tensor) -> Tensor:
            return (self.conv(x) * self.mask).relu().mean((2, 3))

    one = case_of(Masked, noise(5))
    network = one.network()
    (slope,) = torch.autograd.grad(loss_at(one, network, 5), network.mask)
    by_hand = float(slope.square().mean(0).sum() / 2)
    assert Fisher(Fisher.Options(batch=5)).score(one) == pytest.approx(by_hand, rel=1e-5)
    official = Fisher.Options(batch=5, over="weights")
    assert Fisher(official).score(one) == pytest.approx(2 * 3 * 3 * by_hand, rel=1e-5), "2 x 3 x 3 weights a channel"


def test_zico_is_the_plain_computation_over_batches() -> None:
    one, total = case(architectures()[1]), 0.0
    batches = [naive_gradients(one, 16, number) for number in range(3)]
    for layer in zip(*batches, strict=True):
        g = np.stack([g.ravel().astype(np.float64) for _, g in layer])
        kept = g.std(0) > 0
        ratio = (np.abs(g).mean(0)[kept] / g.std(0)[kept]).sum()
        total += math.log(ratio) if ratio else 0
    assert Zico(ZicoOptions(batch=16, batches=3)).score(one) == pytest.approx(total, rel=1e-4)


# -- of images' Jacobians ----------------------------------------------------------------------------------------------


def jacobian(case: Case, batch: int) -> np.ndarray:
    """d (sum of an image's logits) / dx by one backward pass an image, on a network without batch norm."""
    network, rows = case.network(), []
    for image in case.batch(batch).images:
        x = image[None].clone().requires_grad_()
        network(x).sum().backward()
        rows.append(x.grad.numpy().ravel())
    return np.stack(rows).astype(np.float64)


def test_jacov_and_epe_nas_are_the_plain_computations() -> None:
    one, k = case_of(partial(Flat, 32, 40, 3), noise(12)), 1e-5
    rows, labels = jacobian(one, 12), one.batch(12).labels.numpy()
    v = np.linalg.eigvalsh(np.corrcoef(rows))
    assert Jacov(of(12)).score(one) == pytest.approx(-np.sum(np.log(v + k) + 1 / (v + k)), rel=1e-3)
    each = [np.log(np.abs(np.corrcoef(rows[labels == c])) + k).sum() for c in range(3)]
    assert EpeNas(of(12)).score(one) == pytest.approx(sum(map(abs, each)), rel=1e-3)


def test_epe_nas_takes_another_formula_beyond_a_hundred_classes() -> None:
    """Differences between the classes that the batch holds two images of, each over its images, over the classes."""
    labels = torch.tensor([0, 0, 0, 5, 5, 7, 9, 9, 0, 5])
    one, k = case_of(partial(Flat, 32, 40, 101), noise(10), labels, classes=101), 1e-5
    rows, found = jacobian(one, 10), one.batch(10).labels.numpy()
    s = [np.log(np.abs(np.corrcoef(rows[found == c])) + k).sum() / (found == c).sum() for c in (0, 5, 9)]
    assert EpeNas(of(10)).score(one) == pytest.approx(sum(abs(a - b) for a in s for b in s) / 3, rel=1e-3)


def test_images_that_all_have_one_jacobian_are_one() -> None:
    """A linear network: the correlations are all 1, one eigenvalue is n and the others 0."""
    n, k = 8, 1e-5
    one = case_of(partial(Flat, 32, 3), noise(n))
    expected = -(math.log(n + k) + 1 / (n + k) + (n - 1) * (math.log(k) + 1 / k))
    assert Jacov(of(n)).score(one) == pytest.approx(expected, rel=1e-6)


# -- of ReLUs ----------------------------------------------------------------------------------------------------------


def test_k_of_nwot_on_two_units_by_hand() -> None:
    """Units on and off: images 0 (+ +), 1 (+ -), 2 (- -): K counts the units at which two images agree."""
    x = torch.tensor([[1.0, 2.0], [3.0, -1.0], [-1.0, 0.0]])  # zero is off
    assert alike(x).tolist() == [[2, 1, 0], [1, 2, 1], [0, 1, 2]]
    one = case_of(lambda: nn.Sequential(nn.Flatten(), nn.ReLU(), nn.Linear(2, 3)), x.reshape(3, 2, 1, 1))
    assert Nwot(NwotOptions(batch=3)).score(one) == pytest.approx(math.log(4))  # the determinant


def test_permuting_the_images_permutes_k_and_keeps_the_score() -> None:
    x, order = torch.randn(6, 10, generator=torch.Generator().manual_seed(0)), torch.tensor([3, 0, 5, 1, 4, 2])
    assert torch.equal(alike(x)[order][:, order], alike(x[order]))
    one, images = partial(Flat, 32, 20, 3), noise(12)
    scores = [Nwot(NwotOptions(batch=12)).score(case_of(one, given)) for given in (images, images.flip(0))]
    assert scores[0] == pytest.approx(scores[1], rel=1e-9)


class Apart(Cell):
    """A cell in which every convolution has a ReLU of its own, as in the authors' code."""

    def _edge(self, op: int, node: int, source: int, h: Tensor | None, x: Tensor, shared: Any) -> Tensor | None:
        return super()._edge(op, node, source, h, x, {})


class OwnReLUs(NB201Network):
    def __init__(self, *given: Any):
        super().__init__(*given)
        for block in self.blocks:
            if isinstance(block, Cell):
                block.__class__ = Apart


def test_a_shared_relu_counts_once_a_reader() -> None:
    """A node's ReLU is shared by its edges here; the score is that of the authors' network, where it is not."""
    cell = architectures()[0]  # node 0 is read by two 3x3 convolutions, node 1 by two, node 2 by one
    shared = case(cell)
    apart = Case(**{**vars(shared), "build": lambda: OwnReLUs(cell.choices, 4, 1, 5, 3)})
    counts = []
    for one in (shared, apart):
        with torch.no_grad(), Activations(lambda x: x.shape[1]) as found:
            one.network()(one.batch(8).images)
        counts.append([each.readers for each in found])
    assert sum(counts[0]) == sum(counts[1]) == len(counts[1]) > len(counts[0])
    options = NwotOptions(batch=32)
    assert Nwot(options).score(shared) == pytest.approx(Nwot(options).score(apart), rel=1e-9)
    few = SwapOptions(batch=8, draws=2)
    assert Swap(few).score(shared) == Swap(few).score(apart)


def test_relus_done_in_place_are_seen_before() -> None:
    one = nn.Sequential(nn.Conv2d(2, 3, 1), nn.ReLU(inplace=True), nn.Conv2d(3, 1, 1), nn.ReLU6(inplace=True))
    nn.init.constant_(one[2].bias, -9.0)  # whatever the weights drawn: some of what the second ReLU reads is negative
    with torch.no_grad(), Activations(lambda x: float(x.min())) as found:
        one(noise(4))
    assert [each.readers for each in found] == [1, 1]
    assert all(each.seen < 0 for each in found)


def test_swap_counts_distinct_columns_of_the_sign_matrix() -> None:
    """By numpy on the matrix itself, of the network's own ReLU inputs; regularised by the parameters."""
    one, seen = case_of(partial(Flat, 32, 50, 3), noise(6)), []
    with torch.no_grad(), Activations(lambda x: seen.append(x.numpy().copy())) as _:
        Swap(SwapOptions(batch=6, draws=2)).score(one)
    expected = np.mean([len(np.unique(x > 0, axis=1).T) for x in seen])
    plain = Swap(SwapOptions(batch=6, draws=2)).score(one)
    assert plain == expected
    assert expected < 50
    regular = Swap(SwapOptions(batch=6, draws=2, mu=1700.0, sigma=1e4)).score(one)
    size = Params(NONE).score(one)
    assert regular == pytest.approx(plain * math.exp(-((size - 1700) ** 2) / 1e4))


# -- of maps -----------------------------------------------------------------------------------------------------------


def test_zen_of_one_convolution_by_hand() -> None:
    """f(x) - f(x + e) is the convolution of e alone; no batch norm, no scale."""
    one = case_of(lambda: Pooled(nn.Conv2d(2, 3, 3, bias=True)), noise(4))
    network = Pooled(nn.Conv2d(2, 3, 3))
    options = ZenOptions(batch=4, move=0.5)
    from benchbed.proxies._layers import gaussian

    network.load_state_dict(gaussian(one, "zen").state_dict())
    with torch.no_grad():
        moved = F.conv2d(0.5 * one.noise("zen move 0", 4), network.conv.weight)
    assert Zen(options).score(one) == pytest.approx(float(moved.abs().flatten(1).sum(1).mean().log()), rel=1e-5)


class Pooled(nn.Module):
    """A convolution, pooled."""

    def __init__(self, conv: nn.Module):
        super().__init__()
        self.conv = conv

    def forward(self, x: Tensor) -> Tensor:
        return F.adaptive_avg_pool2d(self.conv(x), 1).flatten(1)


def test_zen_does_not_change_with_the_scale_before_batch_norm() -> None:
    """Batch norm's scale is put back: a first layer k times as large moves the score by log k, as without the norm."""

    def build(scale: float) -> nn.Module:
        norm = nn.BatchNorm2d(3, eps=1e-12, momentum=1.0)
        return Pooled(nn.Sequential(nn.Conv2d(2, 3, 3, bias=False), Scaled(scale), norm))

    one, other = (case_of(partial(build, scale), noise(64)) for scale in (1.0, 7.0))
    options = ZenOptions(batch=64)
    assert Zen(options).score(other) - Zen(options).score(one) == pytest.approx(math.log(7), abs=1e-3)


class Scaled(nn.Module):
    def __init__(self, scale: float):
        super().__init__()
        self.scale = scale

    def forward(self, x: Tensor) -> Tensor:
        return self.scale * x


def test_meco_is_the_sum_of_least_eigenvalues() -> None:
    one = case_of(lambda: Pooled(nn.Sequential(nn.Conv2d(2, 3, 1), nn.ReLU())), noise(4, side=9))
    network, total = one.network(), 0.0
    maps = [network.conv[0](x := one.noise("meco", 1)), network.conv(x)]
    for x in maps:
        total += np.linalg.eigvalsh(np.corrcoef(x[0].detach().double().flatten(1).numpy()))[0]
    assert Meco(NONE).score(one) == pytest.approx(total, rel=1e-6)


def test_entropy_of_independent_channels_is_log_of_how_many_and_of_one_pattern_nothing() -> None:
    x = torch.randn(64, 8, 16, 16, generator=torch.Generator().manual_seed(0))
    assert entropy(x) == pytest.approx(math.log(8), abs=1e-2)
    assert entropy(x[:, :1].expand(-1, 8, -1, -1)) == pytest.approx(0, abs=1e-5)


def test_steadiness_of_a_scaled_identity() -> None:
    """Its Jacobian is c times the identity: the greatest singular value of sign matrices' product is near c."""
    x = torch.randn(256, 4, 8, 8, generator=torch.Generator().manual_seed(0)).requires_grad_()
    found = steadiness(x, 2 * x, torch.Generator().manual_seed(0))
    assert found == pytest.approx(2 - 2 - 1 / 2, abs=0.05)
    assert steadiness(x, x.clone(), torch.Generator().manual_seed(0)) == -math.inf
    dead = torch.zeros(256, 4, 8, 8)
    assert steadiness(x, dead, torch.Generator()) == pytest.approx(2 - 1e6)


def test_az_nas_joins_ranks() -> None:
    """Three networks; in each part the best has rank 3 of 3: sum of log(rank / 3)."""
    measured = np.array([[1.0, 5.0, -1.0, 10.0], [2.0, 4.0, -np.inf, 30.0], [3.0, 3.0, np.nan, 20.0]])
    log = math.log
    expected = [log(1 / 3) + 0 + 0 + log(1 / 3), log(2 / 3) + log(2 / 3) + log(0.5) + 0,
                0 + log(1 / 3) + log(0.5) + log(2 / 3)]  # fmt: skip
    assert AzNas(AzOptions()).combine(measured) == pytest.approx(expected)


def test_parameters_and_flops_are_those_of_the_published_table() -> None:
    """Cell 1462, six 3x3 convolutions: 1.531546 million parameters, 220.1189 million multiply-accumulates."""
    cell = architectures()[0].text.replace("skip_connect", "nor_conv_3x3")
    small = case(architectures()[0])
    one = Case(**{**vars(small), "architecture": small.space.parse(cell), "shape": (3, 32, 32), "classes": 10,
                  "channels": 16, "cells": 5})  # fmt: skip
    assert (Params(NONE).score(one), Flops(NONE).score(one)) == (1_531_546, 220_119_690)
