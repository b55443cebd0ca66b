"""AutoDL-Projects and what was made of it: supernets of NAS-Bench-201, whose weights all have the same names."""

import re
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from torch import Tensor, nn

from benchbed.checkpoints import nb201
from benchbed.objectives.supernet import SupernetObjective

from .clones import bystanders, clone, empty_package, load
from .ours import CLASSES, hand_over

BESIDE = bystanders(
    "torchvision", "torchvision.transforms", "torchvision.datasets", "torchvision.datasets.utils", "nas_201_api", "thop"
)  # fmt: skip
BESIDE["thop"].profile = lambda *_, **__: (0, 0)  # type: ignore[attr-defined]
CHANNELS, CELLS = 4, 1
OPERATIONS = ["none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3"]


def modules(folders: Path | list[Path], *names: str, packages: dict[str, ModuleType] | None = None):
    return load(folders, *names, beside={**BESIDE, **(packages or {})})


def with_weights(network: nn.Module, on: SupernetObjective, alpha: Tensor | None = None, of: str = "") -> nn.Module:
    """Their network with our weights and, in the parameter `of`, our alpha."""
    hand_over(on.weights(), nb201.names(CELLS), network)
    if alpha is not None:
        getattr(network, of).data.copy_(alpha.detach())
    return network


def autodl(method: str) -> Callable[[], nn.Module]:
    """What makes AutoDL's network of a method, such as TinyNetworkGDAS."""
    package = clone("AutoDL-Projects") / "xautodl"
    name = "xautodl.models.cell_searchs.search_model_" + method.lower()
    (module,) = modules(package.parent, name)
    made = getattr(module, f"TinyNetwork{method}")
    return lambda: made(CHANNELS, CELLS, 4, CLASSES, OPERATIONS, False, False)


def drnas(on: SupernetObjective, species: str, channels: int = CHANNELS, k: int = 1, **own: Any) -> Any:
    """DrNAS' network with our weights; `species`: how its gates come from alpha, `k`: of partial channels."""
    root = clone("DrNAS")
    (module,) = modules([root / "201-space", root], "search_model")
    kept = {"track_running_stats": False, "k": k, "species": species, **own}
    return with_weights(module.TinyNetwork(channels, CELLS, 4, CLASSES, nn.CrossEntropyLoss(), OPERATIONS, **kept), on)


def confopt(*names: str, reinmax: bool = False) -> tuple[ModuleType, ...]:
    """confopt's supernet of NAS-Bench-201 and more of its modules, without what its packages import beside them."""
    source = clone("ConfigurableOptimizer") / "src"
    entered = ("searchspace", "searchspace.nb201", "searchspace.nb201.core", "oneshot")
    places = {f"confopt.{name}": source / "confopt" / name.replace(".", "/") for name in entered}
    packages = {name: empty_package(name, place) for name, place in places.items()}
    folders = [source]
    if reinmax:  # its repository has it below src, its release at the top
        folders.append(clone("reinmax") / "src" if (clone("reinmax") / "src").is_dir() else clone("reinmax"))
    else:
        packages |= bystanders("reinmax")
    return modules(folders, "confopt.searchspace.nb201.core.model_search", *names, packages=packages)


def confopt_names() -> dict[str, str]:
    """Our weights, each with its name in confopt's supernet."""
    return {ours: re.sub(r"(\d<-\d)\.", r"\1.ops.", there) for ours, there in nb201.names(CELLS).items()}


def confopt_network(module: ModuleType, on: SupernetObjective, alpha: Tensor) -> Any:
    """Its supernet with our weights and alpha."""
    network = module.NB201SearchModel(C=CHANNELS, N=CELLS, num_classes=CLASSES)
    hand_over(on.weights(), confopt_names(), network)
    network.arch_parameters.data.copy_(alpha.detach())
    return network


def entropy(network: nn.Module, batch: tuple[Tensor, Tensor]) -> Tensor:
    """The cross entropy of their network, whether it gives logits alone or after its features."""
    found = network(batch[0])
    logits = found[1] if isinstance(found, tuple) else found
    return torch.nn.functional.cross_entropy(logits, batch[1])
