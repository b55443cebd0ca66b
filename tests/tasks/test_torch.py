"""A user's Dataset: what its items hold is what is trained on; whatever does not fit is one line."""

import sys

import numpy as np
import pytest
import torch
from PIL import Image

from benchbed.errors import BenchbedError
from benchbed.tasks.load import load_task

SOURCE = """
import numpy as np
import torch
from PIL import Image
from torch.utils.data import Dataset, IterableDataset, TensorDataset

RNG = np.random.default_rng(0)
IMAGES = RNG.normal(size=(40, 3, 8, 6)).astype(np.float32)
LABELS = np.arange(40) % 4
OPENED = []


class Pairs(Dataset):
    def __init__(self, make, count=40, name=""):
        self.make, self.count, self.name = make, count, name

    def __len__(self):
        return self.count

    def __getitem__(self, i):
        OPENED.append(self.name)
        return self.make(i)


def tensors():
    return TensorDataset(torch.from_numpy(IMAGES), torch.from_numpy(LABELS))


def pictures():
    shown = (IMAGES.transpose(0, 2, 3, 1) * 20 + 128).astype(np.uint8)
    return Pairs(lambda i: (Image.fromarray(shown[i]), int(LABELS[i])))


def three():
    def part(name, count):
        return Pairs(lambda i: (torch.from_numpy(IMAGES[i]), int(LABELS[i])), count, name)
    return {"train": part("train", 20), "valid": part("valid", 8), "test": part("test", 12)}


def sizes():
    return Pairs(lambda i: (torch.ones(1, 8 + i % 2, 8) * i, i % 2))


def unlabelled():
    return Pairs(lambda i: torch.ones(1, 8, 8))


def words():
    return Pairs(lambda i: (torch.ones(1, 8, 8), "cat"))


def one_class():
    return Pairs(lambda i: (torch.ones(1, 8, 8), 0))


def gap():
    return Pairs(lambda i: (torch.ones(1, 8, 8), 2 * (i % 2)))


def channels():
    return Pairs(lambda i: (torch.ones(8, 8, 3), i % 2))


def small():
    return Pairs(lambda i: (torch.ones(1, 3, 8), i % 2))


def nan():
    return Pairs(lambda i: (torch.full((1, 8, 8), float("nan")), i % 2))


def augments():
    return Pairs(lambda i: (torch.rand(1, 8, 8), i % 2))


def text():
    return Pairs(lambda i: ("image", i % 2))


def empty():
    return Pairs(None, 0)


def broken():
    raise OSError("disk gone")


def broken_item():
    return Pairs(lambda i: 1 / 0)


def no_dataset():
    return [1, 2]


def stream():
    class Endless(IterableDataset):
        def __iter__(self):
            yield
    return Endless()


def no_train():
    return {"valid": tensors()}


def another():
    return {"train": tensors(), "val": tensors()}
"""


@pytest.fixture
def mine(tmp_path, monkeypatch):
    """The module, to be imported as `my_data`."""
    (tmp_path / "my_data.py").write_text(SOURCE)
    monkeypatch.syspath_prepend(str(tmp_path))
    yield tmp_path / "my_data.py"
    sys.modules.pop("my_data", None)


def test_tensors_are_cut_and_normalised(mine):
    task = load_task("torch:my_data:tensors")
    import my_data

    splits = [task.train, task.valid, task.seal.open("a selection")]
    assert [np.bincount(s.labels).tolist() for s in splits] == [[6] * 4, [2] * 4, [2] * 4]
    assert (task.shape, task.classes, task.train.images.dtype) == ((3, 8, 6), 4, torch.float32)
    torch.testing.assert_close(task.train.images.mean((0, 2, 3)), torch.zeros(3), atol=1e-5, rtol=0)
    torch.testing.assert_close(task.train.images.std((0, 2, 3), correction=0), torch.ones(3), atol=1e-5, rtol=0)
    mean, std = (np.array(task.facts[k], np.float32)[:, None, None] for k in ("mean", "std"))
    shown = torch.cat([s.images for s in splits]).numpy() * std + mean
    order = np.argsort(my_data.IMAGES[:, 0, 0, 0])
    np.testing.assert_allclose(shown[np.argsort(shown[:, 0, 0, 0])], my_data.IMAGES[order], atol=1e-5)


