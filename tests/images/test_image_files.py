"""What every published data set does alike, on a small stand-in for CIFAR-100, the cheapest of the three."""

import pickle
from dataclasses import replace

import numpy as np
import pytest
import torch

from benchbed.errors import BenchbedError
from benchbed.images import published as _published
from benchbed.streams import Streams
from benchbed.tasks.cifar100 import CIFAR100
from benchbed.tasks.imagenet16 import IMAGENET16

ONE, TWO = [*range(0, 100, 2), *range(101, 200, 2)], [*range(1, 100, 2), *range(100, 200, 2)]  # every class in each


@pytest.fixture
def small(stand_in):
    return stand_in(CIFAR100, train=400, test=200)


def _rewrite(path, **arrays):
    path.write_bytes(pickle.dumps({**pickle.loads(path.read_bytes()), **arrays}))


def test_pixels_are_normalised_by_channel(small):
    task = small.task()
    raw = pickle.loads((small.data / "cifar-100-python" / "train").read_bytes())["data"]
    for i, channel, row, column in [(0, 0, 0, 0), (7, 1, 3, 30), (199, 2, 31, 31), (50, 2, 0, 5)]:
        pixel = float(raw[i][channel * 1024 + row * 32 + column])
        expected = (pixel - CIFAR100.mean[channel]) / CIFAR100.std[channel]
        assert float(task.train.images[i, channel, row, column]) == pytest.approx(expected, abs=1e-6)
    assert task.train.images.dtype == torch.float32
    assert task.train.labels.dtype == torch.int64


def test_the_folder_may_be_named_itself(small):
    inside = replace(small, data=small.data / "cifar-100-python").task()
    assert inside.fingerprint == small.task().fingerprint


def test_images_are_truncated_in_balance_and_test_stays_whole(small):
    task = small.task(images=150)
    for split in (task.train, task.valid):
        counts = split.labels.bincount(minlength=100)
        assert counts.tolist() == [2] * 50 + [1] * 50, "as even as 150 over 100 classes can be; first come first"
    assert small.numbers(task.train) == list(range(150))
    assert task.facts["images"] == {"train": 150, "valid": 150, "test": 200}
    assert len(task.seal.open("a selection")) == 200
    assert small.task(images=10_000).facts["images"] == {"train": 200, "valid": 200, "test": 200}, "at most"


def test_the_test_file_is_read_when_the_seal_is_opened(small, monkeypatch):
    read, plain = [], _published.read_batch
    monkeypatch.setattr(_published, "read_batch", lambda path, *rest: read.append(path.name) or plain(path, *rest))
    task = small.task()
    assert read == ["train"]
    assert len(task.seal.open("a selection")) == 200
    assert read == ["train", "test"]


def test_a_test_file_gone_bad_fails_only_the_opening(small):
    (small.data / "cifar-100-python" / "test").write_bytes(b"garbage")
    task = small.task()
    with pytest.raises(BenchbedError, match="test' is not a readable pickle"):
        task.seal.open("a selection")


def test_the_fingerprint_is_of_content_split_and_options(small, split_file):
    folder = split_file(CIFAR100, ONE, TWO)
    variants = [{}, {"splits": folder}, {"images": 150}, {"cutout": 16}]
    prints = [small.task(**options).fingerprint for options in variants]
    assert len(set(prints)) == len(variants)
    assert all(len(p) == 64 for p in prints)
    assert [small.task(**options).fingerprint for options in variants] == prints
    assert small.task(images=200, splits=folder, split="halves").fingerprint == prints[0], "what the options come to"

    swapped = split_file(CIFAR100, TWO, ONE)
    assert small.task(splits=swapped).fingerprint != prints[1]

    train = small.data / "cifar-100-python" / "train"
    data = pickle.loads(train.read_bytes())["data"]
    data[399, 5] ^= 1
    _rewrite(train, data=data)
    assert small.task().fingerprint != prints[0]


def test_the_fingerprint_knows_which_images_test(stand_in, split_file):
    """The same images train and validate; what else tests is another task."""
    small, prints = stand_in(CIFAR100, train=400, test=400), []
    for rest in (range(100, 200), range(200, 300)):
        valid = [*range(100), *rest]
        task = small.task(splits=split_file(CIFAR100, valid, sorted({*range(400)} - {*valid})), images=100)
        assert small.numbers(task.valid) == list(range(400, 500))
        prints.append(task.fingerprint)
    assert prints[0] != prints[1]


