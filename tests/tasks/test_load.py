import subprocess
import sys

import pytest

from benchbed import registry
from benchbed.errors import BenchbedError
from benchbed.tasks.load import NAMES, load_task


def test_the_registry_and_the_loader_know_the_same_tasks():
    assert {plugin.name for plugin in registry.plugins("task")} == {*NAMES, "npz"}


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
        ("cifar10:x", {}, "unknown task 'cifar10:x'"),
        ("_batches", {}, "unknown task '_batches'"),
        ("cifar10", {}, "task 'cifar10' needs its images, data=DIR: a folder that holds cifar-10-batches-py/"),
        ("cifar100", {}, "task 'cifar100' needs its images, data=DIR: a folder that holds cifar-100-python/"),
        ("imagenet16", {}, "with train_data_batch_1, .*, train_data_batch_10, val_data"),
        ("cifar10", {"image": 5}, "unknown cifar10 option 'image': did you mean 'images'"),
        ("digits", {"data": "here"}, "unknown digits option 'data'"),
        ("digits", {"images": 10}, "unknown digits option 'images'"),
        ("npz:x.npz", {"data": "here"}, "task 'npz' takes no options, got data"),
    ],
)
def test_a_wrong_name_or_option_is_one_clear_line(name, options, message):
    with pytest.raises(BenchbedError, match=message) as caught:
        load_task(name, **options)
    assert "\n" not in str(caught.value)
