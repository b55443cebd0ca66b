"""Mixup and CutMix: shares that are right to the pixel, draws that are Beta's, labels that follow."""

import math

import pytest
import torch

from benchbed.images.mix import Examples, Mix, blended, box, pasted


def batch(n=6, h=8, w=10):
    """Images whose every pixel is the image's number, which is its label too."""
    numbers = torch.arange(n)
    return numbers.float()[:, None, None, None].expand(n, 2, h, w).contiguous(), numbers


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def test_lambda_one_is_the_plain_batch():
    images, partner = torch.randn(5, 2, 6, 6), torch.tensor([3, 1, 4, 0, 2])
    assert torch.equal(blended(images, partner, 1.0), images)
    rows, columns = box(1.0, 6, 6, 3, 3)
    assert torch.equal(pasted(images, partner, rows, columns), images)


def test_lambda_zero_is_the_partners():
    images, partner = torch.randn(5, 2, 6, 6), torch.tensor([3, 1, 4, 0, 2])
    assert torch.equal(blended(images, partner, 0.0), images[partner])
    rows, columns = box(0.0, 6, 6, 3, 3)
    assert torch.equal(pasted(images, partner, rows, columns), images[partner])


def test_mixup_is_the_sum_written_out():
    images, labels = batch()
    mixed = Mix(0.7, None)(images, labels, generator())
    assert mixed.others is not None
    assert 0 < mixed.share < 1
    wanted = mixed.share * labels + (1 - mixed.share) * mixed.others
    assert torch.allclose(mixed.images, wanted[:, None, None, None].expand_as(images))
    assert torch.equal(mixed.labels, labels)
    assert sorted(mixed.others.tolist()) == labels.tolist()


def test_cutmix_labels_are_mixed_by_the_area_to_the_pixel():
    images, labels = batch()
    g, clipped = generator(1), 0
    for _ in range(200):
        before = images.clone()
        mixed = Mix(None, 1.0)(images, labels, g)
        assert torch.equal(images, before), "the images that were given stay"
        for i in range(len(labels)):
            foreign = (mixed.images[i] != labels[i]).all(0)
            if mixed.others[i] != labels[i]:
                assert (mixed.images[i][:, foreign] == mixed.others[i]).all()
                assert int(foreign.sum()) == round((1 - mixed.share) * 80)
                assert math.isclose(1 - mixed.share, foreign.float().mean().item(), abs_tol=1e-6)
                clipped += foreign[0].any() or foreign[:, 0].any()
    assert clipped, "no box of 200 reached the border"


def test_the_box_is_the_published_one_where_the_border_does_not_cut_it():
    """cut_w = int(W sqrt(1 - lambda)), about a centre that is uniform over the pixels."""
    assert box(0.75, 32, 32, 16, 16) == (slice(8, 24), slice(8, 24))
    assert box(0.75, 32, 32, 2, 31) == (slice(0, 10), slice(23, 32))
    assert box(1 - 0.16, 10, 20, 5, 10) == (slice(3, 7), slice(6, 14))


@pytest.mark.parametrize("a", [0.2, 1.0, 3.0])
def test_lambdas_are_beta_s(a):
    """Mean 1/2, variance 1 / (4 (2a + 1)): by 20,000 draws within five standard errors."""
    images, labels = batch(2, 1, 1)
    g, mix = generator(2), Mix(a, None)
    drawn = torch.tensor([mix(images, labels, g).share for _ in range(20_000)], dtype=torch.float64)
    variance = 1 / (4 * (2 * a + 1))
    assert abs(drawn.mean() - 0.5) < 5 * math.sqrt(variance / len(drawn))
    assert float(drawn.var()) == pytest.approx(variance, rel=0.05)


def test_with_both_half_of_the_batches_are_of_each():
    images, labels = batch()
    g, mix = generator(3), Mix(1.0, 1.0)
    pasted_ones = sum(bool((m.images % 1 == 0).all()) for m in (mix(images, labels, g) for _ in range(2000)))
    assert abs(pasted_ones - 1000) < 5 * math.sqrt(500)


def test_one_draw_a_batch_whatever_its_size():
    small, large = generator(4), generator(4)
    Mix(1.0, 1.0)(*batch(2), small)
    Mix(1.0, 1.0)(*batch(60), large)
    assert torch.equal(small.get_state(), large.get_state())


def test_a_part_keeps_its_labels_and_the_share():
    images, labels = batch()
    part = Examples(images, labels, labels.flip(0), 0.3).part(slice(2, 4))
    assert part.labels.tolist() == [2, 3]
    assert part.others.tolist() == [3, 2]
    assert part.share == 0.3
    assert torch.equal(part.images, images[2:4])
    assert Examples(images, labels).part(slice(0, 1)).others is None
