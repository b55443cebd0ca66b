import pytest
import torch

from benchbed.images.augment import Augment

BLACK = (-1.5, -2.0, -2.5)


def _generator(seed=0):
    return torch.Generator().manual_seed(seed)


def _images(n, size=8):
    return torch.randn(n, 3, size, size, generator=_generator(99))


def _placed(n, size):
    """Images whose pixels name their place: red is the row, green the column, blue the image."""
    row, column = torch.meshgrid(torch.arange(size), torch.arange(size), indexing="ij")
    images = torch.stack([row, column, torch.zeros(size, size)]).float().repeat(n, 1, 1, 1)
    images[:, 2] = torch.arange(n)[:, None, None]
    return images


def _one_by_one(images, border, black, tops, lefts, flips, centres, cutout):
    """The reference: one image at a time, in the order of DARTS: crop, flip, cutout."""
    made = []
    for i, image in enumerate(images):
        h, w = image.shape[1:]
        canvas = torch.tensor(black)[:, None, None].repeat(1, h + 2 * border, w + 2 * border)
        canvas[:, border : border + h, border : border + w] = image
        image = canvas[:, tops[i] : tops[i] + h, lefts[i] : lefts[i] + w]
        image = image.flip(2) if flips[i] else image.clone()
        if cutout:
            y, x = centres[i]
            y1, y2 = max(y - cutout // 2, 0), min(y + cutout // 2, h)
            x1, x2 = max(x - cutout // 2, 0), min(x + cutout // 2, w)
            image[:, y1:y2, x1:x2] = 0.0
        made.append(image)
    return torch.stack(made)


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize(("border", "cutout"), [(4, 0), (2, 0), (0, 0), (4, 16), (2, 4), (0, 6)])
def test_the_batch_equals_one_image_at_a_time(border, cutout, layout, monkeypatch):
    n, h, w = 40, 8, 12
    images = torch.randn(n, 3, h, w, generator=_generator(1))
    drawn = []
    plain = torch.randint

    def spy(high, size, generator):
        drawn.append((high, plain(high, size, generator=generator)))
        return drawn[-1][1]

    monkeypatch.setattr(torch, "randint", spy)
    got = Augment(border, BLACK, cutout)(images.to(memory_format=layout), _generator())
    highs = [high for high, _ in drawn]
    assert highs == [2 * border + 1, 2 * border + 1, 2, *([h, w] if cutout else [])]
    tops, lefts, flips, *centre = [values.tolist() for _, values in drawn]
    centres = list(zip(*centre, strict=True)) if cutout else None
    expected = _one_by_one(images, border, BLACK, tops, lefts, flips, centres, cutout)
    assert torch.equal(got, expected)


def test_every_offset_is_equally_likely_and_half_are_flipped():
    n, size, border = 40_500, 9, 4
    got = Augment(border, BLACK)(_placed(n, size), _generator(3))
    centre = got[:, :, size // 2, size // 2]  # never in the border
    assert torch.equal(centre[:, 2], torch.arange(n).float()), "no image is mixed with another"
    down = centre[:, 0].long()  # 4 - 4 ... 4 + 4
    right = got[:, 1, size // 2, size // 2 + 1] - got[:, 1, size // 2, size // 2 - 1]
    inside = (got[:, 1, size // 2, size // 2 + 1] >= 0) & (got[:, 1, size // 2, size // 2 - 1] >= 0)
    flipped = right[inside] < 0
    assert abs(flipped.double().mean() - 0.5) < 5 * 0.5 / len(flipped) ** 0.5
    table = torch.zeros(9, 9)
    table.index_put_((down, centre[:, 1].long()), torch.ones(n), accumulate=True)
    assert table.min() > 0
    chi_square = float(((table - n / 81) ** 2 / (n / 81)).sum())
    assert chi_square < 80 + 5 * (2 * 80) ** 0.5, "80 degrees of freedom"


def test_the_border_is_black_before_normalisation():
    mean, std = torch.tensor([125.3, 123.0, 113.9]), torch.tensor([63.0, 62.1, 66.7])
    black = tuple((-mean / std).tolist())
    got = Augment(4, black)(torch.full((200, 3, 32, 32), 7.0), _generator())
    pixels = (got * std[:, None, None] + mean[:, None, None]).round()
    border = pixels[got != 7.0]
    assert len(border) > 0
    assert (border == 0).all()
    # a crop that is moved by (a, b) of 4 shows 32*32 - (32 - |a|) (32 - |b|) pixels of border
    shown = (got[:, 0] != 7.0).sum((1, 2)).tolist()
    assert set(shown) <= {1024 - (32 - a) * (32 - b) for a in range(5) for b in range(5)}


def test_cutout_blanks_a_square_that_the_image_clips():
    n, size, cutout = 20_000, 32, 16
    got = Augment(0, BLACK, cutout)(torch.ones(n, 3, size, size), _generator())
    blank = got[:, 0] == 0
    assert torch.equal(got == 0, blank[:, None].expand_as(got)), "all channels alike"
    heights, widths = blank.any(2).sum(1), blank.any(1).sum(1)
    assert torch.equal(blank.sum((1, 2)), heights * widths), "a rectangle"
    # DARTS: rows y-8 to y+7 of 0 to 31, y uniform: 8 to 15 rows and 15 to 8 at the ends, 16 for the rest
    sides = torch.tensor([min(y + 8, size) - max(y - 8, 0) for y in range(size)])
    assert set(heights.tolist()) == set(sides.tolist()) == set(range(8, 17))
    for found in (heights, widths):
        for side in range(8, 17):
            share = float((sides == side).double().mean())
            assert abs(float((found == side).double().mean()) - share) < 5 * (share / n) ** 0.5
    rows = blank.any(2).double().mean(0)  # how often a row is under the square
    exact = torch.tensor([sum(y - 8 <= r < y + 8 for y in range(size)) / size for r in range(size)])
    assert (rows - exact).abs().max() < 5 * 0.5 / n**0.5


def test_the_draws_are_the_generators_alone_and_the_input_is_untouched():
    images, before = _images(30), _images(30)
    augment = Augment(2, BLACK, 4)
    torch.manual_seed(0)
    state = torch.get_rng_state()
    generator = _generator(5)
    one, two = augment(images, generator), augment(images, generator)
    assert torch.equal(one, augment(images, _generator(5)))
    assert not torch.equal(one, two)
    assert torch.equal(torch.get_rng_state(), state), "the global generator"
    assert torch.equal(images, before)


def test_a_restored_generator_gives_the_same_images_again():
    generator, augment, images = _generator(), Augment(2, BLACK), _images(10)
    augment(images, generator)
    state = generator.get_state()
    expected = augment(images, generator)
    generator.set_state(state)
    assert torch.equal(augment(images, generator), expected)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_every_device_gives_the_same_images():
    augment, images = Augment(4, BLACK, 8), _images(64, 16)
    there = augment(images.cuda(), _generator())
    assert there.is_cuda
    assert torch.equal(there.cpu(), augment(images, _generator()))


def test_nothing_is_done_image_by_image(monkeypatch):
    """As many operations on a batch of 1,000 as on a batch of 2."""
    from torch.utils._python_dispatch import TorchDispatchMode

    class Count(TorchDispatchMode):
        calls = 0

        def __torch_dispatch__(self, func, types, args=(), kwargs=None):
            self.calls += 1
            return func(*args, **(kwargs or {}))

    counts = []
    for n in (2, 1000):
        images = _images(n)
        with Count() as count:
            Augment(2, BLACK, 4)(images, _generator())
        counts.append(count.calls)
    assert counts[0] == counts[1]
