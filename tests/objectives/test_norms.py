"""Batch norm by gathered statistics, against networks that keep running averages."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torch.optim.swa_utils import update_bn

from benchbed.errors import BenchbedError
from benchbed.objective import View
from benchbed.objectives.norms import answered, average, gather
from benchbed.objectives.supernet import CALIBRATION, SupernetObjective, SupernetOptions
from benchbed.spaces.nb201.space import NB201
from benchbed.streams import Streams, derive
from benchbed.task import Seal, Split, Task


def network(**norm) -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4, eps=1e-3, **norm), nn.ReLU(),
        nn.Conv2d(4, 5, 1), nn.BatchNorm2d(5, **norm), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(5, 2),
    )  # fmt: skip


def images(count: int, seed: int = 0) -> torch.Tensor:
    return 3 + 2 * torch.randn(count, 3, 6, 6, generator=torch.Generator().manual_seed(seed))


def test_a_network_without_averages_is_measured_as_one_whose_averages_were_updated_on_the_same_batches():
    kept, bare = network(), network(track_running_stats=False)
    batches = [images(8, seed) for seed in range(3)]
    (statistics,) = gather([bare], batches)
    update_bn(batches, kept)
    with torch.no_grad():
        expected = kept.eval()(images(5, 9))
        found = answered(bare, statistics)(images(5, 9))
    assert len(statistics) == 2
    torch.testing.assert_close(found, expected)
    with torch.no_grad():  # an image is normalised as it is alone, which the batch's own statistics do not do
        torch.testing.assert_close(answered(bare, statistics)(images(5, 9)[:1]), found[:1])
        assert not torch.allclose(bare(images(5, 9)[:2]), bare(images(5, 9))[:2], atol=1e-3)


def test_what_a_network_keeps_itself_is_neither_read_nor_moved():
    kept, bare = network(), network(track_running_stats=False)
    buffers = {name: value.clone() for name, value in kept.named_buffers() if "running" in name}
    statistics = gather([kept], [images(8)])[0]
    with torch.no_grad():
        torch.testing.assert_close(answered(kept, statistics)(images(4)), answered(bare, statistics)(images(4)))
    assert len(buffers) == 4
    assert all(torch.equal(kept.get_buffer(name), value) for name, value in buffers.items())


def test_averages_are_over_batches_and_networks_call_by_call():
    found = gather([lambda x: F.batch_norm(x, None, None, training=True)], [images(2), images(2, 1)])[0]
    each = [torch.var_mean(images(2, seed), (0, 2, 3)) for seed in (0, 1)]
    torch.testing.assert_close(found[0].mean, (each[0][1] + each[1][1]) / 2)
    torch.testing.assert_close(found[0].variance, (each[0][0] + each[1][0]) / 2)
    assert torch.equal(average([found, found])[0].mean, found[0].mean)


def test_statistics_of_other_calls_are_refused():
    def normed(times):
        def run(x):
            for _ in range(times):
                x = F.batch_norm(x, None, None, training=True)
            return x

        return run

    one, two = gather([normed(1)], [images(4)])[0], gather([normed(2)], [images(4)])[0]
    for other, statistics in ((normed(2), one), (normed(1), two)):
        with pytest.raises(BenchbedError, match=r"other batch norms at other gates.*batch or recalibrated"):
            answered(other, statistics)(images(4))
    with pytest.raises(BenchbedError, match="other batch norms at other gates"):
        average([one, two])
    wider = gather([lambda x: normed(1)(torch.cat([x, x], 1))], [images(4)])[0]
    with pytest.raises(BenchbedError, match="other batch norms at other gates"):
        answered(normed(1), wider)(images(4))


# -- as an objective's view ----------------------------------------------------------------------------------------


def objective(train: int = 40, augment=None) -> SupernetObjective:
    split = Split(images(train), torch.arange(train) % 3)
    valid = Split(images(24, 1), torch.arange(24) % 3)
    task = Task("random", 3, (3, 6, 6), split, valid, Seal(lambda: valid), "0", augment=augment)
    options = SupernetOptions(channels=4, cells=1, batch=8, valid_batch=8, eval_batch=8)
    return SupernetObjective(NB201(), task, options, Streams(0), epochs=1)


MIXTURE = torch.full((6, 5), 0.2)
PATH = torch.eye(5)[[3, 1, 3, 2, 4, 3]]


def test_held_statistics_make_an_image_independent_of_its_part_and_the_batchs_own_do_not():
    made = objective()
    batch = made.batch("valid")
    alone = type(batch)(batch.images[:2], batch.labels[:2])
    for norm, same in (("batch", False), ("eval", True), ("recalibrated", True)):
        seen = made.seen(View(norm, MIXTURE))
        with torch.no_grad():
            whole, part = (seen._forwards(PATH[None])[0](b.images)[:2] for b in (batch, alone))
        assert torch.allclose(whole, part, atol=1e-5) == same, norm


def test_eval_holds_the_unmasked_statistics_while_recalibrated_follows_the_mask():
    made, masked = objective(), MIXTURE.clone()
    masked[0, 3] = 0.0
    held, followed = (made.seen(View(norm, MIXTURE)) for norm in ("eval", "recalibrated"))
    at_eval, own = (seen.measure(torch.stack([MIXTURE, masked])).loss for seen in (held, followed))
    torch.testing.assert_close(at_eval[0], own[0])
    assert abs(float(at_eval[1] - own[1])) > 1e-3
    statistics = held.gathered[b""]
    torch.testing.assert_close(held.measure(masked).loss, at_eval[1])
    assert held.gathered[b""] is statistics, "gathered once a decision"


@pytest.mark.parametrize(("train", "expected"), [(40, 32), (20, 20)])
def test_statistics_are_of_a_few_batches_spread_over_the_training_split(train, expected):
    made, seen = objective(train), []
    made.splits["train"] = _Noted(made.splits["train"], seen)
    made.seen(View("recalibrated")).measure(PATH)
    chosen = torch.cat(seen)
    assert len(chosen) == expected <= CALIBRATION * 8
    assert len(set(chosen.tolist())) == len(chosen)
    assert int(chosen[0]) == 0
    assert int(chosen[-1]) >= train - 2
    assert max(len(c) for c in seen) <= 8


class _Noted:
    def __init__(self, split, seen):
        self.split, self.seen = split, seen

    def __len__(self):
        return len(self.split)

    def batches(self, order):
        order = list(order)
        self.seen += order
        return self.split.batches(order)


def _jitter(found, generator):
    return found + torch.randn(found.shape, generator=generator)


def test_an_augmented_look_is_a_function_of_its_seed():
    made = objective(augment=_jitter)
    first, again, other = (made.seen(View(augmentation=seed)).measure(PATH).loss for seed in (1, 1, 2))
    assert first == again != other
    assert made.measure(PATH).loss not in (first, other)
    part = made.seen(View(augmentation=1)).outcomes(PATH[None], 1).loss
    expected = _jitter(images(24, 1)[8:16], _generator_of(1, 1))
    with torch.no_grad():
        logits = made._forwards(PATH[None])[0](expected)
    torch.testing.assert_close(part[0], F.cross_entropy(logits, torch.arange(8, 16) % 3, reduction="none"))


def _generator_of(seed, part):
    return torch.Generator().manual_seed(derive(seed, f"part-{part}"))


def test_without_an_augmentation_an_augmented_look_is_a_plain_one():
    made = objective()
    assert made.seen(View(augmentation=1)).measure(PATH).loss == made.measure(PATH).loss


def test_a_look_at_some_images_is_of_the_same_ones_spread_over_validation():
    made = objective()
    flat = made.splits["valid"]
    few = made.seen(View(images=10))
    chosen = [0, 2, 4, 7, 9, 12, 14, 16, 19, 21]  # floor(24 k / 10)
    assert (few.validation_images, few.parts) == (10, 2)
    with torch.no_grad():
        forward = made._forwards(PATH[None])[0]
        logits = torch.cat([forward(flat.images[chosen[:5]]), forward(flat.images[chosen[5:]])])
    expected = F.cross_entropy(logits, flat.labels[chosen])
    found = few.measure(PATH)
    torch.testing.assert_close(found.loss, expected)
    assert found.images == 10
    losses = torch.cat([few.outcomes(PATH[None], k).loss[0] for k in range(2)])
    torch.testing.assert_close(losses.mean(), expected)
    assert made.validation_images == 24  # itself untouched
    assert made.seen(View(images=1000)).measure(PATH).loss == made.measure(PATH).loss
