"""Training and searching on images that stay on disk: what is read ahead, by how many threads, changes nothing."""

import io
from concurrent.futures import Future

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from benchbed.layers.plan import plan
from benchbed.objective import View
from benchbed.objectives.cursor import Cursor
from benchbed.objectives.reader import StoredReader
from benchbed.objectives.supernet import SupernetObjective, SupernetOptions
from benchbed.runtime.parallel import ALONE, Group
from benchbed.spaces.nb201.space import NB201
from benchbed.streams import Streams, derive, seeded
from benchbed.task import Reading, Seal, Split, StoredSplit, Task
from benchbed.training.evaluate import accuracies
from benchbed.training.part import Part
from benchbed.training.recipe import Recipe
from benchbed.training.train import Training, Within


class Shelf(StoredSplit):
    """Images that are 'decoded' from a tensor; augmented by noise of their seed; notes what was read, and when."""

    def __init__(self, count=22, augment=True, broken=()):
        g = torch.Generator().manual_seed(0)
        self.images, self.labels = torch.randn(count, 1, 6, 6, generator=g), torch.randint(3, (count,), generator=g)
        self.augment, self.bad, self.broken, self.reads = augment, set(broken), {}, []
        self.most_broken = 0.2

    def to(self, device):
        return self

    def first(self, count):
        raise NotImplementedError

    def seeds(self, count, generator):
        return torch.randint(2**62, (count,), generator=generator) if self.augment else None

    def image(self, i, seed):
        noise = 0 if seed is None else torch.randn(1, 6, 6, generator=torch.Generator().manual_seed(seed))
        return self.images[i] + noise

    def start(self, chosen, seeds):
        self.reads.append(chosen.tolist())
        draws = [None] * len(chosen) if seeds is None else seeds.tolist()
        futures = []
        for i, seed in zip(chosen.tolist(), draws, strict=True):
            futures.append(Future())
            futures[-1].set_result(self.image(i, seed))
        return Reading(chosen, seeds, futures)

    def finish(self, reading):
        bad = {str(i): "broken" for i in reading.chosen.tolist() if i in self.bad}
        if bad:
            self.note_broken(bad)
        kept = [k for k, i in enumerate(reading.chosen.tolist()) if i not in self.bad]
        images = torch.stack([reading.images[k].result() for k in kept])
        return images, self.labels[reading.chosen[kept]]


def linear():
    with seeded(torch.Generator().manual_seed(1)):
        return nn.Sequential(nn.Flatten(), nn.Dropout(0.3), nn.Linear(36, 3))


def training(split, seed=2, group=ALONE, **recipe):
    given = Recipe(**{"epochs": 4, "batch": 6, "lr": 0.1} | recipe)
    order, noise, mixing = (torch.Generator().manual_seed(seed + i) for i in range(3))
    return Training(linear(), split, given, order, group=group, noise=noise, mixing=mixing)


def test_resumed_equals_uninterrupted_bit_for_bit_with_warm_up_dropout_and_bf16():
    more = {"warmup_epochs": 2, "bf16": True, "decay_vectors": False}
    whole = training(Shelf(), **more)
    losses = [whole.epoch()["loss"] for _ in range(4)]
    half = training(Shelf(), **more)
    half.epoch()
    file = io.BytesIO()
    torch.save(half.state(), file)
    file.seek(0)
    rest = training(Shelf(), seed=9, **more)
    rest.load_state(torch.load(file, weights_only=True))
    torch.manual_seed(77)
    before = torch.get_rng_state()
    assert [rest.epoch()["loss"] for _ in range(3)] == losses[1:]
    assert torch.equal(before, torch.get_rng_state())
    assert all(torch.equal(v, rest.network.state_dict()[k]) for k, v in whole.network.state_dict().items())


class Stopped(Exception):
    pass


