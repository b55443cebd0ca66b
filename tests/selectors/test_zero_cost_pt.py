"""Zero-Cost-PT: a proxy that is the accuracy decides as perturbation does; nothing of the supernet is changed."""

import pytest
import torch
from pydantic import ValidationError

from benchbed.errors import BenchbedError
from benchbed.objectives.options import SupernetOptions
from benchbed.objectives.supernet import SupernetObjective
from benchbed.proxies.nwot import Nwot
from benchbed.proxies.nwot import Options as NwotOptions
from benchbed.proxy import Case
from benchbed.selection.zero_cost import WORST, check_proxy, known, scores
from benchbed.selectors.perturb import Options as PerturbOptions
from benchbed.selectors.perturb import Perturb
from benchbed.selectors.zero_cost_pt import Options, ZeroCostPT
from benchbed.spaces.nb201.network import NB201Network
from benchbed.spaces.nb201.space import NB201
from benchbed.streams import Streams
from benchbed.task import Seal, Split, Task
from benchbed.testing.selector_suite import Bench
from benchbed.testing.toys import ToyCell, ToySpace, ToyTable, random_table


def noise_task() -> Task:
    generator = torch.Generator().manual_seed(0)
    splits = [Split(torch.randn(n, 3, 8, 8, generator=generator), torch.arange(n) % 4) for n in (96, 48, 48)]
    return Task("noise", 4, (3, 8, 8), splits[0], splits[1], Seal(lambda: splits[2]), "noise")


def supernet(seed: int = 0) -> SupernetObjective:
    options = SupernetOptions(channels=4, cells=1, batch=32, valid_batch=24, eval_batch=48)
    return SupernetObjective(NB201(), noise_task(), options, Streams(seed), 1)


@pytest.mark.parametrize("space", [ToySpace, ToyCell])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_a_proxy_that_is_the_accuracy_decides_as_perturbation_does(space, seed) -> None:
    found = []
    for selector in (ZeroCostPT(Options(proxy="accuracy", pool=1, rounds=1)), Perturb(PerturbOptions(interval=0))):
        bench = Bench(space(), ToyTable(space(), random_table(space(), seed).losses), Streams(seed))
        found.append(bench.run(selector))
    assert found[0].architecture == found[1].architecture
    assert torch.equal(*(torch.from_numpy(one.scores).nan_to_num(7.0) for one in found))


def test_the_pool_holds_proposals_in_orders_of_their_own_and_the_best_path_is_kept() -> None:
    """On a table the winner is the most accurate of the proposals, measured alone."""
    space = ToySpace()
    table = ToyTable(space, random_table(space, 4).losses)
    found = Bench(space, table, Streams(4)).run(ZeroCostPT(Options(proxy="accuracy", pool=6, rounds=2)))
    proposals = [space.parse(text) for text in found.notes["proposals"]]
    gates = torch.stack([torch.from_numpy(space.gates(one)) for one in proposals])
    accuracies = table.measure(gates).accuracy
    assert found.architecture == proposals[int(accuracies.argmax())]
    assert found.notes["totals"] == pytest.approx((2 * accuracies).tolist())


def test_it_runs_on_an_untrained_supernet_and_changes_nothing_of_it() -> None:
    objective = supernet()
    before = {key: value.clone() for key, value in objective.network.state_dict().items()}
    bench = Bench(NB201(), objective, Streams(0))
    found = bench.run(ZeroCostPT(Options(pool=2, rounds=2)))
    assert len(found.notes["proposals"]) == 2
    after = objective.network.state_dict()
    assert all(torch.equal(value, after[key]) for key, value in before.items())
    assert all(p.grad is None and p.requires_grad for p in objective.network.parameters())


def test_at_one_hot_gates_it_is_the_score_of_the_discrete_network() -> None:
    """nwot of the supernet at a cell's path is nwot of a network with the same weights (no bias that is not zero)."""
    objective, space = supernet(), NB201()
    cell = space.parse("|nor_conv_3x3~0|+|nor_conv_1x1~0|skip_connect~1|+|none~0|nor_conv_3x3~1|nor_conv_3x3~2|")
    batch = objective.batch("train")
    gates = torch.from_numpy(space.gates(cell))[None, None]
    found = scores(objective, gates, "nwot", batch, 0)

    def build() -> NB201Network:
        network, cells = NB201Network(cell.choices, 4, 1, 4, 3), 0
        network.stem[0].weight.data.copy_(objective.network.stem)
        for block, own in zip(network.blocks, objective.network.blocks, strict=True):
            if hasattr(block, "edges"):
                cells += 1
                for edge, (node, source) in enumerate(((1, 0), (2, 0), (2, 1), (3, 0), (3, 1), (3, 2))):
                    name = f"{node}<-{source}"
                    if name in block.edges:
                        kernels = own.conv1 if cell.choices[edge] == 2 else own.conv3
                        block.edges[name][0].weight.data.copy_(kernels[edge])
            else:
                block.conv_a[0].weight.data.copy_(own.conv_a)
                block.conv_b[0].weight.data.copy_(own.conv_b)
                block.shortcut.weight.data.copy_(own.shortcut)
        assert cells == 3
        return network

    case = Case(space, cell, (3, 8, 8), 4, 4, 1, 0, Split(batch.images, batch.labels), build, torch.device("cpu"))
    assert float(found[0]) == pytest.approx(Nwot(NwotOptions(batch=32)).score(case), rel=1e-4)


def test_a_path_through_which_nothing_flows_is_the_worst() -> None:
    objective, space = supernet(), NB201()
    cells = ["|none~0|+|none~0|none~1|+|none~0|none~1|none~2|",
             "|skip_connect~0|+|nor_conv_3x3~0|none~1|+|none~0|none~1|nor_conv_3x3~2|"]  # fmt: skip
    gates = torch.stack([torch.from_numpy(space.gates(space.parse(text))) for text in cells])[:, None]
    dead, alive = scores(objective, gates, "jacov", objective.batch("train"), 0).tolist()
    assert dead == WORST < alive


def test_an_order_that_it_does_not_have_is_refused() -> None:
    with pytest.raises(ValidationError, match="order"):
        ZeroCostPT.Options(order="global-op-once")


def test_what_scores_no_supernet_is_refused_by_name() -> None:
    assert known() == ["accuracy", "epe-nas", "jacov", "nwot"]
    with pytest.raises(BenchbedError, match="'synflow', which scores a discrete network's own layers, not a supernet"):
        check_proxy("synflow", None)
    with pytest.raises(BenchbedError, match="proxy 'nwott': expected one of accuracy, epe-nas, jacov, nwot"):
        check_proxy("nwott", None)
    space = ToySpace()
    table = ToyTable(space, random_table(space, 0).losses)
    with pytest.raises(BenchbedError, match="proxy 'nwot' scores a network, and this objective has none"):
        check_proxy("nwot", table)
