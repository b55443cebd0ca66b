import re

import numpy as np
import pytest
import torch
from PIL import Image

from benchbed.errors import BenchbedError
from benchbed.images.photographs import augmented, central, normalised, pixels
from benchbed.tasks.load import load_task


def write(path, value, size=(24, 20), **how):
    path.parent.mkdir(parents=True, exist_ok=True)
    y, x = np.mgrid[: size[1], : size[0]]
    grey = np.stack([(value * 7 + x) % 256, (value * 13 + y) % 256, (x + y) % 256], -1)
    Image.fromarray(grey.astype(np.uint8)).save(path, **{"format": "JPEG", "quality": 95} | how)


@pytest.fixture
def folder(tmp_path):
    """Three classes of 9, 7 and 6 training images and 2 test images each."""
    number = 0
    for label, count in enumerate((9, 7, 6)):
        for i in range(count):
            write(tmp_path / "train" / f"n{label}" / f"a{i}.JPEG", number := number + 1)
        for i in range(2):
            write(tmp_path / "val" / f"n{label}" / f"v{i}.JPEG", number := number + 1)
    return tmp_path


def task(folder, **options):
    return load_task("imagenet", data=folder, **{"valid": 6, "resolution": 16} | options)


def test_the_split_is_balanced_disjoint_stable_and_never_the_test_set(folder):
    """Oracle 22 of the ProxylessNAS reference; a split without shuffling put half of the classes away (pitfall 21)."""
    one, again = task(folder), task(folder)
    assert one.valid.names == again.valid.names
    assert one.valid.labels.bincount().tolist() == [2, 2, 2]
    assert one.train.labels.bincount().tolist() == [7, 5, 4]
    assert not set(one.valid.names) & set(one.train.names)
    assert sorted(one.valid.names + one.train.names) == sorted(
        f"{p.parent.name}/{p.name}" for p in (folder / "train").glob("*/*")
    )
    test = one.seal.open("a selection")
    assert (test.root, len(test)) == (folder / "val", 6)
    assert {one.train.root, one.valid.root} == {folder / "train"}
    assert one.fingerprint == again.fingerprint
    for split in (one.train, one.valid, test):
        assert all(
            name.startswith(f"n{label}/") for name, label in zip(split.names, split.labels.tolist(), strict=True)
        )


def test_the_validation_images_are_not_the_first_ones(folder):
    for i in range(200):
        write(folder / "train" / "n0" / f"b{i}.JPEG", i)
    names = task(folder, valid=9).valid.names[:3]
    assert names != sorted(p.name for p in (folder / "train" / "n0").iterdir())[:3]


def test_a_share_or_a_limit(folder):
    assert len(task(folder, valid=0.25).valid) == round(0.25 * 22)
    few = task(folder, images=3)
    assert few.train.labels.tolist() == few.valid.labels.tolist() == [0, 1, 2]


def test_the_fingerprint_follows_the_files_and_what_is_made_of_them(folder):
    before = task(folder).fingerprint
    assert task(folder, resolution=24).fingerprint != before
    assert task(folder, valid=3).fingerprint != before
    write(folder / "val" / "n1" / "v1.JPEG", 3, size=(90, 90))
    assert task(folder).fingerprint != before


def test_pixels_are_decoded_when_they_are_read(folder):
    made = task(folder)
    chosen, seeds = torch.tensor([5, 0, 9]), torch.tensor([11, 12, 13])
    images, labels = made.train.finish(made.train.start(chosen, seeds))
    assert images.shape == (3, 3, 16, 16)
    assert labels.tolist() == made.train.labels[chosen].tolist()
    for image, i, seed in zip(images, chosen.tolist(), seeds.tolist(), strict=True):
        source = Image.open(folder / "train" / made.train.names[i])
        view = augmented(source, 16, torch.Generator().manual_seed(seed))
        assert torch.equal(image, normalised(torch.from_numpy(pixels(view))[None])[0])
    (images, _), *rest = made.valid.in_order([slice(2, 4)])
    assert rest == []
    source = Image.open(folder / "train" / made.valid.names[2])
    assert torch.equal(images[0], normalised(torch.from_numpy(pixels(central(source, 16)))[None])[0])


def test_validation_and_test_images_are_never_augmented(folder):
    made = task(folder)
    for split in (made.valid, made.seal.open("a selection")):
        assert split.seeds(4, torch.Generator()) is None
    drawn = made.train.seeds(4, torch.Generator().manual_seed(3))
    assert drawn.tolist() == torch.randint(2**62, (4,), generator=torch.Generator().manual_seed(3)).tolist()


