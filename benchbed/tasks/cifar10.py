"""CIFAR-10: 32x32 photographs in 10 classes, from its published python batches (data=DIR).

Krizhevsky, Learning Multiple Layers of Features from Tiny Images, 2009. The 50,000 training images are cut in two:

- split=official: NAS-Bench-201's lists (its `cifar10-valid`), 25,000 to train and 25,000 to validate, interleaved;
- split=halves: the first 25,000 train, the last 25,000 validate, as DARTS and darts-pt do;
- split=whole: all 50,000 train, for the training of a found network. The last 5,000 of them stand in for validation.

The 10,000 test images test. Normalisation and crop are NAS-Bench-201's (its training recipe H).
"""

from pathlib import Path

from ..images.batches import Layout
from ..images.published import Options, Published, published_task
from ..images.splits import SplitFile
from ..task import Task

CIFAR10 = Published(
    task="cifar10",
    title="CIFAR-10",
    folder="cifar-10-batches-py",
    train={
        "data_batch_1": "c99cafc152244af753f735de768cd75f",
        "data_batch_2": "d4bba439e000b95fd0a9bffe97cbabec",
        "data_batch_3": "54ebc095f3ab1f0389bbae665268c751",
        "data_batch_4": "634d18415352ddfa80567beed471001a",
        "data_batch_5": "482c414d41f54cd18b22e5b47cb7c3cb",
    },
    test={"test_batch": "40351d587109b95175f43aff81a1287e"},
    layout=Layout(labels="labels", first=0, last=9, side=32),
    classes=10,
    train_images=50_000,
    test_images=10_000,
    mean=(125.3, 123.0, 113.9),
    std=(63.0, 62.1, 66.7),
    border=4,
    split_file=SplitFile("cifar-split.txt", ("train", "valid"), "train"),
)


def cifar10(
    data: str | Path | None = None,
    splits: str | Path | None = None,
    split: str | None = None,
    images: int | None = None,
    cutout: int = 0,
    verify: bool = True,
) -> Task:
    """The task: images (n, 3, 32, 32), 10 classes.

    `data`: the folder `cifar-10-batches-py` or the one that holds it; `splits`: the folder of NAS-Bench-201's
    `cifar-split.txt`; `split`: 'official', 'halves' or 'whole', by default 'official' where `splits` is given, else
    'halves'; `images`: at most so many in train and in valid, balanced over the classes; `cutout`: the side of the
    blanked square (DARTS trains its final network with 16), 0 for none; `verify`: whether the files must have their
    published MD5. Raises BenchbedError on data that are not the published ones and on an option out of range.
    """
    return published_task(CIFAR10, data, Options(splits, split, images, cutout, verify))