def test_pil_images_are_read(mine):
    task = load_task("torch:my_data:pictures", size=8)
    import my_data

    shown = Image.fromarray((my_data.IMAGES[0].transpose(1, 2, 0) * 20 + 128).astype(np.uint8))
    expected = np.asarray(shown.resize((8, 8), Image.Resampling.BILINEAR), np.float32).transpose(2, 0, 1)
    mean, std = (np.array(task.facts[k], np.float32)[:, None, None] for k in ("mean", "std"))
    both = torch.cat([task.train.images, task.valid.images, task.seal.open("a selection").images]).numpy() * std + mean
    assert task.shape == (3, 8, 8)
    assert np.abs(both - expected).max((1, 2, 3)).min() <= 1  # Pillow rounds to whole steps


def test_given_splits_are_kept_and_test_is_sealed(mine):
    task = load_task("torch:my_data:three")
    import my_data

    assert set(my_data.OPENED) == {"train", "valid"}
    assert (len(task.train), len(task.valid), len(task.seal.open("a selection"))) == (20, 8, 12)
    assert task.facts["images"] == {"train": 20, "valid": 8, "test": 12}
    assert "test" in my_data.OPENED


def test_the_fingerprint_follows_the_content(mine):
    before = [load_task(f"torch:my_data:{name}").fingerprint for name in ("tensors", "three")]
    assert before == [load_task(f"torch:my_data:{name}").fingerprint for name in ("tensors", "three")]
    assert load_task("torch:my_data:tensors", seed=1).fingerprint != before[0]
    import my_data

    my_data.IMAGES[5, 0, 0, 0] += 1
    assert load_task("torch:my_data:tensors").fingerprint != before[0]
    assert load_task("torch:my_data:three").fingerprint != before[1]


def test_sizes_differ_and_are_resized(mine):
    assert load_task("torch:my_data:sizes", size=8).shape == (1, 8, 8)


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("torch", {}, "task 'torch' names no module: write torch:MODULE"),
        ("torch:my_data", {}, "task 'torch:my_data': write torch:MODULE:FUNCTION"),
        ("torch:nowhere_at_all:f", {}, "no module 'nowhere_at_all' is on Python's path"),
        ("torch:my_data:tensor", {}, "unknown function of module 'my_data' 'tensor': did you mean 'tensors'"),
        ("torch:my_data:broken", {}, r"broken\(\) failed at .*my_data.py:\d+: OSError: disk gone"),
        ("torch:my_data:broken_item", {}, r"train\[0\] failed at .*my_data.py:\d+: ZeroDivisionError"),
        ("torch:my_data:no_dataset", {}, "train is of type list: a torch Dataset with a length is needed"),
        ("torch:my_data:stream", {}, "train is of type Endless: a torch Dataset with a length"),
        ("torch:my_data:no_train", {}, "its dict has no 'train', only valid"),
        ("torch:my_data:another", {}, "unknown split of torch:my_data:another 'val': did you mean 'valid'"),
        ("torch:my_data:empty", {}, "train has no images"),
        ("torch:my_data:unlabelled", {}, r"train\[0\] is a Tensor: a pair of image and label is needed"),
        ("torch:my_data:words", {}, r"train\[0\] has the label 'cat': an integer of at least 0"),
        ("torch:my_data:one_class", {}, r"labels name one class \(0\): at least two"),
        ("torch:my_data:gap", {}, "labels go up to 2 without 1"),
        (
            "torch:my_data:sizes",
            {},
            r"train\[1\] has shape \(1, 9, 8\), those before \(1, 8, 8\); give task_op",
        ),
        ("torch:my_data:channels", {}, r"train\[0\] has 8 channels: 1 or 3 come first"),
        ("torch:my_data:small", {}, r"train\[0\] is 3x8: at least 4x4"),
        ("torch:my_data:nan", {}, r"train\[0\] contains NaN or infinity"),
        ("torch:my_data:text", {}, r"train\[0\] is a str: a tensor \(c, h, w\) or a PIL image"),
        ("torch:my_data:augments", {}, r"train\[0\] is another image at each reading: leave augmentation out"),
        ("torch:my_data:tensors", {"size": 2}, "torch option size=2: a whole number of at least 4"),
        ("torch:my_data:tensors", {"valid": 0}, "torch option valid=0: a share between 0 and 1"),
    ],
)
def test_what_cannot_be_trained_on_is_one_line(mine, unchecked, name, options, message):
    with pytest.raises(BenchbedError, match=message) as caught:
        load_task(name, **options)
    assert "\n" not in str(caught.value)
