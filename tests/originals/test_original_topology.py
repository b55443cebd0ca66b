"""DARTS-PT's projection of the DARTS space beside its authors' code: operations, then inputs, of both cells."""

from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from benchbed import registry
from benchbed.selector import Context
from benchbed.spaces.darts.space_s5 import DartsS5
from benchbed.streams import Streams
from benchbed.task import Split

from . import cells201, clones, darts_space
from .ours import CLASSES, objective, patterns, searcher

BATCH, PARTS, EPOCHS, CHANNELS, CELLS = 24, 1, 20, 2, 3
EDGES = 14  # of a cell
NAMES = {"acc": "accuracy (percent)", "loss": "loss"}
NODES = ((2, 3, 4), (5, 6, 7, 8), (9, 10, 11, 12, 13))  # whose inputs are chosen, by their edges


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[ModuleType]:
    """Their train_search.py of this space; it makes a folder above where it is."""
    for name in ("sota/cnn", "experiments/sota/cifar10"):
        (tmp_path / name).mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "sota" / "cnn")
    monkeypatch.setattr(nn.Module, "PRIMITIVES", None, raising=False)  # where their network puts its operations
    arguments = ("--method", "darts", "--search_space", "s5", "--proj_intv", "1")
    folder = clones.clone("darts-pt")
    with clones.script(folder, "sota.cnn.train_search", *arguments, beside=cells201.BESIDE) as found:
        yield found


def made(script: ModuleType, kind: str) -> tuple[Any, Any]:
    """Their network and its Architect."""
    args = script.args
    model = getattr(script, kind)(CHANNELS, CLASSES, CELLS, nn.CrossEntropyLoss(), script.spaces_dict["s5"], args)
    return model, script.Architect(model, args)


def searched(script: ModuleType, folder: Path) -> Path:
    """The checkpoint after some epochs of their search, in float32, as their main() writes it."""
    torch.set_default_dtype(torch.float32)
    torch.manual_seed(0)
    model, architect = made(script, "DartsNetwork")
    queues = [DataLoader(TensorDataset(s.images, s.labels), BATCH, shuffle=True) for s in patterns(PARTS * BATCH)]
    for epoch in range(EPOCHS):
        script.train(*queues, model, architect, model.optimizer, 0.025, epoch, None, None)
    held = {"epoch": EPOCHS, "state_dict": model.state_dict(), "alpha": model.arch_parameters()}
    held |= {"optimizer": model.optimizer.state_dict(), "arch_optimizer": architect.optimizer.state_dict()}
    script.ig_utils.save_checkpoint(held, False, str(folder), per_epoch=True)
    torch.set_default_dtype(torch.float64)
    return folder / f"checkpoint_{EPOCHS}.pth.tar"


class Projected:
    """What their pt_project did: before each event the supernet, and every operation and pair of inputs that it kept.

    Positions are ours: a reduction cell's edges come after a normal cell's.
    """

    def __init__(self) -> None:
        self.weights: list[dict[str, Tensor]] = []
        self.alphas: list[Tensor] = []
        self.operations, self.kept = dict[int, int](), dict[int, tuple[int, ...]]()  # by position, by node
        self.measured, self.now = dict[int, list[float]](), list[float]()  # by position


