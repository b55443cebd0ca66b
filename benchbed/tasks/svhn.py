"""SVHN: 32x32 photographs of house numbers' digits in 10 classes, from its published MATLAB files (data=DIR).

Netzer et al., Reading Digits in Natural Images with Unsupervised Feature Learning, 2011; the cropped digits,
train_32x32.mat (73,257 images), test_32x32.mat (26,032) and, with extra=true, extra_32x32.mat (531,131 easier ones,
which train and validate with the others; as float32 they take 6.5 GB). Digit 0, the file's label 10, is class 0. What
validates is cut from the training images:

- split=halves: the first half trains, the last half validates, as darts-pt does on its data sets;
- split=whole: all of them train, for the training of a found network. The last tenth stand in for validation.

Normalisation, crop and flip are darts-pt's.
"""

from dataclasses import replace
from pathlib import Path

from ..errors import BenchbedError
from ..images.batches import Layout
from ..images.mat import read_mat
from ..images.published import Options, Published, published_task
from ..task import Task

SVHN = Published(
    task="svhn",
    title="SVHN",
    folder="svhn",
    train={"train_32x32.mat": "e26dedcc434d2e4c54c9b2d4a06d8373"},
    test={"test_32x32.mat": "eb5a983be6a315427106f1b164d9cef3"},
    layout=Layout(labels="y", first=1, last=10, side=32),
    classes=10,
    train_images=73_257,
    test_images=26_032,
    mean=(111.6135, 113.169, 120.564),  # 255 times 0.4377, 0.4438, 0.4728
    std=(50.49, 51.255, 50.235),  # 255 times 0.1980, 0.2010, 0.1970
    border=4,
    split_file=None,
    read=read_mat,
)
EXTRA = {"extra_32x32.mat": "a93ce644f1a588dc4d68dda5feec44a7"}
EXTRA_IMAGES = 531_131


def svhn(
    data: str | Path | None = None,
    split: str | None = None,
    images: int | None = None,
    cutout: int = 0,
    extra: bool = False,
    verify: bool = True,
) -> Task:
    """The task: images (n, 3, 32, 32), 10 classes.

    `data`: the folder `svhn` or the one that holds it; `split`: 'halves' (the default) or 'whole'; `extra`: whether the
    extra images train too; the other options are those of `benchbed.tasks.cifar10.cifar10`. Raises BenchbedError on
    data that are not the published ones and on an option out of range.
    """
    if not isinstance(extra, bool):
        raise BenchbedError(f"svhn option extra={extra}: true or false is needed")
    of = SVHN
    if extra:
        of = replace(of, train={**of.train, **EXTRA}, train_images=of.train_images + EXTRA_IMAGES)
    return published_task(of, data, Options(None, split, images, cutout, verify))
