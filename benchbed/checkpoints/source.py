"""Reads the checkpoint of a NAS-Bench-201 supernet that darts-pt or AutoDL-Projects trained, and runs nothing of it.

Three layouts are known, told apart by their key names:

- darts-pt (Wang et al., ICLR 2021, nasbench201/train_search.py): the weights under `state_dict`, alpha as the one
  entry of the list `alpha`, Adam's state under `arch_optimizer`;
- AutoDL (Dong and Yang, ICLR 2020, the scripts of one algorithm each): the weights and `arch_parameters` under
  `search_model`, Adam's state under `a_optimizer`; beside them an argparse.Namespace and the epochs' cells;
- AutoDL's NATS-Bench script (search-cell.py): the same, but its stem and cells are named `_stem` and `_cells`, and its
  last batch norm has no weights.

`torch.load(weights_only=True)` refuses every type but tensors and plain values; the namespace and the cells' class are
admitted as what they are, bags of attributes, the latter by an empty class of our own. All the same torch's C++ reads a
stranger's bytes: `reading_room` does it in a process of its own, with limits, and what comes back are plain arrays.
"""

import argparse
import io
import math
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import torch
from pydantic import BaseModel, ConfigDict
from torch import Tensor

from ..errors import BenchbedError
from ..runtime.archives import damage
from ..runtime.pickles import SPARE, torch_value
from ..spaces.nb201.space import EDGES, OPERATIONS

LAYOUTS = {"darts-pt": "state_dict", "AutoDL": "search_model"}  # who writes it -> the key of its weights


class _Cells:
    """In place of AutoDL's class of a cell, which holds plain lists."""


ADMITTED: list[Callable[..., Any] | tuple[Callable[..., Any], str]] = [
    argparse.Namespace,
    (_Cells, "xautodl.models.cell_searchs.genotypes.Structure"),
    (_Cells, "models.cell_searchs.genotypes.Structure"),
]


