"""A training from recordings is the eager one, bit for bit; on a CPU, where `imitated` stands in for the graph.

On the simulated device: tests/simulated_cuda/test_training.py.
"""

from collections.abc import Callable

import pytest
import torch
from torch import nn

from benchbed.errors import BenchbedError
from benchbed.objectives.capture import WARM_UP
from benchbed.spaces.darts.network import DartsNetwork
from benchbed.spaces.darts.space import Darts
from benchbed.spaces.load import load_space
from benchbed.spaces.nb201.network import NB201Network
from benchbed.streams import seeded
from benchbed.task import Split
from benchbed.training.cell import check_recipe
from benchbed.training.recipe import LATER, Recipe, check_device
from benchbed.training.recorded import Recorded, check_graph
from benchbed.training.train import Training

from ..imitated import Imitated

V2 = Darts().resolve("DARTS_V2")[1].choices


def darts() -> nn.Module:
    return DartsNetwork(V2, channels=4, cells=3, classes=3, in_channels=1)


def nb201() -> nn.Module:
    return NB201Network((3, 1, 2, 4, 3, 1), channels=4, cells=1, classes=3, in_channels=1)


def training(make: Callable[[], nn.Module], images: int = 50, **options: object) -> Training:
    """50 images in batches of 8: the last batch of an epoch has 2."""
    g = torch.Generator().manual_seed(0)
    split = Split(torch.randn(images, 1, 8, 8, generator=g), torch.randint(3, (images,), generator=g))
    recipe = Recipe(**{"epochs": 3, "batch": 8, "lr": 0.1, "clip": 5.0} | options)
    with seeded(torch.Generator().manual_seed(1)):
        network = make()
    order, mixing = (torch.Generator().manual_seed(seed) for seed in (2, 3))
    return Training(network, split, recipe, order, mixing=mixing)


def recorded(made: Training) -> Imitated:
    recorder = Imitated(WARM_UP)
    made.recorded = Recorded(made.network, made._precision, made.loss, recorder)
    return recorder


def assert_same(one: nn.Module, other: nn.Module) -> None:
    for (name, a), b in zip(one.state_dict().items(), other.state_dict().values(), strict=True):
        assert torch.equal(a, b), name


MIXED = {"mixup": 0.4, "cutmix": 1.0, "label_smoothing": 0.1, "ema": 0.9}


@pytest.mark.parametrize(
    ("make", "options"),
    [(nb201, {}), (nb201, MIXED), (nb201, {"bf16": True}), (darts, {"drop_path": 0.4}), (darts, MIXED)],
    ids=["cell", "mixed", "bf16", "drop path", "darts mixed"],
)
def test_a_recorded_training_is_the_eager_one_bit_for_bit(
    make: Callable[[], nn.Module], options: dict[str, object]
) -> None:
    """Running statistics too, which the runs before a recording must not have moved, and what is drawn."""
    plain, static = training(make, **options), training(make, **options)
    recorder = recorded(static)
    for _ in range(3):
        one, other = plain.epoch(), static.epoch()
        assert (one["loss"], one["lr"]) == (other["loss"], other["lr"])
    drops = "drop_path" in options  # from the second epoch on
    assert recorder.recorded == 1 + drops, "whole batches are recorded once for all epochs, rests run eagerly"
    assert len(static.recorded.recordings.kept) == 1, "what is no longer asked for is let go"
    assert_same(plain.network, static.network)
    assert_same(plain.measured, static.measured)


def test_without_putting_them_back_running_statistics_are_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("benchbed.training.recorded.leaving_statistics", lambda network, record: record)
    plain, static = training(nb201), training(nb201)
    recorded(static)
    plain.epoch(), static.epoch()
    assert not torch.equal(plain.network.state_dict()["stem.1.running_mean"],
                           static.network.state_dict()["stem.1.running_mean"])  # fmt: skip


