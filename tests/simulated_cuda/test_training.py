"""A discrete network's training on the device: from graphs, what a step costs, and batch norm over processes."""

from collections.abc import Callable
from itertools import islice

import pytest
import torch
from device import Device, each
from torch import nn

from benchbed.images.augment import Augment
from benchbed.objectives import capture
from benchbed.spaces.darts.network import DartsNetwork
from benchbed.spaces.darts.space import Darts
from benchbed.spaces.nb201.network import NB201Network
from benchbed.streams import seeded
from benchbed.task import Split
from benchbed.training.recipe import Recipe
from benchbed.training.train import Training

V2 = Darts().resolve("DARTS_V2")[1].choices


def darts(cells: int = 3) -> DartsNetwork:
    return DartsNetwork(V2, channels=4, cells=cells, classes=3, in_channels=1)


def nb201() -> nn.Module:
    return NB201Network((3, 1, 2, 4, 3, 1), channels=4, cells=1, classes=3, in_channels=1)


def training(make: Callable[[], nn.Module], images: int = 50, side: int = 8, **options: object) -> Training:
    """50 images in batches of 8: the last batch of an epoch has 2."""
    g = torch.Generator().manual_seed(0)
    split = Split(torch.randn(images, 1, side, side, generator=g), torch.randint(3, (images,), generator=g))
    recipe = Recipe(**{"epochs": 2, "batch": 8, "lr": 0.1, "clip": 5.0} | options)
    with seeded(torch.Generator().manual_seed(1)):
        network = make()
    order, mixing = (torch.Generator().manual_seed(seed) for seed in (2, 3))
    augment = Augment(1, (0.0,))
    return Training(network, split, recipe, order, augment, device="cuda", mixing=mixing)


def state(made: Training) -> list[torch.Tensor]:
    return [value.detach().cpu() for value in made.measured.state_dict().values()]


CASES = {
    "cell": (nb201, {}),
    "drop path": (darts, {"drop_path": 0.4}),
    "mixed in bfloat16": (nb201, {"mixup": 0.4, "cutmix": 1.0, "bf16": True, "ema": 0.9}),
}


@pytest.mark.parametrize("case", CASES)
def test_a_training_from_graphs_is_the_one_without_bit_for_bit(case: str) -> None:
    make, options = CASES[case]
    plain, graph = training(make, **options), training(make, graph=True, **options)
    for _ in range(2):
        assert plain.epoch()["loss"] == graph.epoch()["loss"]
    assert graph.recorded is not None
    assert len(graph.recorded.recordings.kept) == 1
    assert all(torch.equal(a, b) for a, b in zip(state(plain), state(graph), strict=True))


@pytest.mark.parametrize("fault", ["statistics of the runs before a recording stay", "a stale label"])
def test_a_planted_fault_is_found(fault: str, monkeypatch: pytest.MonkeyPatch) -> None:
    plain, graph = training(nb201), training(nb201, graph=True)
    assert graph.recorded is not None
    if fault.startswith("statistics"):
        graph.recorded.recordings.record = capture.cuda_graph
    else:
        step = capture.StaticStep.__call__

        def stale(self: capture.StaticStep, inputs: capture.Inputs) -> capture.Outputs:
            return step(self, (inputs[0], self.buffers[1], *inputs[2:]))

        monkeypatch.setattr(capture.StaticStep, "__call__", stale)
    plain.epoch(), graph.epoch()
    assert not all(torch.equal(a, b) for a, b in zip(state(plain), state(graph), strict=True))


# -- what a step costs -------------------------------------------------------------------------------------------------


def darts_training() -> DartsNetwork:
    return DartsNetwork(V2, channels=4, cells=20, classes=3, in_channels=1, auxiliary=True)


@pytest.mark.parametrize(
    ("make", "options", "launches", "copies"),
    [
        (nb201, {}, 240, 0),
        (nb201, {"ema": 0.9, "mixup": 0.4}, 330, 2),  # torch's average copies its count for weights and for buffers
        (darts_training, {"auxiliary": 0.4, "drop_path": 0.2, "cutout": 4, "clip": 5.0}, 3_750, 0),
    ],
    ids=["cell", "averaged and mixed", "DARTS"],
)
def test_a_step_keeps_to_its_budget_and_waits_for_nothing(
    make: Callable[[], nn.Module], options: dict[str, float], launches: int, copies: int, device: Device
) -> None:
    """Batches of two images of 32x32. Neither the loss nor anything else is read, and no copy waits."""
    made = training(make, images=6, side=32, batch=2, **options)
    made.network.train()
    made.network.drop_path = options.get("drop_path", 0.0)  # type: ignore[assignment]
    read = made._read(made._begun())
    made._step(islice(read, 1))
    device.reset()
    made._step(islice(read, 1))
    found = sum(device.launches.values())
    assert not device.syncs, [*each(device.syncs)]
    assert sum(device.copies.values()) == copies, [*each(device.copies)]
    assert 0.9 * launches < found <= launches, (found, [*each(device.launches)][:8])


def test_the_masks_of_a_pass_come_in_one_copy(device: Device) -> None:
    """And a path takes one launch: the network of 20 cells has 118 paths."""
    found = []
    for drop_path in (0.0, 0.2):
        network = darts(20).to("cuda")
        network.drop_path, x = drop_path, torch.randn(2, 1, 8, 8).cuda()
        device.reset()
        network(x)
        found.append((sum(device.launches.values()), sum(device.queued.values())))
    (launches, copies), (more, one_more) = found
    assert network.paths == 118
    assert (more - launches, one_more - copies) == (118 + 1, 1)


def test_batch_norm_over_processes_is_torchs_own_and_alone_changes_nothing() -> None:
    plain, made = training(nb201), training(nb201, sync_bn=True)
    norms = [m for m in made.network.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm)]
    assert len(norms) == sum(isinstance(m, nn.BatchNorm2d) for m in plain.network.modules())
    assert {type(m) for m in norms} == {nn.SyncBatchNorm}
    assert plain.epoch()["loss"] == made.epoch()["loss"]
    assert all(torch.equal(a, b) for a, b in zip(state(plain), state(made), strict=True))
