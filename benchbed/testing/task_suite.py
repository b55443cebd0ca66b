"""The contract of a task, as checks that a plug-in's author can run.

    from benchbed.testing.task_suite import CHECKS

    @pytest.mark.parametrize("check", CHECKS)
    def test_contract(check):
        check(my_task)

Each check takes `make`, the function that makes the task from keyword arguments, calls it without any (so bind what it
needs), and raises AssertionError where the contract is broken. At most `LOOKED` images a split are looked at.
"""

import inspect
import json
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from ..errors import BenchbedError
from ..task import AnySplit, Split, StoredSplit, Task
from .tree import checks_in, require

MakeTask = Callable[..., Task]
LOOKED = 2000
SHARED = 0.01  # of a split: published data sets hold a few images twice


def content(split: AnySplit, count: int = LOOKED) -> tuple[Tensor, Tensor]:
    """The first images and labels of a split, at most `count`, as they are measured."""
    ((images, labels),) = split.in_order([slice(0, min(count, len(split)))])
    return images, labels


def splits_of(task: Task) -> dict[str, AnySplit]:
    """All three, the seal opened."""
    return {"train": task.train, "valid": task.valid, "test": task.seal.open("the suite")}


def check_shapes_and_types(make: MakeTask) -> None:
    """Images are finite float32 (n, c, h, w) of `shape`, labels int64 (n,) from 0 to classes - 1, in every split."""
    task = make()
    require(isinstance(task, Task), f"a {type(task).__name__} where a Task is expected")
    require(task.classes >= 2, f"classes is {task.classes}: at least two are needed")
    require(len(task.shape) == 3 and task.shape[0] in (1, 3), f"shape is {task.shape}: (1 or 3, height, width)")
    for name, split in splits_of(task).items():
        images, labels = content(split)
        require(len(split) > 0, f"{name} is empty")
        require(images.dtype == torch.float32, f"{name} images are {images.dtype}, not float32")
        require(tuple(images.shape[1:]) == task.shape, f"{name} images are {tuple(images.shape[1:])}, not {task.shape}")
        require(bool(images.isfinite().all()), f"{name} images are not finite")
        require(labels.dtype == split.labels.dtype == torch.int64, f"{name} labels are {labels.dtype}, not int64")
        require(split.labels.shape == (len(split),), f"{name} labels have shape {tuple(split.labels.shape)}")
        require(labels.tolist() == split.labels[: len(labels)].tolist(), f"{name} labels are in two orders")
        low, high = int(split.labels.min()), int(split.labels.max())
        require(low >= 0 and high < task.classes, f"{name} labels go from {low} to {high} for {task.classes} classes")
        require(len(split.first(2)) == min(2, len(split)), f"{name}.first(2) has {len(split.first(2))} images")
    missing = sorted(set(range(task.classes)) - set(task.train.labels.tolist()))
    require(not missing, f"no training image is of class {missing[:1]}")


def check_images_are_normalised(make: MakeTask) -> None:
    """Each channel of the training images has a mean near 0 and a deviation near 1, or does not vary at all."""
    images, _ = content(make().train.first(LOOKED))
    means, deviations = images.double().mean((0, 2, 3)), images.double().std((0, 2, 3))
    require(bool((means.abs() < 1).all()), f"the training images' channels have means {means.tolist()}: normalise them")
    fine = ((deviations > 0.25) & (deviations < 4)) | (deviations == 0)
    require(bool(fine.all()), f"the training images' channels deviate by {deviations.tolist()}: normalise them")


def check_splits_are_disjoint(make: MakeTask) -> None:
    """No image of one split is in another, but for the few that published data sets hold twice."""
    seen = {name: {image.numpy().tobytes() for image in content(split)[0]} for name, split in splits_of(make()).items()}
    for one, other in (("train", "valid"), ("train", "test"), ("valid", "test")):
        shared = len(seen[one] & seen[other])
        require(shared <= SHARED * len(seen[other]), f"{shared} of the first {other} images are also in {one}")