def projected(script: ModuleType, file: Path, criterion: str, patch: pytest.MonkeyPatch) -> Projected:
    """From the checkpoint, in float64, edge after edge and node after node, an epoch of tuning after each."""
    args, found = script.args, Projected()
    args.method, args.edge_decision = "darts-proj", "random"
    args.proj_crit_normal = args.proj_crit_reduce = criterion
    args.dev_save_checkpoint_dir = str(file.parent)
    model, architect = made(script, "DartsNetworkProj")
    saved = torch.load(file)
    model.load_state_dict(saved["state_dict"])
    model.set_arch_parameters(saved["alpha"])
    architect.optimizer.load_state_dict(saved["arch_optimizer"])
    halves = [Split(s.images.double(), s.labels) for s in patterns(PARTS * BATCH)]
    queues = [[(s.images[i : i + BATCH], s.labels[i : i + BATCH]) for i in range(0, len(s), BATCH)] for s in halves]
    asked = [0]

    def choice(remaining: np.ndarray, size: int) -> np.ndarray:
        if asked[0] % 2 == 0:  # of the normal cell; that of the reduction cell follows at once
            found.weights.append({name: w.detach().clone() for name, w in model.named_parameters()})
            found.alphas.append(torch.cat([a.detach().clone() for a in model.arch_parameters()]))
        asked[0] += 1
        found.now = []
        return remaining[:size]

    def infer(*given: Any, **own: Any) -> tuple[Any, Any]:
        stats = script.infer(*given, **own)
        if "weights_dict" in own:
            found.now.append(float(stats[criterion == "loss"]))
        return stats

    def project_op(edge: int, operation: int, cell_type: str) -> None:
        position = int(edge) + EDGES * (cell_type == "reduce")
        found.operations[position], found.measured[position] = int(operation), found.now
        type(model).project_op(model, edge, operation, cell_type)

    def project_edge(node: int, edges: list[int], cell_type: str) -> None:
        offset = cell_type == "reduce"
        found.kept[int(node) + 3 * offset] = tuple(edge + EDGES * offset for edge in edges)
        type(model).project_edge(model, node, edges, cell_type)

    patch.setattr(script.ig_utils, "count_parameters_in_Compact", lambda model: 0)  # which is printed at the end
    patch.setattr(np.random, "choice", choice)
    patch.setattr(model, "project_op", project_op)
    patch.setattr(model, "project_edge", project_edge)
    script.pt_project(*queues, model, architect, model.optimizer, EPOCHS, args, infer, None, None)
    return found


@pytest.mark.parametrize("criterion", ["acc", "loss"])
def test_every_decision_on_the_space_of_darts(
    criterion: str, script: ModuleType, tmp_path: Path, ledger: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    theirs = projected(script, searched(script, tmp_path), criterion, monkeypatch)
    valid = patterns(PARTS * BATCH)[1]
    on: Any = objective(DartsS5(), valid=Split(valid.images.double(), valid.labels), eval_batch=BATCH,
                        channels=CHANNELS, cells=CELLS)  # fmt: skip
    of = searcher("darts", on)

    def tune(decisions: Any, epoch: int, *_: Any) -> None:
        """To where theirs stood before the event of the next epoch."""
        if epoch + 1 < len(theirs.alphas):
            with torch.no_grad():
                of.alpha.copy_(theirs.alphas[epoch + 1])
                for name, there in darts_space.names(on.network).items():
                    on.weights()[name].copy_(theirs.weights[epoch + 1][there])

    tune(None, -1)
    kind = registry.load("selector", "perturb")
    options = {"criterion": criterion, "order": "forward", "interval": 1, "schedule": "official"}
    selector, selection = kind(kind.Options(**options, topology="non-cumulative")), None
    context = Context(on.space, of, on, Streams(0), tune, lambda line: None)
    while selection is None:
        selection = selector.step(context)
    sign = -1.0 if criterion == "acc" else 1.0
    measured = torch.tensor([theirs.measured[i] for i in range(2 * EDGES)])
    what = f"DARTS space: validation {NAMES[criterion]} without each operation, 196 measurements"
    ledger.equal("perturb", what, "darts-pt", measured, sign * torch.from_numpy(selection.scores))
    operations = [torch.tensor([of_[i] for i in range(2 * EDGES)]) for of_ in (theirs.operations, selector.choices)]
    ledger.equal(
        "perturb", f"DARTS space: the operations of the 28 edges, {criterion}", "darts-pt", *operations, close=0.0
    )
    ours = [tuple(e for e in range(2 * EDGES) if e in node and e not in selector.dropped) for node in nodes()]
    pairs = torch.tensor([theirs.kept[n] for n in range(6)]), torch.tensor(ours)
    ledger.equal("perturb", f"DARTS space: the inputs that six nodes keep, {criterion}", "darts-pt", *pairs, close=0.0)


def nodes() -> list[tuple[int, ...]]:
    """The edges of the nodes that choose, of the normal and of the reduction cell."""
    return [tuple(edge + offset for edge in node) for offset in (0, EDGES) for node in NODES]
