"""Pictures of chains: what a reader sees in the text, and what stands where in the figure."""

import re

from matplotlib.patches import FancyBboxPatch

from benchbed.report.draw import ABSENT, draw_cell, text_drawing
from benchbed.report.draw_chain import chain_figure, chain_text
from benchbed.space import Layer
from benchbed.spaces.mbconv.space import RELEASED, MBConv
from benchbed.spaces.nats_sss.space import NatsSss

SPACE = MBConv()


def test_text_has_a_line_a_stage_with_channels_size_and_operations():
    space, arch = SPACE.resolve("proxyless-gpu")
    lines = text_drawing(space, arch).splitlines()
    assert len(lines) == 9
    assert lines[0].split() == ["stem", "40x112x112", "conv3x3"]
    assert lines[3].split() == ["stage", "2", "56x28x28", "k7e3", "····", "····", "k3e3"]
    assert lines[-1].split() == ["head", "1728x7x7", "conv1x1"]
    words = [w.replace("····", "zero") for line in lines[2:-1] for w in line.split()[3:]]
    assert "-".join(words) == RELEASED["proxyless-gpu"].text


def test_a_long_stage_goes_on_in_the_next_line():
    text = chain_text([Layer("a very long name", f"op{i}", 8, 4) for i in range(30)], 80)
    assert re.findall(r"op\d+", text) == [f"op{i}" for i in range(30)]
    assert max(map(len, text.splitlines())) <= 80


def test_nothing_overlaps_in_the_figure_and_zero_is_broken():
    for name in RELEASED:
        space, arch = SPACE.resolve(name)
        figure = chain_figure(space.layers(arch), {}, ABSENT)
        figure.canvas.draw()
        axes = figure.axes[0]
        blocks = [p for p in axes.patches if isinstance(p, FancyBboxPatch)]
        assert len(blocks) == 24
        broken = [p.get_linestyle() != "solid" for p in blocks]
        assert broken == [layer.operation == "zero" for layer in space.layers(arch)]
        inside = [t for t in axes.texts if t.get_text() in {layer.operation for layer in space.layers(arch)}]
        outside = [t for t in axes.texts if t not in inside]
        boxes = [p.get_window_extent() for p in (*blocks, *outside)]
        assert not [(a, b) for i, a in enumerate(boxes) for b in boxes[:i] if a.overlaps(b)]
        assert len(inside) == 24
        for block, word in zip(blocks, inside, strict=True):
            a, b = block.get_window_extent(), word.get_window_extent()
            assert a.x0 <= b.x0
            assert b.x1 <= a.x1
            assert a.y0 <= b.y0
            assert b.y1 <= a.y1
        assert all(axes.bbox.x0 <= b.x0 and b.x1 <= axes.bbox.x1 for b in boxes)
        assert all(axes.bbox.y0 <= b.y0 and b.y1 <= axes.bbox.y1 for b in boxes)


def test_the_same_chain_gives_the_same_bytes(tmp_path):
    space, arch = SPACE.resolve("proxyless-cpu")
    for name in ("one.svg", "two.svg"):
        draw_cell(space, arch, tmp_path / name)
    one, two = ((tmp_path / name).read_bytes() for name in ("one.svg", "two.svg"))
    assert one == two
    assert one.startswith(b"<?xml")


def test_a_width_is_no_kernel():
    """Operations of nats-sss name channels: their blocks are all as tall."""
    space = NatsSss()
    figure = chain_figure(space.layers(space.parse("64:8:16:32:40")), {}, ABSENT)
    blocks = [p for p in figure.axes[0].patches if isinstance(p, FancyBboxPatch)]
    assert len({round(block.get_height(), 6) for block in blocks}) == 1
