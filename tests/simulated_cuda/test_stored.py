"""Images that are decoded from disk reach the device by pinned memory that is used again, and arrive as they are."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from device import Device, each
from PIL import Image
from streams import Event, Stream

from benchbed.images import pinned
from benchbed.images.folders import FolderSplit
from benchbed.images.jpegs import JpegSplit
from benchbed.task import Split
from benchbed.training.recipe import Recipe
from benchbed.training.train import Training

IMAGES, BATCH = 26, 4


@pytest.fixture
def shelf(tmp_path: Path) -> JpegSplit:
    """Images whose label is in their pixels."""
    for i in range(IMAGES):
        Image.new("RGB", (20, 16), (i * 9, 255 - i * 9, 7)).save(tmp_path / f"{i}.png")
    return JpegSplit(tmp_path, [f"{i}.png" for i in range(IMAGES)], torch.arange(IMAGES), 16, augment=False)


def read(split: JpegSplit, broken: tuple[str, ...] = ()) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """Two passes in other orders, each with a smaller last batch."""
    for seed in range(2):
        order = torch.randperm(IMAGES, generator=torch.Generator().manual_seed(seed))
        yield from split.batches(order.split(BATCH))


def require_the_same(found: JpegSplit, wanted: JpegSplit) -> None:
    for (images, labels), (here, there) in zip(read(found), read(wanted), strict=True):
        assert images.device.type == labels.device.type == "cuda"
        assert torch.equal(images.cpu(), here)
        assert torch.equal(labels.cpu(), there)


def test_images_and_labels_are_those_of_the_cpu_in_a_few_slots(
    shelf: JpegSplit, device: Device, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[int] = []
    plain = pinned.Slot.__init__

    def counted(self: pinned.Slot, count: int, shape: tuple[int, ...]) -> None:
        made.append(count)
        plain(self, count, shape)

    monkeypatch.setattr(pinned.Slot, "__init__", counted)
    require_the_same(shelf.to("cuda"), shelf)
    assert len(made) <= shelf.ahead + 1 + pinned.FREE, "slots are used again"
    assert len(device.streams.copies) == 2 * 2 * 7  # images and labels of seven batches, twice
    assert all(copy.late and copy.recorded for copy in device.streams.copies)


def test_an_image_that_cannot_be_read_is_left_out_with_its_label(shelf: JpegSplit) -> None:
    (shelf.root / "5.png").write_bytes(b"no image")
    shelf.most_broken = 0.2
    require_the_same(shelf.to("cuda"), shelf)
    assert set(shelf.broken) == {"5.png"}


def test_a_batch_that_is_begun_and_never_asked_for_spoils_no_other(shelf: JpegSplit) -> None:
    there, chosen = shelf.to("cuda"), torch.arange(BATCH)
    for k in range(4):
        there.start(chosen + k, None)
        images, labels = there.finish(there.start(chosen + 2 * k, None))
        wanted = shelf.finish(shelf.start(chosen + 2 * k, None))
        assert torch.equal(images.cpu(), wanted[0])
        assert torch.equal(labels.cpu(), wanted[1])


def test_a_folder_of_images_goes_the_same_way(shelf: JpegSplit) -> None:
    split = FolderSplit(shelf.root, shelf.names, shelf.labels, (12, 10), True)
    split.measure()
    require_the_same(split.to("cuda"), split)


def training(split: JpegSplit | Split) -> Training:
    network = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(768, IMAGES))
    recipe = Recipe(epochs=1, batch=BATCH, lr=0.1)
    return Training(network, split, recipe, torch.Generator().manual_seed(0), device="cuda")


def test_a_step_copies_no_pageable_memory_and_waits_for_no_copy(shelf: JpegSplit, device: Device) -> None:
    made = training(shelf)
    steps = made._read(made._begun())
    made._step(iter([next(steps)]))
    device.reset()
    for batch in steps:
        made._step(iter([batch]))
    assert not device.syncs, [*each(device.syncs)]
    assert not device.copies, [*each(device.copies)]
    assert sum(device.queued.values()) == 12  # images and labels of the six batches that are left
    assert all(line.lstrip().split(" ", 1)[1].startswith("a copy of pinned memory") for line in each(device.queued))


@pytest.mark.parametrize("fault", ["a slot is taken before its copy ended", "a stream does not wait"])
def test_a_planted_fault_is_found(shelf: JpegSplit, fault: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if fault.startswith("a slot"):
        monkeypatch.setattr(Event, "synchronize", lambda self: None)
        with pytest.raises(RuntimeError, match="pinned memory is copied again while a copy of it is under way"):
            require_the_same(shelf.to("cuda"), shelf)
    else:
        monkeypatch.setattr(Stream, "wait_event", lambda self, event: None)
        with pytest.raises(AssertionError):
            require_the_same(shelf.to("cuda"), shelf)


def test_memory_that_is_written_to_under_a_copy_is_found(device: Device) -> None:
    source, side = torch.ones(3, pin_memory=True), torch.cuda.Stream()
    with torch.cuda.stream(side):
        there = source.to("cuda", non_blocking=True)
    assert (there.cpu() == -1).all(), "nothing of use before a stream waits for it"
    torch.cuda.current_stream().wait_stream(side)
    assert (there.cpu() == 1).all()
    source.fill_(2)
    with pytest.raises(RuntimeError, match="written to while a copy of it was under way"):
        torch.cuda.synchronize()