def test_a_wrong_md5_is_refused_and_can_be_waived(small):
    verified = small.task(verify=True)
    assert verified.facts["md5"] == "as published"
    verified.seal.open("a selection")
    other = replace(small, of=replace(small.of, train=CIFAR100.train, test=CIFAR100.test))
    with pytest.raises(BenchbedError, match=rf"train' is not the published file: .* not {CIFAR100.train['train']} "):
        other.task(verify=True)
    with pytest.raises(BenchbedError, match=rf"test' is not the published file: .* not {CIFAR100.test['test']} "):
        replace(other, of=replace(other.of, train=small.of.train)).task(verify=True).seal.open("a selection")
    waived = other.task()
    assert waived.fingerprint == verified.fingerprint
    assert waived.facts["md5"] == "not checked"
    waived.seal.open("a selection")


@pytest.mark.parametrize("split", [None, "halves"])
def test_images_sorted_by_class_cannot_be_halved(small, split):
    """proxylessnas.md, pitfall 21: NNI trains the weights on classes 0-499 and the architecture on 500-999."""
    _rewrite(small.data / "cifar-100-python" / "train", fine_labels=[i // 4 for i in range(400)])
    with pytest.raises(BenchbedError, match="CIFAR-100: the train split has no image of class 50, of 0 to 99"):
        small.task(split=split)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"images": 99}, "cifar100 option images=99: a whole number of at least 100 is needed"),
        ({"images": True}, "cifar100 option images=True"),
        ({"images": 150.0}, "cifar100 option images=150.0"),
        ({"cutout": -2}, "cifar100 option cutout=-2: a whole number of at least 0"),
        ({"cutout": 34}, "cifar100 option cutout=34: at most 32"),
        ({"cutout": 15}, "cifar100 option cutout=15: an even number"),
        ({"verify": "no"}, "cifar100 option verify=no: true or false"),
        ({"split": "oficial"}, "unknown cifar100 split 'oficial': did you mean 'official'"),
        ({"split": "official"}, "needs splits=DIR (--splits DIR), the folder that holds cifar100-test-split.txt"),
        ({"splits": "nowhere"}, "cannot read the split file nowhere/cifar100-test-split.txt"),
    ],
)
@pytest.mark.usefixtures("unchecked")
def test_options_out_of_range_are_one_clear_line(small, options, message):
    with pytest.raises(BenchbedError) as caught:
        small.task(**options)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_what_is_missing_is_named_with_what_is_expected(small):
    expected = "cifar-100-python/ with train, test"
    for data, message in [
        (None, f"task 'cifar100' needs its images, data=DIR: a folder that holds {expected}"),
        (small.data / "nowhere", f"nowhere' is not a folder: task 'cifar100' needs {expected}"),
        (small.data / "cifar-100-python" / "train", f"train' is not a folder: task 'cifar100' needs {expected}"),
    ]:
        with pytest.raises(BenchbedError) as caught:
            replace(small, data=data).task()
        assert message in str(caught.value)
    (small.data / "cifar-100-python" / "test").unlink()
    with pytest.raises(BenchbedError, match=f"has no file test: task 'cifar100' needs {expected}"):
        small.task()


def test_files_with_another_number_of_images_are_refused(small):
    train = small.data / "cifar-100-python" / "train"
    whole = pickle.loads(train.read_bytes())
    _rewrite(train, data=whole["data"][:399], fine_labels=whole["fine_labels"][:399])
    with pytest.raises(BenchbedError, match="train hold 399 images: CIFAR-100 has 400 training images"):
        small.task()


@pytest.mark.parametrize(("of", "train", "test"), [(CIFAR100, 400, 200), (IMAGENET16, 480, 240)])
def test_a_supernet_searches_and_measures_on_it(stand_in, of, train, test):
    from benchbed.objectives.supernet import SupernetObjective, SupernetOptions
    from benchbed.spaces.nb201.space import NB201

    task, space = stand_in(of, train=train, test=test).task(cutout=4), NB201()
    options = SupernetOptions(channels=2, cells=1, batch=16, valid_batch=16, eval_batch=240)
    objective = SupernetObjective(space, task, options, Streams(0), epochs=1)
    gates = torch.from_numpy(np.asarray(space.gates(space.random(np.random.default_rng(0))), dtype=np.float32))
    batch = objective.batch("train")
    assert batch.images.shape == (16, *task.shape)
    assert (batch.images == 0).any(), "cutout"
    assert objective.weight_step(gates, batch).isfinite()
    assert objective.measure(gates).images == train // 2
