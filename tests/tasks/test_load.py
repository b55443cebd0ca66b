import json
import subprocess
import sys

import pytest

from benchbed import registry
from benchbed.errors import BenchbedError
from benchbed.tasks.load import load_task, maker

USERS = '''"""Stripes: the class is the row that is lit."""

import hashlib

import torch

from benchbed import BenchbedError
from benchbed.task import Seal, Split, Task


def stripes(where: str, /, size: int = 8, count: int = 40) -> Task:
    if size < 4:
        raise BenchbedError(f"stripes option size={size}: at least 4")
    labels = torch.arange(count) % 4
    images = torch.zeros(count, 1, size, size)
    images[torch.arange(count), 0, labels] = 1.0
    split, seen = Split(images, labels), hashlib.sha256(f"{where} {size} {count}".encode()).hexdigest()
    return Task("stripes", 4, (1, size, size), split, split, Seal(lambda: split), seen)


def helper() -> Split:
    """No task."""
'''


@pytest.fixture
def users(tmp_path, monkeypatch):
    monkeypatch.setattr(registry, "_USER_FILES", {})
    file = tmp_path / "stripes.py"
    file.write_text(USERS)
    registry.add_file(file)
    yield file
    sys.modules.pop("benchbed_plugin_stripes", None)


def test_every_task_of_ours_is_a_function_of_its_file():
    names = {plugin.name for plugin in registry.plugins("task")}
    assert {"digits", "cifar10", "npz"} <= names
    for name in names:
        assert maker(name).__module__ == f"benchbed.tasks.{name.replace('-', '_')}"


def test_a_users_function_is_a_task(users):
    task = load_task("stripes:here", size=6)
    assert (task.shape, task.classes, task.train.images.shape) == ((1, 6, 6), 4, (40, 1, 6, 6))
    assert registry.find("task", "stripes").summary == "Stripes: the class is the row that is lit."
    assert "stripes" not in {p.name for kind in ("searcher", "selector", "space") for p in registry.plugins(kind)}
    fingerprint = task.fingerprint
    assert fingerprint == load_task("stripes:here", size=6).fingerprint
    assert fingerprint != load_task("stripes:there", size=6).fingerprint
    users.write_text(USERS + "\n# another file\n")
    assert load_task("stripes:here", size=6).fingerprint != fingerprint


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("stripes", {}, "task 'stripes' names no where: write stripes:WHERE"),
        ("stripes:x", {"sise": 3}, "unknown stripes option 'sise': did you mean 'size'"),
        ("stripes:x", {"where": 3}, "unknown stripes option 'where'"),
        ("stripes:x", {"data": "here"}, "unknown stripes option 'data'"),
        ("stripes:x", {"size": 3}, "stripes option size=3: at least 4"),
        ("stripe:x", {}, "unknown task 'stripe': did you mean 'stripes'"),
    ],
)
def test_a_users_task_is_refused_as_ours_are(users, name, options, message):
    with pytest.raises(BenchbedError, match=message):
        load_task(name, **options)


def test_a_run_on_a_users_task(users, command, tiny_flags, tmp_path):
    flags = [f for f in tiny_flags if "npz:" not in f and f != "--task"]
    names = ["--plugin", users, "--task", "stripes:x", "--searcher", "random", "--selector", "magnitude"]
    done = command("run", *names, *flags, "--out", tmp_path / "out", "--quiet")
    assert done.status == 0, done.err
    (record,) = (tmp_path / "out").glob("*/record.json")
    assert json.loads(record.read_text())["task"] == "stripes"
    assert "task_options.size" in command("list", "task", "stripes", "--plugin", users).out


def test_listing_the_tasks_imports_none_of_them(child_env):
    code = "from benchbed import registry; registry.plugins('task'); import sys; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], env=child_env, capture_output=True, text=True, timeout=60)
    assert done.stdout.strip() == "False", done.stderr


def test_an_option_that_is_none_is_left_at_its_default():
    sizes = {"train": 20, "valid": 10, "test": 10}
    task = load_task("digits", data=None, splits=None, images=None, noise=None, **sizes)
    assert task.fingerprint == load_task("digits", **sizes).fingerprint


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("cifar", {}, "unknown task 'cifar': did you mean 'cifar10"),
        ("cifar10:x", {}, "task 'cifar10:x': 'cifar10' takes nothing after its name"),
        ("_batches", {}, "unknown task '_batches'"),
        ("cifar10", {}, "task 'cifar10' needs its images, data=DIR: a folder that holds cifar-10-batches-py/"),
        ("cifar100", {}, "task 'cifar100' needs its images, data=DIR: a folder that holds cifar-100-python/"),
        ("imagenet16", {}, "with train_data_batch_1, .*, train_data_batch_10, val_data"),
        ("cifar10", {"image": 5}, "unknown cifar10 option 'image': did you mean 'images'"),
        ("digits", {"data": "here"}, "unknown digits option 'data'"),
        ("digits", {"images": 10}, "unknown digits option 'images'"),
        ("npz:", {}, "task 'npz' names no file: write npz:FILE"),
        ("npz:x.npz", {"data": "here"}, "task 'npz' takes no options, got data"),
    ],
)
def test_a_wrong_name_or_option_is_one_clear_line(name, options, message):
    with pytest.raises(BenchbedError, match=message) as caught:
        load_task(name, **options)
    assert "\n" not in str(caught.value)
