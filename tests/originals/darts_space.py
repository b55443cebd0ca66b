"""The DARTS supernet as its authors wrote it, which most codes of that space begin with: names of its weights."""

from pathlib import Path

from benchbed.spaces.darts.supernet import DartsCellSupernet, DartsSupernet

from .clones import bystanders, load

BESIDE = bystanders(
    "torchvision", "torchvision.transforms", "torchvision.datasets", "graphviz", "auto_augment", "tensorboard"
)


def modules(folder: Path, *names: str):
    """The modules of a clone's search, which import each other by bare names."""
    return load(folder, *names, beside=BESIDE)


def names(ours: DartsSupernet) -> dict[str, str]:
    """Our weights, each with its name in `model_search.Network`."""
    found = {"stem.0.0.weight": "stem.0.weight", "stem.0.1.weight": "stem.1.weight", "stem.0.1.bias": "stem.1.bias"}
    found |= {f"classifier.{part}": f"classifier.{part}" for part in ("weight", "bias")}
    for number, cell in enumerate(ours.cells):
        assert isinstance(cell, DartsCellSupernet)
        for i, module in enumerate(cell.preprocessing):
            here, there = f"cells.{number}.preprocessing.{i}", f"cells.{number}.preprocess{i}"
            if hasattr(module, "conv_a"):
                found |= {f"{here}.conv_a.weight": f"{there}.conv_1.weight"}
                found |= {f"{here}.conv_b.weight": f"{there}.conv_2.weight"}
            else:
                found[f"{here}.1.weight"] = f"{there}.op.1.weight"
        for edge, operations in enumerate(cell.operations):
            for column, name in enumerate(operations):
                if cell.module(edge, name) is not None:
                    here = f"cells.{number}.edges.{edge}.{name}"
                    found |= _operation(name, here, f"cells.{number}._ops.{edge}._ops.{column}")
    return found


def _operation(name: str, here: str, there: str) -> dict[str, str]:
    if name == "skip_connect":
        return {f"{here}.kernels.{i}": f"{there}.conv_{i + 1}.weight" for i in range(2)}
    found = {}
    for i, place in enumerate((1, 5) if name.startswith("sep") else (1,)):  # ReLU, depthwise, pointwise, norm; twice
        found |= {f"{here}.depthwise.{i}": f"{there}.op.{place}.weight"}
        found |= {f"{here}.pointwise.{i}": f"{there}.op.{place + 1}.weight"}
    return found
