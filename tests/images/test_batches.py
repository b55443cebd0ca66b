import hashlib
import os
import pickle

import numpy as np
import pytest

from benchbed.errors import BenchbedError
from benchbed.images.batches import Layout, read_batch

LAYOUT = Layout(labels="labels", first=1, last=10, side=4)
DATA = np.random.default_rng(0).integers(0, 256, size=(5, 48), dtype=np.uint8)
GOOD = {"data": DATA, "labels": [1, 10, 3, 2, 1], "mean": DATA.mean(0)}


class Runs:
    """A pickle that makes a folder when it is opened by plain pickle."""

    def __init__(self, folder):
        self.folder = folder

    def __reduce__(self):
        return os.mkdir, (str(self.folder),)


def _written(path, content, protocol=4):
    file = path / "batch"
    file.write_bytes(content if isinstance(content, bytes) else pickle.dumps(content, protocol=protocol))
    return file


def _refusal(file, md5=None):
    with pytest.raises(BenchbedError) as caught:
        read_batch(file, LAYOUT, md5)
    assert "\n" not in str(caught.value)
    assert str(file) in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("protocol", [2, 3, 4])
def test_images_are_channel_by_channel_and_labels_count_from_0(tmp_path, protocol):
    images, labels = read_batch(_written(tmp_path, GOOD, protocol), LAYOUT, None)
    assert images.shape == (5, 3, 4, 4)
    assert images.dtype == np.uint8
    for i, channel, row, column in np.ndindex(5, 3, 4, 4):
        assert images[i, channel, row, column] == DATA[i, channel * 16 + row * 4 + column]
    assert labels.tolist() == [0, 9, 2, 1, 0]
    assert labels.dtype == np.int64


def test_a_python_2_pickle_of_an_old_numpy_is_read(tmp_path):
    """The opcodes of the published CIFAR files, written out: `numpy.core`, byte strings, dtype('u1', 0, 1)."""
    raw = bytes(range(200, 248))
    old = (
        b"\x80\x02}q\x01(U\x04dataq\x02cnumpy.core.multiarray\n_reconstruct\nq\x03cnumpy\nndarray\nq\x04K\x00\x85q\x05"
        b"U\x01b\x87Rq\x06(K\x01K\x01K\x30\x86cnumpy\ndtype\nq\x07U\x02u1K\x00K\x01\x87Rq\x08(K\x03U\x01|NNNJ\xff\xff"
        b"\xff\xffJ\xff\xff\xff\xffK\x00tb\x89U\x30" + raw + b"tbU\x06labels]K\x07au."
    )
    images, labels = read_batch(_written(tmp_path, old), LAYOUT, None)
    assert images.tobytes() == raw
    assert labels.tolist() == [6]


def test_the_md5_is_checked_before_the_pickle_is_opened(tmp_path):
    file = _written(tmp_path, GOOD)
    right = hashlib.md5(file.read_bytes()).hexdigest()
    assert len(read_batch(file, LAYOUT, right)[1]) == 5
    file.write_bytes(b"garbage")
    message = _refusal(file, right)
    assert f"its MD5 is {hashlib.md5(b'garbage').hexdigest()}, not {right}" in message


@pytest.mark.parametrize("protocol", [0, 2, 4, 5])
@pytest.mark.parametrize("place", ["alone", "as labels", "as a key's value"])
def test_a_pickle_that_would_run_code_is_named_and_not_run(tmp_path, protocol, place):
    target = tmp_path / "made by the pickle"
    bomb = Runs(target)
    content = {"alone": bomb, "as labels": {**GOOD, "labels": bomb}, "as a key's value": {**GOOD, "extra": bomb}}[place]
    file = _written(tmp_path, content, protocol)
    if protocol < 5:  # in protocol 5 the array before it is already refused, by its own name
        assert f"names '{os.mkdir.__module__}.mkdir', which was not run" in _refusal(file)
    _refusal(file)
    assert not target.exists()
    pickle.loads(file.read_bytes())
    assert target.exists(), "or this test could not fail"


@pytest.mark.parametrize(
    ("pickled", "named"),
    [
        (b"cbuiltins\neval\n.", "'builtins.eval'"),
        (b"\x80\x04\x8c\x05numpy\x8c\x0efromfile.a.b.c\x93.", "'numpy.fromfile.a.b.c'"),
        (b"\x80\x02cnumpy\ndtype\nU\x01OK\x00K\x01\x87R.", "the array type 'O'"),
        (b"\x80\x02c_codecs\nencode\nX\x01\x00\x00\x00aX\x04\x00\x00\x00zlib\x86R.", "the encoding 'zlib'"),
    ],
)
def test_only_numeric_arrays_are_admitted(tmp_path, pickled, named):
    assert f"foreign pickle: it names {named}" in _refusal(_written(tmp_path, pickled))


@pytest.mark.parametrize("cut", [0, 1, 60, -1])
def test_a_truncated_pickle_is_refused(tmp_path, cut):
    assert "is not a readable pickle" in _refusal(_written(tmp_path, pickle.dumps(GOOD)[:cut]))


def test_what_is_no_file_is_refused(tmp_path):
    assert "cannot read" in _refusal(tmp_path)
    assert "cannot read" in _refusal(tmp_path / "absent")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ([1, 2], "holds a list: a dict with data and labels is needed"),
        ({"data": DATA}, "has no 'labels', only data"),
        ({"labels": [1]}, "has no 'data', only labels"),
        ({}, "has no 'data', only nothing"),
        (GOOD | {"data": DATA.tolist()}, "data are list: a uint8 array is needed"),
        (GOOD | {"data": DATA.astype(np.float32)}, "data are float32: a uint8 array is needed"),
        (GOOD | {"data": DATA[:, :47]}, r"data have shape (5, 47): (n, 48) is needed"),
        (GOOD | {"data": DATA.reshape(5, 3, 16)}, "data have shape (5, 3, 16)"),
        (GOOD | {"labels": [1, 2]}, "has 2 labels for 5 images"),
        (GOOD | {"labels": [1, 2, 3, 4, 0]}, "labels contain 0: 1 to 10 are expected"),
        (GOOD | {"labels": [1, 2, 3, 4, 11]}, "labels contain 11: 1 to 10 are expected"),
        (GOOD | {"labels": [1, 2, 3, 4, 5.0]}, "labels are no list of whole numbers"),
        (GOOD | {"labels": [1, 2, 3, 4, True]}, "labels are no list of whole numbers"),
        (GOOD | {"labels": "12345"}, "labels are no list of whole numbers"),
        (GOOD | {"labels": np.ones((5, 2), int)}, "labels are no list of whole numbers"),
    ],
)
def test_content_of_another_shape_is_refused(tmp_path, content, message):
    assert message in _refusal(_written(tmp_path, content))


def test_labels_may_be_an_array(tmp_path):
    _, labels = read_batch(_written(tmp_path, GOOD | {"labels": np.array([1, 2, 3, 4, 5])}), LAYOUT, None)
    assert labels.tolist() == [0, 1, 2, 3, 4]