def check_test_split_is_sealed(make: MakeTask) -> None:
    """The seal is closed at first, refuses without a selection, and gives the same images whenever it is opened."""
    task = make()
    require(not task.seal.opened, "the seal is open before anything was selected")
    try:
        task.seal.open(None)
    except RuntimeError:
        pass
    else:
        raise AssertionError("the seal opens without a selection")
    first, again = content(task.seal.open("the suite")), content(task.seal.open("the suite"))
    require(task.seal.opened, "the seal was opened and does not say so")
    require(_same(first, again), "the test split is another one the second time")


def check_same_task_each_time(make: MakeTask) -> None:
    """Two calls give the same splits and fingerprint, whatever torch's global generator holds, which stays as it is."""
    torch.manual_seed(0)
    one, dice = make(), torch.get_rng_state()
    torch.rand(7)
    other = make()
    for name, split in splits_of(one).items():
        require(_same(content(split), content(splits_of(other)[name])), f"two calls give two {name} splits")
    require(one.fingerprint == other.fingerprint, "two calls give two fingerprints")
    torch.manual_seed(0)
    require(torch.equal(dice, torch.get_rng_state()), "making the task draws from torch's global generator")


def check_fingerprint_follows_the_content(make: MakeTask) -> None:
    """An option that changes what is trained or validated on changes the fingerprint; facts are plain values."""
    task = make()
    require(bool(task.fingerprint.strip()) and task.fingerprint.isprintable(), "the fingerprint is not a line of text")
    json.dumps(task.facts)
    for name, value in _variants(make):
        try:
            other = make(**{name: value})
        except BenchbedError:
            continue
        same = all(_same(content(a), content(b)) for a, b in ((task.train, other.train), (task.valid, other.valid)))
        alike = task.fingerprint == other.fingerprint
        require(same or not alike, f"{name}={value} gives other images under the same fingerprint: hash the content")


def _variants(make: MakeTask) -> list[tuple[str, Any]]:
    """Another value of each option that is a number or a switch."""
    given = {p.name: p.default for p in inspect.signature(make).parameters.values()}
    changed: dict[type, Callable[[Any], Any]] = {bool: lambda v: not v, int: lambda v: v + 1, float: lambda v: v * 1.5}
    return [(name, changed[type(value)](value)) for name, value in given.items() if type(value) in changed]


def check_augmentation_repeats(make: MakeTask) -> None:
    """Equal generators give equal images of the same shape; the batch and torch's global generator stay as they are."""
    task = make()
    dice = torch.get_rng_state()
    if isinstance(task.train, StoredSplit):
        require(task.augment is None, "a stored split augments by itself: its task has no `augment`")
        _check_stored(task.train)
    elif task.augment is not None:
        assert isinstance(task.train, Split)
        batch = content(task.train, 16)[0].clone()
        before = batch.clone()
        made = [task.augment(batch, torch.Generator().manual_seed(seed)) for seed in (0, 0, 1)]
        require(torch.equal(batch, before), "augment changes the batch that it is given")
        require(made[0].shape == batch.shape and made[0].dtype == batch.dtype, f"augment gives {tuple(made[0].shape)}")
        require(torch.equal(made[0], made[1]), "two equal generators give two augmentations")
        require(not torch.equal(made[0], made[2]), "augment gives the same whatever its generator holds")
    require(torch.equal(dice, torch.get_rng_state()), "augmenting draws from torch's global generator")


def _check_stored(split: StoredSplit) -> None:
    chosen = torch.arange(min(4, len(split)))
    seeds = split.seeds(len(chosen), torch.Generator().manual_seed(0))
    again = split.seeds(len(chosen), torch.Generator().manual_seed(0))
    if seeds is None or again is None:
        require(seeds is again, "seeds() is None at one call and not at another")
    else:
        require(torch.equal(seeds, again), "two equal generators give two draws")
    one, other = (split.finish(split.start(chosen, seeds)) for _ in range(2))
    require(_same(one, other), "an image's seed does not decide its augmentation")


def _same(one: tuple[Tensor, Tensor], other: tuple[Tensor, Tensor]) -> bool:
    return all(a.shape == b.shape and torch.equal(a, b) for a, b in zip(one, other, strict=True))


CHECKS: tuple[Callable[[MakeTask], None], ...] = checks_in(globals())