@pytest.mark.parametrize("kind", ["stored", "stored, not augmented", "in memory"])
@pytest.mark.parametrize("at", [1, 2, 5])  # saves, of which an epoch has three within its four steps
def test_saved_within_an_epoch_it_goes_on_bit_for_bit(kind, at):
    """Dropout, mixing, the average and accumulated batches included; what is read or drawn is not read or drawn again.

    22 images in batches of 3, two a step; the last step has one batch, and one image is left out.
    """

    def made(seed=2):
        shelf = Shelf(augment=kind == "stored")
        split = Split(shelf.images, shelf.labels) if kind == "in memory" else shelf
        more = {"mixup": 0.4, "cutmix": 1.0, "ema": 0.7, "accumulate": 2, "batch": 3, "epochs": 3, "momentum": 0.9}
        return training(split, seed, **more)

    whole = made()
    losses = [whole.epoch()["loss"] for _ in range(3)]
    half, saves, file = made(), [], io.BytesIO()

    def save():
        saves.append(half.step)
        if len(saves) == at:
            torch.save(half.state(), file)
            raise Stopped

    half.within = Within(1, save)
    with pytest.raises(Stopped):
        _ = [half.epoch() for _ in range(3)]
    file.seek(0)
    rest = made(seed=9)
    rest.load_state(torch.load(file, weights_only=True))
    assert rest.step == half.step
    assert rest.step % rest.steps_per_epoch == rest.part.steps > 0
    left = 3 - rest.epochs_done
    assert [rest.epoch()["loss"] for _ in range(left)] == losses[-left:]
    assert rest.part is None
    assert all(torch.equal(v, rest.measured.state_dict()[k]) for k, v in whole.measured.state_dict().items())
    assert all(torch.equal(v, rest.network.state_dict()[k]) for k, v in whole.network.state_dict().items())


def test_saving_within_an_epoch_changes_nothing():
    plain, saved = training(Shelf()), training(Shelf())
    seen = []
    saved.within = Within(1, lambda: seen.append(saved.state()["part"]["losses"].shape))
    for _ in range(2):
        assert plain.epoch()["loss"] == saved.epoch()["loss"]
    assert seen == [(1,), (2,), (3,)] * 2  # never after the last step, when the epoch itself is saved
    assert all(torch.equal(v, saved.network.state_dict()[k]) for k, v in plain.network.state_dict().items())
    assert "part" not in plain.state() | saved.state()


def test_decoded_images_are_mixed_and_accumulated_as_those_in_memory():
    shelf = Shelf(augment=False)
    more = {"mixup": 0.5, "cutmix": 1.0, "accumulate": 3, "ema": 0.5}
    stored, held = training(shelf, **more), training(Split(shelf.images, shelf.labels), **more)
    for _ in range(2):
        assert stored.epoch()["loss"] == held.epoch()["loss"]
    assert all(torch.equal(v, held.measured.state_dict()[k]) for k, v in stored.measured.state_dict().items())


def test_a_step_of_batches_with_broken_images_is_the_mean_over_those_that_are_read():
    parts, whole = (
        training(Shelf(augment=False, broken=(4, 9)), epochs=1, lr=1e-9, batch=batch, accumulate=k)
        for batch, k in ((4, 5), (20, 1))
    )
    for made in (parts, whole):
        made.network[1].p = 0.0
    assert parts.epoch()["loss"] == pytest.approx(whole.epoch()["loss"], rel=1e-6)


def test_dropout_draws_from_the_training_and_follows_its_stream():
    one, other = training(Shelf(), lr=1e-9), training(Shelf(), lr=1e-9)
    other.noise.manual_seed(5)
    assert one.epoch()["loss"] != other.epoch()["loss"]


def test_bf16_rounds_and_stays_float32():
    exact, rounded = training(Shelf(), epochs=1), training(Shelf(), epochs=1, bf16=True)
    a, b = exact.epoch()["loss"], rounded.epoch()["loss"]
    assert a != b
    assert a == pytest.approx(b, rel=0.03)
    assert {p.dtype for p in rounded.network.parameters()} == {torch.float32}


def test_every_image_is_read_once_an_epoch_and_two_batches_ahead():
    shelf = Shelf()
    steps = training(shelf, epochs=1)
    steps.epoch()
    assert sorted(i for read in shelf.reads for i in read) == list(range(22))
    shelf.reads.clear()
    first = next(iter(shelf.batches(torch.arange(22).split(4))))
    assert len(first[1]) == 4
    assert len(shelf.reads) == 1 + shelf.ahead


