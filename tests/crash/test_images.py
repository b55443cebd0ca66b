"""Images of an ext4 file system taken while a command writes to it, as a power cut leaves them: it goes on from each.

Needs root and a loop device. BENCHBED_IMAGES says how many images of each command are taken (10).
"""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from .test_power_cut import CASES, left

Command = Callable[..., Any]
SIZE = "48M"


@contextmanager
def mounted(image: Path, at: Path) -> Iterator[Path]:
    at.mkdir(exist_ok=True)
    subprocess.run(["mount", "-o", "loop", image, at], check=True, capture_output=True)
    try:
        yield at
    finally:
        subprocess.run(["umount", at], check=True, capture_output=True)


@pytest.fixture
def disk(tmp_path: Path) -> Path:
    """An empty ext4 image. Skips where none can be made or mounted."""
    image = tmp_path / "disk.img"
    if os.geteuid() != 0 or shutil.which("mkfs.ext4") is None:
        pytest.skip("an image of ext4 needs root and mkfs.ext4")
    subprocess.run(["truncate", "-s", SIZE, image], check=True)
    subprocess.run(["mkfs.ext4", "-q", "-F", image], check=True)
    try:
        with mounted(image, tmp_path / "probe"):
            pass
    except subprocess.CalledProcessError as error:
        pytest.skip(f"no loop device can be mounted here: {error.stderr.decode().strip()[:100]}")
    return image


@pytest.mark.slow
@pytest.mark.parametrize("name", CASES)
def test_every_image_goes_on(
    name: str, disk: Path, tmp_path: Path, tiny_file: Path, child_env: dict[str, str], command: Command,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    case, count = CASES[name], int(os.environ.get("BENCHBED_IMAGES", "10"))
    monkeypatch.setenv("OMP_NUM_THREADS", str(torch.get_num_threads()))
    shutil.copy(tiny_file, tmp_path / "tiny.npz")
    rng, images = np.random.default_rng(0), []
    with mounted(disk, tmp_path / "mount") as at:
        env = {**child_env, "OMP_NUM_THREADS": str(torch.get_num_threads())}
        words = [sys.executable, "-m", "benchbed", *case.arguments(tmp_path, at / "out")]
        with (tmp_path / "said").open("w") as said:
            child = subprocess.Popen(words, cwd=tmp_path, env=env, start_new_session=True, stdout=said, stderr=said)
            while child.poll() is None:
                if (at / "out").exists() and len(images) < count:
                    time.sleep(float(rng.exponential(0.1)))
                    images.append(_image(child, disk, tmp_path / f"cut-{len(images)}.img"))
                time.sleep(0.002)
        assert child.returncode == 0, (tmp_path / "said").read_text()
        images.append(_image(None, disk, tmp_path / "end.img"))  # the command has ended: what it said is there
        wanted = left(at / "out")
    assert len(images) > 2, "the command was too quick for images"
    for image in images:
        with mounted(image, tmp_path / "mount") as at:
            if image.name == "end.img":
                for pattern in case.kept:
                    assert list((at / "out").glob(pattern)), f"{pattern}: lost although the command had ended"
            done = command(*case.arguments(tmp_path, at / "out"))
            assert done.status == 0, f"{image.name}: {done.err}"
            found = left(at / "out")
        assert found.keys() == wanted.keys(), image.name
        for file, value in found.items():
            assert value == wanted[file], f"{image.name}: {file}"
        image.unlink()


def _image(child: "subprocess.Popen[bytes] | None", disk: Path, to: Path) -> Path:
    """What is on the disk now; the command stands still while it is copied."""
    if child is not None:
        os.killpg(child.pid, signal.SIGSTOP)
    try:
        subprocess.run(["cp", "--sparse=always", disk, to], check=True)
    finally:
        if child is not None:
            os.killpg(child.pid, signal.SIGCONT)
    return to