class ForeignConfig(BaseModel):
    """A checkpoint that a search begins, and ends, with. What decides a result is the content; the rest is read of it.

    `channels`, `cells`: C and N; `epochs`: how many the supernet was trained, by the file's own word.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    file: str  # absolute
    sha256: str
    layout: str
    channels: int
    cells: int
    classes: int
    in_channels: int
    epochs: int


class Foreign(NamedTuple):
    """What the file holds. weights: by its own key names, statistics left out; alpha: (6, 5).

    adam: step, exp_avg (6, 5) and exp_avg_sq (6, 5) of alpha's Adam, or None where the file has none.
    """

    config: ForeignConfig
    weights: dict[str, Tensor]
    alpha: Tensor
    adam: dict[str, Tensor] | None


def parsed(path: Path, content: bytes, sha256: str) -> Foreign:
    """The checkpoint that `path` holds as `content`, in this process: for `reading_room`, and for a file of one's own.

    Raises BenchbedError, one line that names the file, on one that is none of the known layouts. Whether the weights
    are all those of a NAS-Bench-201 supernet is for `benchbed.checkpoints.nb201.converted` to say.
    """
    saved = found if isinstance(found := _loaded(path, content), dict) else {}
    layout = next((name for name, key in LAYOUTS.items() if key in saved), None)
    if layout is None:
        held = ", ".join(sorted(map(str, saved))[:8]) if isinstance(found, dict) else type(found).__name__
        raise BenchbedError(f"{path} is not a checkpoint of a known layout, it holds {held}: expected darts-pt's "
                            "(state_dict, alpha) or AutoDL's (search_model)")  # fmt: skip
    model = saved[LAYOUTS[layout]]
    if not isinstance(model, dict) or not all(isinstance(v, Tensor) and isinstance(k, str) for k, v in model.items()):
        raise BenchbedError(f"{path}: its {LAYOUTS[layout]} is not a dict of tensors by name")
    for key, value in model.items():
        _check_plain(path, f"{LAYOUTS[layout]}.{key}", value)
    weights = {key: value for key, value in model.items() if not key.endswith(STATISTICS) and key not in ALPHA}
    alpha = _alpha(path, saved, model, layout)
    optimiser = "arch_optimizer" if layout == "darts-pt" else "a_optimizer"
    adam = _adam(path, optimiser, saved.get(optimiser), alpha)
    sizes = _sizes(path, weights)
    epoch = saved.get("epoch")
    config = ForeignConfig(
        file=str(path.absolute()),
        sha256=sha256,
        layout=layout,
        **sizes,
        epochs=epoch if type(epoch) is int and epoch > 0 else 1,
    )
    return Foreign(config, weights, alpha, adam)


STATISTICS = (".running_mean", ".running_var", ".num_batches_tracked")  # our supernets take the batch's own
ALPHA = ("_arch_parameters", "arch_parameters")


def _loaded(path: Path, content: bytes) -> object:
    try:
        return torch_value(io.BytesIO(content), SPARE + 3 * len(content), ADMITTED)
    except Exception as error:  # a damaged file can fail in any way
        named = re.search(r"GLOBAL ([\w.]+)", str(error))
        if named is not None:
            raise BenchbedError(f"{path} holds {named[1]}, which no checkpoint of darts-pt or AutoDL needs: "
                                "nothing of it was run") from None  # fmt: skip
        raise BenchbedError(f"{path} is damaged or no checkpoint of torch ({damage(error)})") from None


def _alpha(path: Path, saved: dict[str, Any], model: dict[str, Tensor], layout: str) -> Tensor:
    if layout == "darts-pt":
        held = saved.get("alpha")
        alpha = held[0] if isinstance(held, list | tuple) and len(held) == 1 else None
    else:
        alpha = model.get("arch_parameters")
    where = "alpha" if layout == "darts-pt" else "search_model.arch_parameters"
    if not isinstance(alpha, Tensor) or alpha.ndim != 2:
        raise BenchbedError(f"{path} has no alpha of one cell under '{where}': is it a supernet of NAS-Bench-201?")
    edges, operations = alpha.shape
    if (edges, operations) != (len(EDGES), len(OPERATIONS)):
        raise BenchbedError(f"{path} is of another space: its alpha has {edges} edges with {operations} operations, "
                            f"NAS-Bench-201 has {len(EDGES)} with {len(OPERATIONS)}")  # fmt: skip
    _check_plain(path, where, alpha)
    return _finite(path, where, alpha)


def _check_plain(path: Path, key: str, value: Tensor) -> None:
    """Raises BenchbedError where a tensor is none that a supernet holds: sparse, quantised, without data, complex."""
    odd = {
        "sparse": value.layout != torch.strided,
        "quantised": value.is_quantized,
        "without data (meta)": value.is_meta,
        "complex": value.is_complex(),
    }
    if found := [name for name, is_so in odd.items() if is_so]:
        raise BenchbedError(f"{path}: '{key}' is {found[0]}: expected a dense tensor of real numbers")


def _finite(path: Path, key: str, value: Tensor) -> Tensor:
    """The tensor as float32. Raises BenchbedError where that is not finite."""
    single = value.detach().float()
    if not bool(single.isfinite().all()):
        raise BenchbedError(f"{path}: '{key}' is not finite in float32")
    return single


def _adam(path: Path, name: str, optimiser: object, alpha: Tensor) -> dict[str, Tensor] | None:
    """Adam's state of alpha, its only parameter."""
    state = optimiser.get("state") if isinstance(optimiser, dict) else None
    slot = next(iter(state.values()), None) if isinstance(state, dict) else None
    if not isinstance(slot, dict) or not {"step", "exp_avg", "exp_avg_sq"} <= slot.keys():
        return None
    moments = {name: slot[name] for name in ("exp_avg", "exp_avg_sq")}
    if any(not isinstance(m, Tensor) or m.shape != alpha.shape for m in moments.values()):
        return None
    for key, moment in moments.items():
        _check_plain(path, f"{name}.{key}", moment)
    given = {key: _finite(path, f"{name}.{key}", moment) for key, moment in moments.items()}
    if bool((given["exp_avg_sq"] < 0).any()):
        raise BenchbedError(f"{path}: '{name}.exp_avg_sq' is negative, which no mean of squares is")
    step = slot["step"]
    single = isinstance(step, Tensor) and step.numel() == 1 and not step.is_meta and not step.is_complex()
    count = float(step) if single or type(step) in (int, float) else math.nan
    if not (math.isfinite(count) and count >= 1):
        raise BenchbedError(f"{path}: '{name}.step' is {str(step)[:40]!r}: expected a number of steps, 1 or more")
    return {"step": torch.tensor(count), **given}


def _sizes(path: Path, weights: dict[str, Tensor]) -> dict[str, int]:
    """C, N, classes and input channels, of the shapes that show them."""
    stem = next((weights[key] for key in ("stem.0.weight", "_stem.0.weight") if key in weights), None)
    head = weights.get("classifier.weight")
    if stem is None or stem.ndim != 4 or head is None or head.ndim != 2:
        lacking = "stem.0.weight" if stem is None or stem.ndim != 4 else "classifier.weight"
        raise BenchbedError(
            f"{path} has no '{lacking}', which a supernet of NAS-Bench-201 has: is it of another space?"
        )
    blocks = {int(found[1]) for key in weights if (found := re.match(r"_?cells\.(\d+)\.", key))}
    cells, rest = divmod(len(blocks) - 2, 3)
    if cells < 1 or rest:
        raise BenchbedError(f"{path} is of another space: it stacks {len(blocks)} blocks, NAS-Bench-201 3N + 2")
    channels, in_channels = int(stem.shape[0]), int(stem.shape[1])
    return {"channels": channels, "cells": cells, "classes": int(head.shape[0]), "in_channels": in_channels}
