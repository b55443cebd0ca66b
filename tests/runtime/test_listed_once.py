"""A folder of images is listed by the first process of a group alone; all get the same task, or end alike."""

import json
import sys
from pathlib import Path

import pytest
import torch
from PIL import Image

from benchbed.runtime.parallel import ALONE, connected
from benchbed.tasks.load import load_task

from .test_parallel import launch

HERE = Path(__file__).resolve().parent


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    generator = torch.Generator().manual_seed(0)
    for part, count in (("train", 8), ("val", 3), ("test", 2)):
        for k in range(2):
            place = tmp_path / "images" / part / f"n{k}"
            place.mkdir(parents=True)
            for i in range(count):
                pixels = torch.randint(256, (12, 12, 3), generator=generator, dtype=torch.uint8)
                Image.fromarray(pixels.numpy()).save(place / f"{i}.png")
    return tmp_path / "images"


def two(folder: Path, name: str, out: Path, env: dict[str, str], *more: str) -> list[dict]:
    out.mkdir()
    command = [sys.executable, str(HERE / "listing.py"), str(folder), name, str(out), *more]
    for status, said in launch([command] * 2, env):
        assert status == 0, said
    return [json.loads((out / f"{rank}.json").read_text()) for rank in range(2)]


@pytest.mark.parametrize("name", ["imagenet", "images"])
def test_the_first_process_alone_lists_and_both_have_its_task(
    name: str, folder: Path, tmp_path: Path, child_env: dict[str, str]
) -> None:
    first, second = two(folder, name, tmp_path / "out", child_env)
    listing = first.pop("calls"), second.pop("calls")
    assert first == second
    assert listing[0]["os.scandir"] >= 6, "train, val or test, and two classes in each"
    assert not listing[1].get("os.scandir")
    if name == "imagenet":
        alone = load_task("imagenet", data=folder, valid=2, resolution=8)
        assert listing[1] == {}, "no file is even opened"
        assert first["names"][0] == alone.train.names
    else:
        alone = load_task(f"images:{folder}")
        decoded = sum(len(labels) for labels in first["labels"][:2])  # the test images later
        assert listing[1] == {"open": decoded}, "pixels are decoded in each process, and nothing else"
    assert first["fingerprint"] == alone.fingerprint
    assert first["facts"] == json.loads(json.dumps(alone.facts))


@pytest.mark.parametrize("name", ["imagenet", "images"])
def test_what_the_first_process_refuses_ends_both(
    name: str, folder: Path, tmp_path: Path, child_env: dict[str, str]
) -> None:
    """The first one says why, and the other ends without a word, as with all that a group refuses."""
    first, second = two(folder, name, tmp_path / "out", child_env, "broken")
    assert first["refused"].startswith(f"class folder '{folder / 'train' / 'n0'}' has no image")
    assert second["refused"] == ""


@pytest.mark.parametrize("name", ["imagenet", "images"])
def test_a_process_that_makes_a_task_by_itself_waits_for_no_other(
    name: str, folder: Path, tmp_path: Path, child_env: dict[str, str]
) -> None:
    """As `--full-cost` does in the first process, and whatever runs within `from_leader`."""
    first, second = two(folder, name, tmp_path / "out", child_env, "alone")
    assert first["fingerprint"] == second["fingerprint"]
    assert connected() == ALONE