def test_the_processes_of_a_group_read_their_parts_alone():
    shelves = [Shelf(), Shelf()]
    reads = []
    for rank, shelf in enumerate(shelves):
        half = training(shelf, group=Group(rank, 2))
        order = Part(torch.randperm(22, generator=torch.Generator().manual_seed(3)))
        reads.append([shown.labels for shown in half._read(order)])
    for chosen, one, two in zip(order.order.split(6), *reads, strict=True):
        assert torch.equal(torch.cat([one, two]), shelves[0].labels[chosen])


def test_broken_images_are_left_out_of_the_mean():
    shelf = Shelf(augment=False, broken=(4, 9))
    found = accuracies(linear().eval(), shelf, batch=5)
    kept = torch.tensor([i for i in range(22) if i not in (4, 9)])
    same = accuracies(linear().eval(), Split(shelf.images[kept], shelf.labels[kept]))
    assert found.images == 20
    assert found.top1 == same.top1
    assert found.loss == pytest.approx(same.loss, rel=1e-6)
    assert shelf.broken == {"4": "broken", "9": "broken"}


def reader(shelf, seed=0):
    streams = [torch.Generator().manual_seed(seed + i) for i in range(2)]
    return StoredReader(shelf, Cursor(len(shelf), 5, streams[0]), streams[1], ALONE), streams


def test_a_search_reads_one_batch_ahead_and_what_it_would_have_read():
    shelf = Shelf()
    ahead, _ = reader(shelf)
    plain, order = torch.Generator().manual_seed(1), Cursor(22, 5, torch.Generator().manual_seed(0))
    for _ in range(10):  # through two ends of a pass, where the next order is not known
        batch, chosen = ahead.next(), order.next()
        seeds = torch.randint(2**62, (5,), generator=plain)
        expected = torch.stack([shelf.image(i, s) for i, s in zip(chosen.tolist(), seeds.tolist(), strict=True)])
        assert torch.equal(batch.images, expected)
        assert torch.equal(batch.labels, shelf.labels[chosen])
    assert len(shelf.reads) == 11, "a guess was not used"


def test_a_guess_that_is_wrong_is_thrown_away():
    shelf = Shelf()
    ahead, streams = reader(shelf)
    ahead.next()
    streams[1].manual_seed(44)  # as load_state does
    batch = ahead.next()
    seeds = torch.randint(2**62, (5,), generator=torch.Generator().manual_seed(44))
    chosen = shelf.reads[2]
    expected = torch.stack([shelf.image(i, s) for i, s in zip(chosen, seeds.tolist(), strict=True)])
    assert torch.equal(batch.images, expected)


def test_an_augmented_look_at_validation_decodes_by_the_seed_of_the_look():
    task = Task("shelf", 3, (1, 6, 6), Shelf(), Shelf(), Seal(Shelf), "0")
    options = SupernetOptions(channels=2, cells=1, batch=4, valid_batch=4, eval_batch=8)
    made, path = SupernetObjective(NB201(), task, options, Streams(0), epochs=1), torch.eye(5)[[3, 1, 3, 2, 4, 3]]
    seen = made.seen(View("batch", augmentation=3))
    found = seen.outcomes(path[None], 1).loss[0]
    part = Group(1, made.parts).part(22)
    shelf, seeds = Shelf(), torch.randint(2**62, (7,), generator=torch.Generator().manual_seed(derive(3, "part-1")))
    numbers = range(22)[part]
    images = torch.stack([shelf.image(i, seed) for i, seed in zip(numbers, seeds.tolist(), strict=True)])
    with torch.no_grad():
        logits = made.network(images, path, plan(path))
    torch.testing.assert_close(found, F.cross_entropy(logits, shelf.labels[part], reduction="none"))
    whole = torch.cat([seen.outcomes(path[None], k).loss[0] for k in range(made.parts)])
    torch.testing.assert_close(seen.measure(path).loss, whole.mean())
    assert seen.measure(path).loss != made.measure(path).loss
    held = [made.seen(View(norm, path)).measure(path).loss for norm in ("eval", "recalibrated")]  # on decoded images
    torch.testing.assert_close(held[0], held[1])
