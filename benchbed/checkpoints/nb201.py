"""A NAS-Bench-201 supernet of darts-pt or AutoDL as one of ours: the same logits at the same gates.

Both stack the same cells under the same names, `cells.B.edges.I<-J.K.op.1.weight`: block B, the edge from node J to
node I, operation K, its convolution. Their search cells have batch norms without weights, which leave nothing to take
over but running statistics; ours take the batch's own, as darts-pt's selection does, its network in training mode.
"""

from pathlib import Path

import torch
from torch import Tensor, nn

from ..errors import BenchbedError
from ..searcher import Searcher
from ..spaces.nb201.space import CONV1, CONV3, EDGES
from ..spaces.nb201.supernet import NB201Supernet
from ..task import Task
from .alpha import give
from .reading_room import read
from .source import Foreign, ForeignConfig

SPACE = "nb201"
NORM = ("weight", "bias")


def names(cells: int, prefix: str = "") -> dict[str, str]:
    """Our supernet's weights, each with its key name in the file; `prefix` stands before `stem` and `cells` there."""
    found = {"stem": f"{prefix}stem.0.weight", **{f"stem_norm.{x}": f"{prefix}stem.1.{x}" for x in NORM}}
    for block in range(3 * cells + 2):
        ours, theirs = f"blocks.{block}", f"{prefix}cells.{block}"
        if block % (cells + 1) == cells:  # a residual block, after each but the last stage
            found[f"{ours}.shortcut"] = f"{theirs}.downsample.1.weight"
            for part in "ab":
                found[f"{ours}.conv_{part}"] = f"{theirs}.conv_{part}.op.1.weight"
                found |= {f"{ours}.norm_{part}.{x}": f"{theirs}.conv_{part}.op.2.{x}" for x in NORM}
            continue
        for edge, (source, node) in enumerate(EDGES):
            for name, column in (("conv1", CONV1), ("conv3", CONV3)):
                found[f"{ours}.{name}.{edge}"] = f"{theirs}.edges.{node}<-{source}.{column}.op.1.weight"
    found |= {f"last_norm.{x}": f"lastact.0.{x}" for x in NORM}
    return found | {f"classifier.{x}": f"classifier.{x}" for x in NORM}


def converted(foreign: Foreign) -> dict[str, Tensor]:
    """The state of an `NB201Supernet` of the file's sizes.

    A last batch norm without weights (AutoDL's NATS-Bench script) becomes one with ones and zeros, which is the same
    function. Raises BenchbedError that names the file and the keys it lacks, or has beside a supernet's, or whose shape
    is another.
    """
    c, weights = foreign.config, dict(foreign.weights)
    bare = not any(key.startswith("lastact.") for key in weights) and "_stem.0.weight" in weights
    if bare:
        weights |= {"lastact.0.weight": torch.ones(4 * c.channels), "lastact.0.bias": torch.zeros(4 * c.channels)}
    known = names(c.cells, "_" if "_stem.0.weight" in weights else "")
    missing, extra = sorted(set(known.values()) - weights.keys()), sorted(weights.keys() - set(known.values()))
    for keys, what in ((missing, "lacks"), (extra, "has beside them")):
        if keys:
            more = f" and {len(keys) - 1} more" if len(keys) > 1 else ""
            raise BenchbedError(f"{c.file} does not hold the weights of a NAS-Bench-201 supernet of C={c.channels}, "
                                f"N={c.cells}: it {what} '{keys[0]}'{more}")  # fmt: skip
    with torch.device("meta"):
        template = NB201Supernet(c.channels, c.cells, c.classes, c.in_channels).state_dict()
    found = {ours: weights[theirs] for ours, theirs in known.items()}
    for ours, value in found.items():
        if value.shape != template[ours].shape:
            raise BenchbedError(f"{c.file}: '{known[ours]}' is {tuple(value.shape)}, a NAS-Bench-201 supernet of "
                                f"C={c.channels} has {tuple(template[ours].shape)}")  # fmt: skip
        if not bool(value.isfinite().all()):
            raise BenchbedError(f"{c.file}: '{known[ours]}' is not finite")
    return found


def check_fit(config: ForeignConfig, task: Task) -> None:
    """Raises BenchbedError where the file's network is not for the task's images and classes."""
    for name, theirs, ours in (
        ("classes", config.classes, task.classes),
        ("input channels", config.in_channels, task.shape[0]),
    ):
        if theirs != ours:
            raise BenchbedError(f"{config.file} has {theirs} {name}, task '{task.name}' {ours}: give the --task that "
                                "it was trained on")  # fmt: skip


def take_over(config: ForeignConfig, network: nn.Module, searcher: Searcher) -> None:
    """Puts the file's weights into the network, its alpha and alpha's Adam into the searcher.

    Raises BenchbedError where the file is no longer what it was when the run was configured.
    """
    foreign = read(Path(config.file))
    if foreign.config.sha256 != config.sha256:
        raise BenchbedError(f"{config.file} is not what it was when the run began: start the command again")
    network.load_state_dict(converted(foreign))
    give(searcher, foreign.alpha, foreign.adam)
