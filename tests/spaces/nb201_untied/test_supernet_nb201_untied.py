"""With all cells equal the untied supernet and network are exactly the tied ones."""

import pytest
import torch
from torch.nn import functional as F

from benchbed.layers.plan import Run, plan
from benchbed.spaces.nb201.network import NB201Network
from benchbed.spaces.nb201.space import CONV1, CONV3, NB201
from benchbed.spaces.nb201.supernet import NB201Supernet
from benchbed.spaces.nb201_untied.network import NB201UntiedNetwork
from benchbed.spaces.nb201_untied.space import NB201Untied
from benchbed.spaces.nb201_untied.supernet import NB201UntiedSupernet

CELLS = 2
COUNT = 3 * CELLS


def both():
    """The tied and the untied supernet with the same weights."""
    found = []
    for kind in (NB201Supernet, NB201UntiedSupernet):
        torch.manual_seed(0)
        found.append(kind(channels=2, cells=CELLS, classes=4).double())
    return found


def images():
    return torch.randn(4, 3, 8, 8, dtype=torch.float64, generator=torch.Generator().manual_seed(1))


def gates(kind):
    dense = torch.rand(6, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(2)).softmax(1)
    if kind == "dense":
        return dense
    path = F.one_hot(torch.tensor([3, 1, 4, 2, 3, 1]), 5).double()
    return path if kind == "path" else torch.where(torch.arange(6)[:, None] % 2 == 0, path, dense)


@pytest.mark.parametrize("probe", [Run.PROBED, Run.ECHOED, Run.GATED])
@pytest.mark.parametrize("kind", ["dense", "path", "both"])
def test_equal_cells_give_the_tied_logits_and_their_gate_gradients_sum_to_the_tied_one(kind, probe):
    labels, found = torch.tensor([0, 3, 1, 2]), []
    for network, repeats in zip(both(), (1, COUNT), strict=True):
        at = gates(kind).repeat(repeats, 1).requires_grad_()
        logits = network(images(), at, plan(at, torch.ones(at.shape, dtype=torch.bool), probe))
        loss = F.cross_entropy(logits, labels)
        loss.backward()
        found.append((logits.detach(), at.grad, [w.grad for w in network.parameters()]))
    torch.testing.assert_close(found[0][0], found[1][0], rtol=0, atol=0)
    by_cell = found[1][1].reshape(COUNT, 6, 5)
    torch.testing.assert_close(by_cell.sum(0), found[0][1], rtol=1e-9, atol=1e-12)
    assert (by_cell[0] - by_cell[1]).abs().max() > 1e-6  # the cells do have gates of their own
    torch.testing.assert_close(found[0][2], found[1][2], rtol=1e-9, atol=1e-12)


def test_each_cell_follows_its_own_gates():
    network, space = both()[1], NB201Untied(CELLS)
    arch = space.architecture_of(tuple((7 * i + i // 6) % 4 + 1 for i in range(6 * COUNT)))
    one_hot = torch.from_numpy(space.gates(arch)).double()
    network(images(), one_hot, plan(one_hot)).sum().backward()
    for i, chosen in enumerate(arch.choices):
        for column in (CONV1, CONV3):
            (weight,) = network.candidate_weights(i, column)
            assert (weight.grad is not None) == (column == chosen)
    candidates = {id(w) for i in range(6 * COUNT) for k in range(5) for w in network.candidate_weights(i, k)}
    assert len(candidates) == 2 * 6 * COUNT


def test_at_one_hot_gates_it_is_the_discrete_network_with_its_weights():
    network, space = both()[1], NB201Untied(CELLS)
    arch = space.architecture_of(tuple((5 * i + i // 6) % 4 + 1 for i in range(6 * COUNT)))
    discrete = NB201UntiedNetwork(arch.choices, channels=2, cells=CELLS, classes=4).double().train()
    with torch.no_grad():
        discrete.stem[0].weight.copy_(network.stem)
        discrete.classifier.load_state_dict(network.classifier.state_dict())
        number = 0
        for theirs, ours in zip(discrete.blocks, network.blocks, strict=True):
            if hasattr(ours, "conv_a"):
                theirs.conv_a[0].weight.copy_(ours.conv_a)
                theirs.conv_b[0].weight.copy_(ours.conv_b)
                theirs.shortcut.weight.copy_(ours.shortcut)
                continue
            for e, (source, target) in enumerate(((0, 1), (0, 2), (1, 2), (0, 3), (1, 3), (2, 3))):
                k = arch.choices[6 * number + e]
                if k in (CONV1, CONV3):
                    kernel = ours.conv1[e] if k == CONV1 else ours.conv3[e]
                    theirs.edges[f"{target}<-{source}"][0].weight.copy_(kernel)
            number += 1
    one_hot = torch.from_numpy(space.gates(arch)).double()
    torch.testing.assert_close(network(images(), one_hot, plan(one_hot)), discrete(images()), rtol=1e-9, atol=1e-11)


def test_equal_cells_give_the_tied_network():
    choices, found = (
        NB201().parse("|nor_conv_3x3~0|+|none~0|skip_connect~1|+|avg_pool_3x3~0|none~1|nor_conv_1x1~2|"),
        [],
    )
    for kind, repeats in ((NB201Network, 1), (NB201UntiedNetwork, COUNT)):
        torch.manual_seed(0)
        network = kind(choices.choices * repeats, channels=2, cells=CELLS)
        found.append((network.eval()(images().float()), list(network.state_dict())))
    torch.testing.assert_close(found[0][0], found[1][0], rtol=0, atol=0)
    assert found[0][1] == found[1][1]