def test_a_state_goes_on_in_a_training_that_has_recorded() -> None:
    plain, static = training(darts, drop_path=0.4), training(darts, drop_path=0.4)
    recorded(static)
    plain.epoch()
    saved = plain.state()
    static.epoch(), static.epoch()
    static.load_state(saved)
    assert [plain.epoch()["loss"] for _ in range(2)] == [static.epoch()["loss"] for _ in range(2)]
    assert_same(plain.network, static.network)


# -- refusals ------------------------------------------------------------------------------------------------------


def test_what_needs_a_cuda_device_is_refused_in_one_line() -> None:
    with pytest.raises(BenchbedError, match=r"^scoring option graph=true: needs a CUDA device, this one is 'cpu'$"):
        training(nb201, graph=True)
    said = r"^scoring option sync_bn=true: needs a CUDA device \(torch has it there alone\), this one is 'cpu'$"
    with pytest.raises(BenchbedError, match=said):
        training(nb201, sync_bn=True)
    check_device(Recipe(epochs=1, batch=2, lr=0.1, graph=True), torch.device("cuda"))


def test_torch_itself_refuses_to_synchronise_batch_norm_on_a_cpu() -> None:
    """The reason of the refusal: where torch learns to, it is to go."""
    source = nn.SyncBatchNorm.forward
    made = nn.SyncBatchNorm(3)
    assert source is type(made).forward
    torch.distributed.init_process_group("gloo", init_method="tcp://127.0.0.1:0", rank=0, world_size=1)
    try:
        with pytest.raises(ValueError, match="SyncBatchNorm expected input tensor to be on"):
            made(torch.randn(2, 3, 4, 4))
    finally:
        torch.distributed.destroy_process_group()


@pytest.mark.parametrize(("name", "options"), [("darts-s4", {}), ("proxyless-cifar", {"drop_path": 0.2})])
def test_networks_that_draw_as_they_run_are_refused(name: str, options: dict[str, float]) -> None:
    recipe = Recipe(epochs=1, batch=2, lr=0.1, graph=True)
    small = {"preset": "small"} if name == "proxyless-cifar" else {}
    said = r"^scoring.graph = true: this network draws as it runs \(drop path or noise\)"
    with pytest.raises(BenchbedError, match=said):
        check_recipe(load_space(name, options | small), recipe, channels=4, cells=3)


def test_dropout_is_refused_where_it_drops() -> None:
    with pytest.raises(BenchbedError, match=r"runs \(dropout of 0.3\), and no graph does; set it to false$"):
        check_graph(nn.Sequential(nn.Dropout(0.3)))
    check_graph(nn.Sequential(nn.Dropout(0.0)))
    check_recipe(load_space("darts", {}), Recipe(epochs=1, batch=2, lr=0.1, graph=True), channels=4, cells=3)


@pytest.mark.parametrize("other", [{"accumulate": 2}, {"sync_bn": True}], ids=str)
def test_what_does_not_go_with_a_graph_is_refused(other: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=f"graph goes with no {next(iter(other))}"):
        Recipe(epochs=1, batch=2, lr=0.1, graph=True, **other)


@pytest.mark.parametrize("option", ["graph", "sync_bn"])
def test_at_their_defaults_they_are_no_part_of_a_name(option: str) -> None:
    assert option not in Recipe(epochs=1, batch=2, lr=0.1, **{option: False}).model_dump()
    assert LATER[option] is False


CELL = "|nor_conv_3x3~0|+|nor_conv_1x1~0|skip_connect~1|+|none~0|avg_pool_3x3~1|nor_conv_3x3~2|"


@pytest.mark.parametrize("option", ["graph", "sync_bn"])
def test_a_command_refuses_them_before_anything_is_trained(refused, tiny_file, tmp_path, monkeypatch, option):
    monkeypatch.chdir(tmp_path)
    given = ("--task", f"npz:{tiny_file}", "--set", f"scoring.{option}=true", "--device", "cpu")
    said = f"scoring option {option}=true: needs a CUDA device"
    assert said in refused("train", "--arch", CELL, *given)
    assert said in refused("run", "--searcher", "random", "--selector", "random", *given)
    assert not list(tmp_path.glob("runs/searches/*/record.json"))
