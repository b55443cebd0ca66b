"""CIFAR-100: 32x32 photographs in 100 classes, from its published python files (data=DIR).

Krizhevsky, Learning Multiple Layers of Features from Tiny Images, 2009; the fine labels. What validates differs:

- split=official: NAS-Bench-201's convention. All 50,000 training images train; its lists cut the 10,000 *test* images
  into 5,000 that validate and 5,000 that test;
- split=halves: darts-pt's. The first 25,000 training images train, the last 25,000 validate, all test images test;
- split=whole: all training images train, for the training of a found network. The last tenth stand in for validation.

Accuracies of the two are not comparable: the record names the split. Normalisation and crop are NAS-Bench-201's.
"""

from pathlib import Path

from ..images.batches import Layout
from ..images.published import Options, Published, published_task
from ..images.splits import SplitFile
from ..task import Task

CIFAR100 = Published(
    task="cifar100",
    title="CIFAR-100",
    folder="cifar-100-python",
    train={"train": "16019d7e3df5f24257cddd939b257f8d"},
    test={"test": "f0ef6b0ae62326f3e7ffdfab6717acfc"},
    layout=Layout(labels="fine_labels", first=0, last=99, side=32),
    classes=100,
    train_images=50_000,
    test_images=10_000,
    mean=(129.3, 124.1, 112.4),
    std=(68.2, 65.4, 70.4),
    border=4,
    split_file=SplitFile("cifar100-test-split.txt", ("xvalid", "xtest"), "test"),
)


def cifar100(
    data: str | Path | None = None,
    splits: str | Path | None = None,
    split: str | None = None,
    images: int | None = None,
    cutout: int = 0,
    verify: bool = True,
) -> Task:
    """The task: images (n, 3, 32, 32), 100 classes.

    `data`: the folder `cifar-100-python` or the one that holds it; `splits`: the folder of NAS-Bench-201's
    `cifar100-test-split.txt`; the other options are those of `benchbed.tasks.cifar10.cifar10`. Raises BenchbedError on
    data that are not the published ones and on an option out of range.
    """
    return published_task(CIFAR100, data, Options(splits, split, images, cutout, verify))