def test_batches_come_in_order_however_far_ahead_they_are_read(folder):
    split = task(folder).train
    order = list(torch.randperm(16).split(3))
    labels = [labels for _, labels in split.batches(order)]
    assert [x.tolist() for x in labels] == [split.labels[chosen].tolist() for chosen in order]


def test_grey_cmyk_and_png_are_read_as_rgb(folder):
    Image.new("L", (30, 30), 128).save(folder / "train" / "n0" / "a0.JPEG", format="JPEG")
    Image.new("CMYK", (30, 30)).save(folder / "train" / "n0" / "a1.JPEG", format="JPEG")
    write(folder / "train" / "n0" / "a2.JPEG", 1, format="PNG", quality=None)
    made = task(folder)
    for split in (made.train, made.valid):
        assert sum(len(labels) for _, labels in split.in_order([slice(0, len(split))])) == len(split)
        assert split.broken == {}


@pytest.fixture
def broken(folder):
    """A folder in which one image is cut off and another no image; enough others that they are less than 0.1 %."""
    split = task(folder).train
    cut = folder / "train" / split.names[3]
    cut.write_bytes(cut.read_bytes()[:-40])
    (folder / "train" / split.names[7]).write_bytes(b"no image")
    return split


def test_a_broken_image_is_named_and_left_out(broken):
    broken.most_broken = 2 / len(broken)
    images, labels = broken.finish(broken.start(torch.arange(2, 9), None))
    assert len(images) == len(labels) == 5
    assert labels.tolist() == broken.labels[[2, 4, 5, 6, 8]].tolist()
    assert set(broken.broken) == {broken.names[3], broken.names[7]}
    assert "truncated" in broken.broken[broken.names[3]]
    assert broken.broken[broken.names[7]] == "cannot identify it as PNG, JPEG, BMP, GIF, WEBP, TIFF or PPM"
    assert str(broken.root) not in str(broken.broken)


def test_more_than_a_thousandth_stops(broken):
    assert broken.most_broken == 0.001
    file = re.escape(str(broken.root / broken.names[3]))
    with pytest.raises(BenchbedError, match=rf"1 of 16 images cannot be read, more than 0.1%: '{file}' \(.*trunc"):
        broken.finish(broken.start(torch.arange(5), None))
    broken.most_broken = 1.0
    with pytest.raises(BenchbedError, match=rf"none of the 1 images of a batch can be read: '{file}'"):
        broken.finish(broken.start(torch.tensor([3]), None))


def test_a_batch_of_broken_images_alone_stops(broken):
    broken.most_broken = 1.0
    with pytest.raises(BenchbedError, match="none of the 1 images of a batch can be read"):
        broken.finish(broken.start(torch.tensor([7]), None))


def _remove(folder, *parts):
    place = folder.joinpath(*parts)
    for file in place.iterdir():
        file.unlink()
    place.rmdir()


def test_classes_that_train_and_val_do_not_share_are_refused(folder):
    _remove(folder, "val", "n1")
    with pytest.raises(BenchbedError, match=r"val' has no class 'n1', which '.*train' has"):
        task(folder)
    _remove(folder, "train", "n1")
    _remove(folder, "train", "n2")
    with pytest.raises(BenchbedError, match=r"train' has no class 'n2', which '.*val' has"):
        task(folder)


def test_an_empty_class_is_refused(folder):
    (folder / "train" / "n7").mkdir()
    with pytest.raises(BenchbedError, match=r"class folder '.*n7' has no image: files that end in .jpeg"):
        task(folder)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"valid": 0}, "valid=0: a number of images or a share"),
        ({"valid": 1.5}, "valid=1.5: a number of images or a share"),
        ({"valid": True}, "valid=True: a number of images or a share"),
        ({"valid": 2}, "valid=2: at least one image of each of 3 classes"),
        ({"valid": 50_000}, "leaves no training image of class 'n0', which has 9"),
        ({"valid": 18}, "leaves no training image of class 'n2', which has 6"),
        ({"images": 2}, "images=2: a whole number from 3"),
        ({"resolution": 4}, "resolution=4: a whole number from 8"),
    ],
)
def test_options_out_of_range_are_refused(folder, options, message, unchecked):
    with pytest.raises(BenchbedError, match=message):
        task(folder, **options)


def test_a_folder_of_another_form_is_refused(tmp_path):
    with pytest.raises(BenchbedError, match="needs its images, data=DIR"):
        load_task("imagenet")
    with pytest.raises(BenchbedError, match="has no folder 'train': task 'imagenet' needs DIR/train/CLASS"):
        load_task("imagenet", data=tmp_path)
