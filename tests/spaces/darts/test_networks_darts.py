"""The discrete DARTS network: published counts, auxiliary head, drop path, noise."""

import pytest
import torch
from torch import nn

from benchbed.errors import BenchbedError
from benchbed.spaces.darts.network import AuxiliaryHead, DartsNetwork, Noise, operation_of
from benchbed.spaces.darts.space import Darts
from benchbed.spaces.darts.space_s4 import DartsS4
from benchbed.streams import derive

SPACE = Darts()
V1, V2 = (SPACE.resolve(name)[1] for name in ("DARTS_V1", "DARTS_V2"))


def count(module: nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


@pytest.mark.parametrize(
    ("arch", "sizes", "published"),
    [
        (V1, {}, 3_169_414),
        (V2, {}, 3_349_342),
        (V2, {"classes": 100}, 3_401_272),
        (V2, {"channels": 16, "cells": 8}, 246_106),
        (V2, {"auxiliary": True}, 3_349_342 + 476_426),
    ],
)
def test_parameters_are_the_published_ones(arch, sizes, published):
    assert count(DartsNetwork(arch.choices, **sizes)) == published


@pytest.mark.parametrize("name", ["darts_pt_s5_1", "blank_pt_s5_0", "darts_pt_s4_1"])
def test_parameters_and_multiply_accumulates_are_what_the_space_says(name):
    arch, macs = SPACE.resolve(name)[1], 0
    network = DartsNetwork(arch.choices).eval()

    def seen(module, inputs, output):
        nonlocal macs
        macs += module.weight.numel() * (output.shape[2] * output.shape[3] if output.ndim == 4 else 1)

    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            module.register_forward_hook(seen)
    with torch.no_grad():
        network(torch.zeros(1, 3, 32, 32))
    facts = SPACE.facts(arch)
    assert (count(network), macs) == (facts["params"], facts["flops"])


def test_the_imagenet_network_is_what_the_space_says():
    space = Darts(stem="imagenet")
    network = DartsNetwork(V2.choices, **space.sizes(48, 14), classes=1000, auxiliary=True)
    assert count(network) - count(network.auxiliary_head) == space.facts(V2)["params"]
    small = DartsNetwork(V2.choices, **space.sizes(4, 3), classes=5, auxiliary=True)
    logits, auxiliary = small(torch.randn(2, 3, 224, 224))  # 7x7 where the head stands
    assert logits.shape == auxiliary.shape == (2, 5)


def test_the_auxiliary_head_is_there_in_training_alone_and_has_a_gradient():
    network = DartsNetwork(V2.choices, channels=4, cells=3, auxiliary=True)
    logits, auxiliary = network(torch.randn(2, 3, 32, 32))
    assert logits.shape == auxiliary.shape == (2, 10)
    auxiliary.sum().backward()
    assert network.auxiliary_head.classifier.weight.grad is not None
    assert network.classifier.weight.grad is None
    assert isinstance(network.eval()(torch.randn(2, 3, 32, 32)), torch.Tensor)
    assert count(AuxiliaryHead(16 * 36, 10, "cifar")) == 476_426
    # the head for ImageNet has no norm before its classifier: 2 * 768 fewer
    assert count(AuxiliaryHead(16 * 36, 10, "imagenet")) == 476_426 - 1_536


def test_an_auxiliary_head_on_small_images_is_refused():
    network = DartsNetwork(V2.choices, channels=4, cells=3, auxiliary=True)
    with pytest.raises(BenchbedError, match="features of 7x7 where at least 8x8 are needed"):
        network(torch.randn(2, 3, 28, 28))


# -- drop path (pitfall 20) ------------------------------------------------------------------------------------------


def images(n=6):
    return torch.randn(n, 3, 8, 8, generator=torch.Generator().manual_seed(0))


def made(arch=V2, drop_path=0.0, space=SPACE):
    torch.manual_seed(0)
    network = DartsNetwork(arch.choices, **space.sizes(4, 3), classes=5)
    network.drop_path = drop_path
    return network


def test_drop_path_leaves_out_whole_samples_scales_the_others_and_spares_identities():
    network, seen = made(drop_path=0.4), {}
    cell, x = network.cells[0], images(4000)
    for name in ("0->2", "1->2", "0->5", "2->5"):
        cell.edges[name].register_forward_hook(lambda m, i, o, name=name: seen.__setitem__(name, o.detach()))
    cell.register_forward_hook(lambda m, i, o: seen.__setitem__("out", o.detach()))
    with torch.no_grad():
        network(x)
    a, b = seen["0->2"] / 0.6, seen["1->2"] / 0.6
    node = seen["out"][:, :4]
    sums = torch.stack([torch.zeros_like(node), a, b, a + b])
    off = (sums - node).abs().amax((2, 3, 4))  # (4, n): which of the two were kept, by sample
    kept = off.argmin(0)
    assert off.min(0).values.max() < 1e-5
    frequencies = torch.bincount(kept, minlength=4) / len(x)
    expected = torch.tensor([0.16, 0.24, 0.24, 0.36])
    assert (frequencies - expected).abs().max() < 4 * (0.24 / len(x)) ** 0.5 * 1.1
    # node 5: an identity of node 0, always there, and a dilated convolution, there in 60 % of the samples
    left = seen["out"][:, 12:] - seen["0->5"]
    dropped = left.abs().amax((1, 2, 3)) < 1e-6
    assert abs(float(dropped.float().mean()) - 0.4) < 0.04


def test_drop_path_does_nothing_in_evaluation_or_at_zero():
    still, dropping = made(), made(drop_path=0.5)
    x = images()
    torch.testing.assert_close(still.eval()(x), dropping.eval()(x), rtol=0, atol=0)
    assert not torch.allclose(still.train()(x), dropping.train()(x))
    dropping.drop_path = 0.0
    torch.testing.assert_close(still(x), dropping(x), rtol=0, atol=0)


def test_drop_path_writes_to_nothing_that_it_is_given():
    network, x = made(drop_path=0.5), images()
    before = x.clone()
    network(x).sum().backward()
    assert torch.equal(x, before)


def test_what_is_drawn_follows_from_the_state_and_from_no_global_generator():
    one, other, x = made(drop_path=0.5), made(drop_path=0.5), images()
    one(x)
    state = {name: value.clone() for name, value in one.state_dict().items()}
    dice = torch.get_rng_state()
    expected = one(x).detach()
    assert torch.equal(dice, torch.get_rng_state())
    torch.rand(5)
    other.load_state_dict(state)
    torch.testing.assert_close(other(x).detach(), expected, rtol=0, atol=0)
    assert not torch.allclose(other(x), expected)


def test_the_masks_of_a_pass_are_one_draw_and_each_path_has_its_own():
    """By the formula: 1 / (1 - p) where a uniform draw is at least p, else 0; seeded by the pass."""
    network, p, n = made(drop_path=0.3), 0.3, 500
    identities = sum(isinstance(m, nn.Identity) for cell in network.cells for m in cell.edges.values())
    edges = sum(len(cell.edges) for cell in network.cells)
    assert 0 < network.paths == edges - identities
    network.passes = 4
    kept = network.drawn(n)
    generator = torch.Generator().manual_seed(derive(network.seed, "pass-5"))
    uniform = torch.rand(network.paths, n, 1, 1, 1, generator=generator)
    assert torch.equal(kept, (uniform >= p) / (1 - p))
    frequencies = (kept > 0).double().mean((1, 2, 3, 4))
    assert (frequencies - 0.7).abs().max() < 4.5 * (0.21 / n) ** 0.5
    assert len({tuple(row.flatten().tolist()) for row in kept}) == network.paths


def test_a_pass_with_masks_that_were_drawn_before_it_is_the_pass_that_draws_them():
    one, other, x = made(drop_path=0.5), made(drop_path=0.5), images()
    for drop_path in (0.5, 0.0, 0.5):
        one.drop_path = other.drop_path = drop_path
        assert torch.equal(one(x), other(x, other.drawn(len(x))))
        assert (one.seed, one.passes) == (other.seed, other.passes)
    assert not torch.equal(one(x), other(x, torch.roll(other.drawn(len(x)), 1, 0))), "a path takes its own slice"


def test_every_path_takes_its_slice_in_turn():
    """With one mask alone that is not zero, the first cell's node is that path's output, by its factor."""
    network, x, checked = made(), images(), 0
    cell, seen = network.cells[0], {}
    cell.register_forward_hook(lambda m, i, o: seen.__setitem__("out", o.detach()))
    paths = [name for name, m in cell.edges.items() if not isinstance(m, nn.Identity)]
    for number, name in enumerate(paths):
        node = int(name.split(">")[1])
        same = [m for other, m in cell.edges.items() if other.endswith(f">{node}")]
        if any(isinstance(m, nn.Identity) for m in same):
            continue  # an identity is never left out
        kept = torch.zeros(network.paths, len(x), 1, 1, 1)
        kept[number] = 2.0
        handle = cell.edges[name].register_forward_hook(lambda m, i, o: seen.__setitem__("path", o.detach()))
        network(x, kept)
        handle.remove()
        torch.testing.assert_close(seen["out"][:, 4 * (node - 2) : 4 * (node - 1)], 2 * seen["path"])
        checked += 1
    assert checked >= 2


def test_noise_is_drawn_anew_in_training_and_repeats_in_evaluation():
    space = DartsS4()
    arch = space.architecture_of(space.keep_strongest((0,) * 28, [0.0] * 28))
    network = made(arch, space=space)
    assert len(network.noises) == 8 * 3
    assert not torch.allclose(network(images()), network(images()))
    network.eval()
    torch.testing.assert_close(network(images()), network(images()), rtol=0, atol=0)
    assert Noise(2).eval()(torch.zeros(2, 3, 5, 8)).shape == (2, 3, 3, 4)
    drawn = [noise(torch.zeros(1, 2, 4, 4)) for noise in network.noises if noise.stride == 1]
    assert len({one.sum().item() for one in drawn}) == len(drawn), "edges do not share their noise"


# -- refusals --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"choices": (1,) * 14}, "14 choices name no DARTS cells: 28 numbers"),
        ({"choices": (8, *V2.choices[1:])}, "choice 8 at position 0 of a DARTS network: expected -1 to 7"),
        ({"cells": 2}, "cells of 2: a DARTS network needs at least 3"),
        ({"channels": 1}, "channels of 1"),
        ({"stem": "cifr"}, "stem of a DARTS network 'cifr': did you mean 'cifar'"),
    ],
)
def test_what_does_not_fit_is_refused(arguments, words):
    with pytest.raises(BenchbedError, match=words):
        DartsNetwork(**{"choices": V2.choices, **arguments})


def test_an_unknown_operation_is_refused():
    with pytest.raises(BenchbedError, match="darts operation 'sep_conv_7x7'"):
        operation_of("sep_conv_7x7", 4, 1)
