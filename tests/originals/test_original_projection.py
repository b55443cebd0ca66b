"""DARTS-PT's projection beside its authors' code: every decision, from a checkpoint that their search wrote."""

from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from benchbed import registry
from benchbed.checkpoints import nb201
from benchbed.checkpoints.alpha import give
from benchbed.checkpoints.reading_room import read
from benchbed.selector import Context
from benchbed.spaces.nb201.space import NB201
from benchbed.streams import Streams
from benchbed.task import Split

from . import cells201, clones
from .ours import CLASSES, objective, patterns, searcher

BATCH, PARTS = 32, 4  # of validation
EPOCHS = 12
INTERVAL = 2  # tuning epochs between decisions; with 1 their loop ends before the last edge is decided
NAMES = {"acc": "accuracy (percent)", "loss": "loss"}


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[ModuleType]:
    """Their train_search.py; it makes a folder beside the one where it is, and copies a file into it."""
    for name in ("at", "experiments/nasbench201", "exp_scripts"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "exp_scripts" / "exp.sh").touch()
    monkeypatch.chdir(tmp_path / "at")
    arguments = ("--method", "darts", "--proj_intv", str(INTERVAL), "--batch_size", str(BATCH))
    folder = clones.clone("darts-pt")
    with clones.script(folder, "nasbench201.train_search", *arguments, beside=cells201.BESIDE) as found:
        yield found


def searched(script: ModuleType, folder: Path) -> Path:
    """The checkpoint after some epochs of their search, in float32, as their main() writes it."""
    torch.set_default_dtype(torch.float32)
    torch.manual_seed(0)
    args, entropy = script.args, nn.CrossEntropyLoss()
    space = script.SearchSpaceNames["nas-bench-201"]
    model = script.TinyNetworkDarts(cells201.CHANNELS, cells201.CELLS, 4, CLASSES, entropy, space, args)
    architect = script.Architect(model, args)
    queues = [DataLoader(TensorDataset(s.images, s.labels), BATCH, shuffle=True) for s in patterns(PARTS * BATCH)]
    for epoch in range(EPOCHS):
        script.train(*queues, model, architect, model.optimizer, 0.025, epoch)
    held = {"epoch": EPOCHS, "state_dict": model.state_dict(), "alpha": model.arch_parameters()}
    held |= {"optimizer": model.optimizer.state_dict(), "arch_optimizer": architect.optimizer.state_dict()}
    script.ig_utils.save_checkpoint(held, False, str(folder), per_epoch=True)
    torch.set_default_dtype(torch.float64)
    return folder / f"checkpoint_{EPOCHS}.pth.tar"


class Decision(NamedTuple):
    """One of theirs: the supernet before it, what was measured without each operation, and what it kept."""

    weights: dict[str, Tensor]
    alpha: Tensor
    measured: list[float]
    edge: int
    operation: int


def projected(script: ModuleType, file: Path, criterion: str, patch: pytest.MonkeyPatch) -> list[Decision]:
    """Their pt_project from the checkpoint, edge after edge, tuning in between; in float64."""
    args = script.args
    args.method, args.proj_crit, entropy = "darts-proj", criterion, nn.CrossEntropyLoss()
    space = script.SearchSpaceNames["nas-bench-201"]
    model = script.TinyNetworkDartsProj(cells201.CHANNELS, cells201.CELLS, 4, CLASSES, entropy, space, args)
    architect = script.Architect(model, args)
    saved = torch.load(file)
    model.load_state_dict(saved["state_dict"])
    model.set_arch_parameters(saved["alpha"])
    architect.optimizer.load_state_dict(saved["arch_optimizer"])
    queues = [[(s.images[i : i + BATCH].double(), s.labels[i : i + BATCH]) for i in range(0, len(s), BATCH)]
              for s in patterns(PARTS * BATCH)]  # fmt: skip
    before: list[Any] = []
    measured: list[float] = []
    found: list[Decision] = []

    def choice(remaining: np.ndarray, size: int) -> np.ndarray:
        before[:] = [{name: w.detach().clone() for name, w in model.named_parameters()},
                     model.arch_parameters()[0].detach().clone()]  # fmt: skip
        measured.clear()
        return remaining[:size]

    def infer(*given: Any, **own: Any) -> tuple[Any, Any]:
        accuracy, loss = script.infer(*given, **own)
        if "weights" in own:
            measured.append(float(accuracy if criterion == "acc" else loss))
        return accuracy, loss

    def project_op(edge: int, operation: int) -> None:
        found.append(Decision(*before, list(measured), int(edge), int(operation)))
        type(model).project_op(model, edge, operation)

    patch.setattr(np.random, "choice", choice)
    patch.setattr(model, "project_op", project_op)
    cells: list[str] = []
    script.pt_project(*queues, model, architect, entropy, model.optimizer, EPOCHS, args, infer,
                      lambda api, genotype, log: cells.append(genotype.tostr()))  # fmt: skip
    assert NB201().parse(cells[0]).choices == tuple(d.operation for d in found)
    return found


@pytest.mark.parametrize("criterion", ["acc", "loss"])
def test_every_decision(
    criterion: str, script: ModuleType, tmp_path: Path, ledger: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = searched(script, tmp_path)
    theirs = projected(script, file, criterion, monkeypatch)
    valid = patterns(PARTS * BATCH)[1]
    on = objective(NB201(), valid=Split(valid.images.double(), valid.labels), eval_batch=BATCH,
                   channels=cells201.CHANNELS, cells=cells201.CELLS)  # fmt: skip
    assert on.parts == PARTS
    of = searcher("darts", on)
    foreign = read(file)
    on.network.load_state_dict(nb201.converted(foreign))
    give(of, foreign.alpha, foreign.adam)
    for name, there in nb201.names(cells201.CELLS).items():
        assert torch.equal(on.weights()[name], theirs[0].weights[there])
    assert torch.equal(of.alpha, theirs[0].alpha)

    def tune(decisions: Any, *_: Any) -> None:
        """To where theirs stood before the next decision."""
        done = int(decisions.fixed.sum())
        if done < len(theirs):
            with torch.no_grad():
                of.alpha.copy_(theirs[done].alpha)
                for name, there in nb201.names(cells201.CELLS).items():
                    on.weights()[name].copy_(theirs[done].weights[there])

    kind = registry.load("selector", "perturb")
    options = {"criterion": criterion, "order": "forward", "interval": INTERVAL, "schedule": "official"}
    selector, selection = kind(kind.Options(**options)), None
    context = Context(on.space, of, on, Streams(0), tune, lambda line: None)
    while selection is None:
        selection = selector.step(context)
    sign = -1.0 if criterion == "acc" else 1.0
    measured = torch.tensor([d.measured for d in theirs])
    what = f"validation {NAMES[criterion]} without each operation, 30 measurements in six decisions"
    ledger.equal("perturb", what, "darts-pt", measured, sign * torch.from_numpy(selection.scores))
    chosen = torch.tensor([d.operation for d in theirs]), torch.tensor(selection.architecture.choices)
    ledger.equal("perturb", f"the six operations that are kept, {criterion}", "darts-pt", *chosen, close=0.0)
    magnitude = theirs[0].alpha.argmax(1)
    assert not torch.equal(magnitude, chosen[0])  # what alpha says is another cell
