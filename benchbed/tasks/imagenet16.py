"""ImageNet16-120: 16x16 photographs of ImageNet's first 120 classes, from the published batches (data=DIR).

Chrabaszcz, Loshchilov and Hutter, A Downsampled Variant of ImageNet as an Alternative to the CIFAR Datasets, 2017; cut
to the labels 1 to 120 of 1,000 by NAS-Bench-201: 151,700 training images, and 6,000 of the validation set as test
images. What validates differs:

- split=official: NAS-Bench-201's convention. All 151,700 train; its lists cut the 6,000 *test* images into 3,000 that
  validate and 3,000 that test;
- split=halves: darts-pt's. The first 75,850 training images train, the last 75,850 validate, all 6,000 test;
- split=whole: all 151,700 train, the last tenth of them stand in for validation, all 6,000 test.

The published batches are shuffled, so contiguous halves hold every class; a copy that is sorted is refused. Accuracies
of the two are not comparable: the record names the split. Normalisation and crop are NAS-Bench-201's.
"""

from pathlib import Path

from ..images.batches import Layout
from ..images.published import Options, Published, published_task
from ..images.splits import SplitFile
from ..task import Task

IMAGENET16 = Published(
    task="imagenet16",
    title="ImageNet16-120",
    folder="ImageNet16",
    train={
        "train_data_batch_1": "27846dcaa50de8e21a7d1a35f30f0e91",
        "train_data_batch_2": "c7254a054e0e795c69120a5727050e3f",
        "train_data_batch_3": "4333d3df2e5ffb114b05d2ffc19b1e87",
        "train_data_batch_4": "1620cdf193304f4a92677b695d70d10f",
        "train_data_batch_5": "348b3c2fdbb3940c4e9e834affd3b18d",
        "train_data_batch_6": "6e765307c242a1b3d7d5ef9139b48945",
        "train_data_batch_7": "564926d8cbf8fc4818ba23d2faac7564",
        "train_data_batch_8": "f4755871f718ccb653440b9dd0ebac66",
        "train_data_batch_9": "bb6dd660c38c58552125b1a92f86b5d4",
        "train_data_batch_10": "8f03f34ac4b42271a294f91bf480f29b",
    },
    test={"val_data": "3410e3017fdaefba8d5073aaa65e4bd6"},
    layout=Layout(labels="labels", first=1, last=1000, side=16),
    classes=120,
    train_images=151_700,
    test_images=6_000,
    mean=(122.68, 116.66, 104.01),
    std=(63.22, 61.26, 65.09),
    border=2,
    split_file=SplitFile("imagenet-16-120-test-split.txt", ("xvalid", "xtest"), "test"),
)


def imagenet16(
    data: str | Path | None = None,
    splits: str | Path | None = None,
    split: str | None = None,
    images: int | None = None,
    cutout: int = 0,
    verify: bool = True,
) -> Task:
    """The task: images (n, 3, 16, 16), 120 classes.

    `data`: the folder `ImageNet16` or the one that holds it; `splits`: the folder of NAS-Bench-201's
    `imagenet-16-120-test-split.txt`; the other options are those of `benchbed.tasks.cifar10.cifar10`. Raises
    BenchbedError on data that are not the published ones and on an option out of range.
    """
    return published_task(IMAGENET16, data, Options(splits, split, images, cutout, verify))
