"""Folders of images: what is read is what is there, split by split; whatever does not fit is one line."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from benchbed.errors import BenchbedError
from benchbed.tasks import images as module
from benchbed.tasks.load import load_task


def save(file: Path, array: np.ndarray) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(array).save(file)


def fill(folder: Path, count: int, classes: str = "abc", shape: tuple[int, ...] = (8, 6), seed: int = 0) -> np.ndarray:
    """`count` images a class; uint8 (classes, count, *shape), row i of class i brighter."""
    rng = np.random.default_rng(seed)
    made = rng.integers(0, 160, (len(classes), count, *shape), dtype=np.uint8)
    for i, name in enumerate(classes):
        made[i, :, 2 * i : 2 * i + 2] += 90
        for j in range(count):
            save(folder / name / f"{j:03}.png", made[i, j])
    return made


@pytest.fixture
def apart(tmp_path):
    """A folder with three splits in grey, and their arrays."""
    return tmp_path, {name: fill(tmp_path / name, n, seed=n) for name, n in {"train": 6, "valid": 3, "test": 4}.items()}


def test_three_folders_are_the_three_splits(apart):
    folder, arrays = apart
    task = load_task(f"images:{folder}")
    flat = {name: array.reshape(-1, 1, 8, 6).astype(np.float64) / 255 for name, array in arrays.items()}
    mean, std = flat["train"].mean(), flat["train"].std()
    assert (task.shape, task.classes, task.facts["classes"]) == ((1, 8, 6), 3, ["a", "b", "c"])
    for name, split in {"train": task.train, "valid": task.valid, "test": task.seal.open("a selection")}.items():
        assert split.images.dtype == torch.float32
        np.testing.assert_allclose(split.images.numpy(), (flat[name] - mean) / std, atol=1e-5)
        assert split.labels.tolist() == np.repeat([0, 1, 2], len(split) // 3).tolist()


def test_one_folder_is_cut_class_by_class_into_disjoint_splits(tmp_path):
    made = fill(tmp_path, 10)
    task = load_task(f"images:{tmp_path}", valid=0.2, test=0.3)
    splits = {"train": task.train, "valid": task.valid, "test": task.seal.open("a selection")}
    assert [np.bincount(s.labels).tolist() for s in splits.values()] == [[5] * 3, [2] * 3, [3] * 3]
    every = torch.cat([s.images for s in splits.values()]).flatten(1)
    assert len(torch.unique(every, dim=0)) == made.shape[0] * made.shape[1]
    other = load_task(f"images:{tmp_path}", valid=0.2, test=0.3, seed=1)
    assert not torch.equal(other.valid.images, task.valid.images)
    assert other.fingerprint != task.fingerprint


def test_colour_is_decided_by_the_training_images(tmp_path):
    for name in ("train", "valid", "test"):
        fill(tmp_path / name, 2)
    save(tmp_path / "test" / "a" / "colour.png", np.zeros((8, 6, 3), np.uint8))
    assert load_task(f"images:{tmp_path}").shape == (1, 8, 6)
    save(tmp_path / "train" / "b" / "colour.png", np.full((8, 6, 3), (255, 0, 0), np.uint8))
    task = load_task(f"images:{tmp_path}")
    assert task.shape == (3, 8, 6)
    assert load_task(f"images:{tmp_path}").train.images.shape == (7, 3, 8, 6)


def test_images_of_several_sizes_are_resized_whole(tmp_path):
    fill(tmp_path, 4)
    picture = np.random.default_rng(5).integers(0, 255, (20, 16), dtype=np.uint8)
    save(tmp_path / "a" / "large.png", picture)
    with pytest.raises(BenchbedError, match=r"several sizes: '.*' is .*x.*; give task_options.size"):
        load_task(f"images:{tmp_path}")
    task = load_task(f"images:{tmp_path}", size=10)
    expected = np.asarray(Image.fromarray(picture).resize((10, 10), Image.Resampling.BILINEAR), np.float64) / 255
    shown = torch.cat([task.train.images, task.valid.images, task.seal.open("a selection").images]).numpy()
    (mean,), (std,) = task.facts["mean"], task.facts["std"]
    assert np.abs(shown * std + mean - expected).max((1, 2, 3)).min() < 1e-5


def test_what_does_not_fit_in_memory_comes_from_disk_the_same(apart, monkeypatch):
    folder, _ = apart
    held = load_task(f"images:{folder}")
    monkeypatch.setattr(module, "MEMORY", 0)
    stored = load_task(f"images:{folder}")
    assert stored.fingerprint == held.fingerprint
    pairs = (
        (stored.train, held.train),
        (stored.valid, held.valid),
        (stored.seal.open("a selection"), held.seal.open("a selection")),
    )
    for one, other in pairs:
        assert not hasattr(one, "images")
        ((images, labels),) = one.in_order([slice(0, len(one))])
        assert torch.equal(images, other.images)
        assert torch.equal(labels, other.labels)
    assert stored.train.seeds(3, torch.Generator()) is None
    assert len(stored.train.first(4)) == 4


def test_the_fingerprint_follows_the_content(apart):
    folder, arrays = apart
    before = load_task(f"images:{folder}").fingerprint
    moved = folder.with_name("moved")
    shutil.copytree(folder, moved)
    assert load_task(f"images:{moved}").fingerprint == before
    for place in ("train", "valid", "test"):
        changed = arrays[place][1, 0].copy()
        changed[0, 0] ^= 1
        save(moved / place / "b" / "000.png", changed)
        assert load_task(f"images:{moved}").fingerprint != before
        save(moved / place / "b" / "000.png", arrays[place][1, 0])
    assert load_task(f"images:{folder}", size=8).fingerprint != before


def test_test_images_are_decoded_when_the_seal_is_opened(apart):
    folder, _ = apart
    file = folder / "test" / "a" / "000.png"
    file.write_bytes(file.read_bytes()[:-40])  # its header is whole
    task = load_task(f"images:{folder}")
    with pytest.raises(BenchbedError, match=r"1 of 12 images cannot be read, more than 0.1%: '.*/test/a/000.png'"):
        task.seal.open("a selection")


def one_class(folder):
    shutil.rmtree(folder / "b"), shutil.rmtree(folder / "c")


def no_classes(folder):
    for file in list(folder.rglob("*.png")):
        file.rename(folder / f"{file.parent.name}{file.name}")
    for name in "abc":
        (folder / name).rmdir()


def empty_class(folder):
    (folder / "d").mkdir()


def no_image(folder):
    (folder / "b" / "000.png").write_text("text")


def cut_off(folder):
    for file in (folder / "b").iterdir():
        file.write_bytes(file.read_bytes()[:-40])


def deep(folder):
    Image.fromarray(np.zeros((8, 6), np.uint16)).save(folder / "a" / "000.png")


def another_class(folder):
    for name in ("train", "valid"):
        fill(folder / name, 3, classes="xy" if name == "train" else "xz")


@pytest.mark.parametrize(
    ("spoil", "options", "message"),
    [
        (one_class, {}, r"holds one class folder \('a'\): at least two classes are needed, as DIR/CLASS"),
        (no_classes, {}, "holds no class folder: at least two classes are needed"),
        (empty_class, {}, "class folder '.*d' has no image: files that end in .png"),
        (no_image, {}, "image '.*b/000.png' cannot be read: cannot identify"),
        (cut_off, {}, "image '.*b/0.*.png' cannot be read: "),
        (deep, {}, "image '.*a/000.png' has more than 8 bits a channel"),
        (another_class, {}, "'.*valid/z' is of a class that the training images do not have"),
        (shutil.rmtree, {}, "folder '.*' does not exist: task 'images' needs DIR/CLASS"),
        (None, {"size": 3}, "images option size=3: a whole number of at least 4 is needed"),
        (None, {"size": 8.0}, "images option size=8.0: a whole number"),
        (None, {"seed": -1}, "images option seed=-1: a whole number of at least 0"),
        (None, {"valid": 1.5}, "images option valid=1.5: a share between 0 and 1"),
        (None, {"valid": 0.5, "test": 0.5}, "valid and test take 1 of each class: no training image"),
        (None, {"valid": 0.01}, "has 30 images: too few to cut a valid split"),
        (None, {"valid": 0.49, "test": 0.49}, "has 30 images: too few to cut a train split"),
        (None, {"sizes": 3}, "unknown images option 'sizes': did you mean 'size'"),
    ],
)
def test_what_cannot_be_trained_on_is_one_line(tmp_path, spoil, options, message, unchecked):
    folder = tmp_path / "mine"
    fill(folder, 10)
    if spoil is not None:
        spoil(folder)
    with pytest.raises(BenchbedError, match=message) as caught:
        load_task(f"images:{folder}", **options)
    assert "\n" not in str(caught.value)


def test_a_class_that_a_split_lacks_is_named(apart):
    lost = sorted(path for path in (apart[0] / "test").iterdir() if path.is_dir())[-1]
    shutil.rmtree(lost)
    with pytest.raises(BenchbedError, match=f"'.*test' has no image of class '{lost.name}', which the training images"):
        load_task(f"images:{apart[0]}")


def test_a_share_beside_a_folder_is_refused(apart):
    with pytest.raises(BenchbedError, match=r"images option valid=0.3: '.*valid' is there, nothing is cut"):
        load_task(f"images:{apart[0]}", valid=0.3)


def test_a_run_on_a_folder(tmp_path, command, tiny_flags):
    fill(tmp_path / "mine", 60, shape=(8, 8))
    flags = [f for f in tiny_flags if "npz:" not in f and f != "--task"]
    names = ["--task", f"images:{tmp_path / 'mine'}", "--searcher", "darts", "--selector", "magnitude"]
    small = ["--set", "supernet.batch=18", "--set", "supernet.valid_batch=18"]
    done = command("run", *names, *flags, *small, "--out", tmp_path / "out", "--quiet")
    assert done.status == 0, done.err
    (file,) = (tmp_path / "out").glob("*/record.json")
    record = json.loads(file.read_text())
    assert record["task"] == "images:mine"
    assert record["task_facts"]["images"] == {"train": 108, "valid": 36, "test": 36}
