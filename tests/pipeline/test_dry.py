"""A dry run of every protocol that names what it is for: the true networks, a few images, few steps; all counted."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from benchbed.protocols.load import load, names

IMAGENET = ("--set", "task_options.valid=0.5")
PAID = ("--latency", "macs", "--target-ms", "300", "--set", "supernet.batch=2", "--set", "supernet.valid_batch=2")
GENOTYPE = ("--arch", "DARTS_V2")
MOBILE = ("--space", "mbconv", "--task", "imagenet", "--arch", "proxyless-mobile")
COMMANDS: dict[str, tuple[str, ...]] = {
    "darts-cifar10-evaluation": ("train", *GENOTYPE),
    "darts-imagenet-transfer": ("train", *GENOTYPE, *IMAGENET),
    "imagenet-training": ("train", *MOBILE, "--set", "space_options.preset=proxyless-mobile", *IMAGENET),
    "proxyless-imagenet-mobile": ("run", *PAID, *IMAGENET),
    "proxyless-imagenet-gpu": ("run", *PAID, *IMAGENET),
    "proxyless-imagenet-cpu": ("run", *PAID, *IMAGENET),
    "generic-paper": ("run", "--searcher", "darts", "--selector", "perturb", "--task", "cifar10"),
    "small-digits": ("run", "--searcher", "darts", "--selector", "perturb", "--table", "none"),
    "table": ("run", "--searcher", "darts", "--selector", "perturb", "--table", "nb201-digits"),
}
# Each image is counted about four times: in the network, its stem, and the stem's layers.
IMAGES = 200


@pytest.fixture(scope="session")
def imagenet(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two classes of four training images and two test images each."""
    folder = tmp_path_factory.mktemp("imagenet")
    for part, count in (("train", 4), ("val", 2)):
        for label in ("n0", "n1"):
            place = folder / part / label
            place.mkdir(parents=True)
            for i in range(count):
                grey = np.full((72, 72, 3), 40 * i + 20, dtype=np.uint8)
                Image.fromarray(grey).save(place / f"{i}.JPEG")
    return folder


# The largest networks, and of protocols that differ in a cost or a space alone all but one.
SLOW = ("proxyless-cifar10", "darts-pt-darts", "proxyless-imagenet-cpu", "proxyless-imagenet-mobile", "darts-pt-s1-s4")


@pytest.mark.parametrize("name", [pytest.param(n, marks=[pytest.mark.slow] * (n in SLOW)) for n in names()])
def test_every_protocol_is_walked_in_a_few_steps(
    name: str, command: Callable[..., Any], seen: list[int], request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    verb, *words = COMMANDS.get(name, ("run",))
    task = load(name).values.get("task", "cifar10" if "cifar10" in words else "imagenet" if "imagenet" in words else "")
    if task:
        words += ["--data", str(request.getfixturevalue("cifar10_folder" if task == "cifar10" else task))]
    if load(name).values.get("task_options", {}).get("split") == "official":
        words += ["--splits", str(request.getfixturevalue("shared_data") / "splits")]
    words += ["--full-cost"] if verb == "run" and name != "table" else []
    done = command(verb, "--protocol", name, *words, "--dry-run", "--quiet", "--device", "cpu", "--out", tmp_path / "o")
    assert (done.status, done.err) == (0, "")
    first, *rest = done.out.splitlines()
    assert first.startswith("dry run: ")
    assert "; walked 1 of " in first or "; walked 2 of " in first
    assert first.endswith("nothing was kept")
    assert [line.startswith("a full search with ") for line in rest] == [True] * ("--full-cost" in words)
    assert list(tmp_path.iterdir()) == []
    assert (sum(seen) == 0) == (name == "table")
    assert sum(seen) <= IMAGES


def test_what_the_true_size_is_refused_for_is_refused(tiny_file: Path, refused: Callable[..., str]) -> None:
    line = refused("run", "--searcher", "darts", "--selector", "magnitude", "--task", f"npz:{tiny_file}",
                   "--set", "supernet.batch=5000", "--dry-run", "--quiet")  # fmt: skip
    assert "fewer than a batch, supernet.batch=5000" in line


@pytest.mark.parametrize("name", ["darts-pt-nb201", "darts-pt-darts"])
def test_a_protocol_without_its_data_is_refused_in_one_line(name: str, refused: Callable[..., str]) -> None:
    assert "task 'cifar10' needs its images, data=DIR: " in refused("run", "--protocol", name, "--dry-run")
