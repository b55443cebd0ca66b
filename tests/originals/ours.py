"""Our side of a comparison: an objective of random weights in float64, on one batch a split, and its searchers."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from benchbed import registry
from benchbed.cost import without_cost
from benchbed.modifier import made_of
from benchbed.objective import Batch
from benchbed.objectives.supernet import SupernetObjective, SupernetOptions
from benchbed.searcher import Clock
from benchbed.space import Space
from benchbed.streams import Streams
from benchbed.task import Seal, Split, Task

CLASSES = 10
FIRST = Clock(0, 0, 5, 1)


def images(count: int = 8, side: int = 8, seed: int = 1) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(count, 3, side, side, generator=generator), torch.arange(count) % CLASSES


def patterns(count: int, side: int = 8) -> tuple[Split, Split]:
    """Ten patterns in noise, training and validation: what is learned of one helps on the other. float32, as images."""
    generator = torch.Generator().manual_seed(3)
    pattern = torch.randn(CLASSES, 3, side, side, generator=generator)
    labels = torch.arange(2 * count) % CLASSES
    noisy = (pattern[labels] + 2 * torch.randn(len(labels), 3, side, side, generator=generator)).to(torch.float32)
    return Split(noisy[:count], labels[:count]), Split(noisy[count:], labels[count:])


def objective(space: Space, side: int = 8, count: int = 8, valid: Split | None = None, **own: Any) -> SupernetObjective:
    """Its batches are always the same two: of training, and of validation."""
    train, valid = Split(*images(count, side, 1)), Split(*images(count, side, 2)) if valid is None else valid
    task = Task("random", CLASSES, (3, side, side), train, valid, Seal(lambda: train), "0")
    options = {"batch": count, "valid_batch": count, "eval_batch": count, "lr": 0.1, "lr_min": 0.1, **own}
    found = SupernetObjective(space.for_images(task.shape, CLASSES), task, SupernetOptions(**options), Streams(0), 5)
    batches = {name: Batch(of.images[:count], of.labels[:count]) for name, of in (("train", train), ("valid", valid))}
    found.batch = batches.__getitem__  # type: ignore[method-assign, assignment]
    return found


def searcher(name: str, on: Any, modifiers: Mapping[str, Mapping[str, Any]] | None = None, **own: Any) -> Any:
    """With an alpha of standard deviation 0.5, so that its rows are not nearly equal."""
    kind, modifiers = registry.load("searcher", name), modifiers or {}
    if modifiers:
        kind = made_of(kind, tuple((m, registry.load("modifier", m)) for m in modifiers))
        own = {**own, "modifiers": dict(modifiers)}
    return kind(on.space, kind.Options(**{"alpha_init": 0.5, **own}), Streams(0))


def gradient(of: Any, on: SupernetObjective, clock: Clock = FIRST) -> Tensor:
    """alpha's gradient by its own architecture step, which also moves alpha."""
    of.arch_step(without_cost(on), on.batch("train"), clock)
    found = alpha_of(of).grad
    assert found is not None
    return found.clone()


def alpha_of(of: Any) -> Tensor:
    """alpha of a searcher, or of the one that modifiers are around."""
    found: Tensor = getattr(of, "base", of).alpha
    return found


# What their networks hold beside the weights: alphas, attentions that are off, and biases before a batch norm, which
# takes them out again.
BESIDE = ("arch", "beta", "attention", ".dan.", ".op.1.bias")


def hand_over(weights: Mapping[str, Tensor], names: Mapping[str, str], theirs: nn.Module) -> None:
    """Our weights into their network; `names`: of ours, each with its name there. All of both take part."""
    own = dict(theirs.named_parameters())
    assert set(names) == set(weights)
    assert len(set(names.values())) == len(names)
    with torch.no_grad():
        for ours, there in names.items():
            assert own[there].shape == weights[ours].shape, (ours, there)
            own[there].copy_(weights[ours])
    left = set(own) - set(names.values())
    assert all(any(part in name for part in BESIDE) for name in left), left
