"""Pictures of cells: what the text says, and what the files hold."""

import re
import sys
from collections.abc import Hashable
from xml.etree import ElementTree

import pytest

from benchbed.errors import BenchbedError
from benchbed.report.draw import draw_cell, text_drawing
from benchbed.space import Architecture, Position, Space
from benchbed.spaces.darts.space import OPERATIONS as DARTS_OPERATIONS
from benchbed.spaces.darts.space import Darts
from benchbed.spaces.nb201.space import NB201, OPERATIONS, all_architectures

SPACE = NB201()
CELL = SPACE.parse("|nor_conv_3x3~0|+|nor_conv_1x1~0|avg_pool_3x3~1|+|skip_connect~0|none~1|nor_conv_3x3~2|")
FAINT = "#a8a8a8"


class Listed(Space):
    """Any positions at all, the k-th choice of each named by a number; -1 is dropped."""

    supernet = "toy:Supernet"
    network = "toy:Network"

    def __init__(self, *positions: tuple[str, tuple[str, ...]]):
        self.positions = tuple(Position(name, ops, (True,) * len(ops)) for name, ops in positions)

    def parse(self, text: str) -> Architecture:
        return self.architecture_of(tuple(map(int, text.split())))

    def architecture_of(self, choices: tuple[int, ...]) -> Architecture:
        return Architecture(" ".join(map(str, choices)), choices)

    def canonical(self, arch: Architecture) -> Hashable:
        return arch.choices


CHAIN = Listed(("layer 1", ("k3e3", "k5e6")), ("layer 10", ("k3e3", "identity")))


def read_back(drawing: str) -> list[tuple[str, str]]:
    """The edges that a person would read off the lines, by the columns in which they begin and end."""
    lines = drawing.splitlines()
    column = {x: name for x, name in enumerate(lines[1]) if name != " "}
    edges = []
    for line in lines[2:-1]:
        carries = re.search(r"├─+ (\w+) ─+▶│", line)
        empty = re.search(r"│·+ (\w+) ·+│", line)
        found = carries or empty
        assert found, line
        assert (found[1] == "none") == (carries is None), line
        edges.append((f"{column[found.start()]}->{column[found.end() - 1]}", found[1]))
    return edges


def test_every_cell_can_be_read_off_its_text_drawing():
    for arch in list(all_architectures())[::23]:
        drawing = text_drawing(SPACE, arch)
        assert read_back(drawing) == SPACE.describe_choices(arch)
        assert max(map(len, drawing.splitlines())) <= 80


def test_input_and_output_are_named_over_their_nodes():
    words, nodes = text_drawing(SPACE, CELL).splitlines()[:2]
    assert words.index("input") <= nodes.index("0") < words.index("input") + 5
    assert words.index("output") <= nodes.index("3") < words.index("output") + 6


def test_a_dropped_edge_is_drawn_broken():
    space = Listed(("0->1", ("conv",)), ("0->2", ("conv",)), ("1->2", ("conv",)))
    lines = text_drawing(space, space.architecture_of((0, -1, 0))).splitlines()
    assert "· dropped ·" in lines[3]
    assert sum("▶" in line for line in lines) == 2


def test_a_space_that_is_no_graph_is_listed():
    assert text_drawing(CHAIN, CHAIN.architecture_of((1, -1))) == "layer 1   k5e6\nlayer 10  dropped"


@pytest.mark.parametrize(
    "space",
    [
        Listed(("0->1", ("conv",)), ("layer", ("conv",))),  # not all are edges
        Listed(("0->1", ("conv",)), ("1->0", ("conv",))),  # a cycle
        Listed(("0->1", ("conv",)), ("0->1", ("conv",))),  # the same edge twice
        Listed(*((f"{i}->{i + 1}", ("a_long_operation",)) for i in range(9))),  # a graph too wide for 80 columns
        Listed(("x" * 70, ("y" * 70,))),
    ],
)
def test_what_does_not_fit_a_drawing_is_listed_in_80_columns(space):
    lines = text_drawing(space, space.architecture_of((0,) * len(space.positions))).splitlines()
    assert len(lines) == len(space.positions)
    assert all(
        len(line) <= 80 and line.split()[-1][:8] in p.operations[0]
        for line, p in zip(lines, space.positions, strict=True)
    )


def svg_of(arch: Architecture, folder) -> str:
    draw_cell(SPACE, arch, folder / "cell.svg")
    return (folder / "cell.svg").read_text()


def test_an_svg_is_well_formed_and_names_every_node_and_operation(tmp_path):
    text = svg_of(CELL, tmp_path)
    assert ElementTree.fromstring(text).tag.endswith("svg")
    words = re.findall(r"<!-- (\S+) -->", text)  # matplotlib writes a text's words beside its outlines
    assert sorted(words) == sorted(
        ["0", "1", "2", "3", "input", "output", *(operation for _, operation in SPACE.describe_choices(CELL))]
    )
    assert "<image" not in text  # vectors only


def strokes(text: str) -> list[tuple[str, bool]]:
    """(colour, broken) of every edge's line; labels, nodes and arrow heads are closed shapes and are left out."""
    styles = re.findall(r'<path d="[^"z]*" [^>]*style="fill: none; ([^"]*)"', text)
    return [(re.search(r"stroke: (#\w+)", style)[1], "dasharray" in style) for style in styles]


def test_every_operation_has_a_colour_of_its_own_and_none_is_faint_and_broken(tmp_path):
    seen = {}
    for k, name in enumerate(OPERATIONS):
        drawn = strokes(svg_of(SPACE.architecture_of((k,) * 6), tmp_path))
        assert drawn == [drawn[0]] * 6, name
        seen[name] = drawn[0]
    assert seen.pop("none") == (FAINT, True)
    colours = {colour for colour, broken in seen.values() if not broken}
    assert len(colours - {FAINT}) == 4


def test_a_mixed_cell_breaks_only_its_none_edges(tmp_path):
    drawn = strokes(svg_of(CELL, tmp_path))
    assert [broken for _, broken in drawn].count(True) == 1
    assert len(drawn) == 6


@pytest.mark.parametrize(
    ("ending", "start"), [(".svg", b"<?xml"), (".pdf", b"%PDF"), (".png", b"\x89PNG"), (".PNG", b"\x89PNG")]
)
def test_the_ending_chooses_the_format_and_the_bytes_repeat(tmp_path, ending, start):
    one, two = tmp_path / f"one{ending}", tmp_path / f"two{ending}"
    draw_cell(SPACE, CELL, one)
    draw_cell(SPACE, CELL, str(two))
    assert one.read_bytes().startswith(start)
    assert one.read_bytes() == two.read_bytes()


def test_no_two_labels_or_nodes_overlap_in_the_picture():
    from matplotlib.patches import Circle

    from benchbed.report import draw

    for arch in (CELL, SPACE.architecture_of((3,) * 6), SPACE.architecture_of((0,) * 6)):
        figure = draw._figure(draw._cells(SPACE, arch), draw.colours_of(SPACE))
        figure.canvas.draw()
        axes = figure.axes[0]
        boxes = [(t.get_bbox_patch() or t).get_window_extent() for t in axes.texts if not t.get_text().isdecimal()]
        boxes += [p.get_window_extent() for p in axes.patches if isinstance(p, Circle)]
        assert len(boxes) == 6 + 2 + 4
        assert not [(a, b) for i, a in enumerate(boxes) for b in boxes[:i] if a.overlaps(b)]
        assert all(axes.bbox.x0 <= b.x0 and b.x1 <= axes.bbox.x1 for b in boxes)
        assert all(axes.bbox.y0 <= b.y0 and b.y1 <= axes.bbox.y1 for b in boxes)


def test_no_edge_crosses_another_or_runs_through_its_label():
    from matplotlib.patches import FancyArrowPatch

    from benchbed.report import draw

    empty = SPACE.architecture_of((0,) * 6)  # the same lines, without arrow heads
    figure = draw._figure(draw._cells(SPACE, empty), draw.colours_of(SPACE))
    figure.canvas.draw()
    axes = figure.axes[0]
    arrows = [p for p in axes.patches if isinstance(p, FancyArrowPatch)]
    lines = [arrow.get_transform().transform_path(arrow.get_path()) for arrow in arrows]
    labels = [t.get_bbox_patch().get_window_extent() for t in axes.texts if t.get_bbox_patch()]
    assert len(lines) == len(labels) == 6
    for i, line in enumerate(lines):
        assert line.intersects_bbox(labels[i], filled=False)  # its own lies on it
        others = [k for k in range(6) if k != i]
        assert not [k for k in others if line.intersects_path(lines[k], filled=False)]
        assert not [k for k in others if line.intersects_bbox(labels[k], filled=False)]


def test_drawing_leaves_the_interactive_part_of_matplotlib_alone(tmp_path):
    svg_of(CELL, tmp_path)
    plots = sys.modules.get("matplotlib.pyplot")
    assert plots is None or plots.get_fignums() == []


def test_another_ending_is_refused_with_those_that_serve(tmp_path):
    with pytest.raises(BenchbedError, match=r"'\.jpg' is not one of \.svg, \.pdf, \.png"):
        draw_cell(SPACE, CELL, tmp_path / "cell.jpg")


def test_a_space_that_is_no_graph_is_not_drawn(tmp_path):
    with pytest.raises(BenchbedError, match="Listed cannot be drawn: positions such as 'layer 1'"):
        draw_cell(CHAIN, CHAIN.architecture_of((0, 0)), tmp_path / "chain.svg")


def test_a_folder_that_is_not_there_is_named(tmp_path):
    with pytest.raises(BenchbedError, match=r"nowhere.*cannot be written: No such file"):
        draw_cell(SPACE, CELL, tmp_path / "nowhere" / "cell.svg")


DARTS_CELL = Darts().resolve("DARTS_V2")[1]


def test_the_cells_of_groups_are_a_line_a_node_in_text():
    lines = text_drawing(Darts(), DARTS_CELL).splitlines()
    assert [line.split()[0] for line in lines] == ["normal", "3", "4", "5", "reduce", "3", "4", "5"]
    assert lines[3].split(" = ")[1] == "skip_connect(0) + dil_conv_3x3(2)"
    assert all(len(line) <= 80 for line in lines)


def test_the_cells_of_groups_are_drawn_without_what_was_dropped(tmp_path):
    draw_cell(Darts(), DARTS_CELL, tmp_path / "cell.svg")
    text = (tmp_path / "cell.svg").read_text()
    words = [word for word in re.findall(r"<!-- (.+?) -->", text) if word in DARTS_OPERATIONS]
    kept = [operation for _, operation in Darts().describe_choices(DARTS_CELL) if operation != "dropped"]
    assert sorted(words) == sorted(kept)
    assert len(strokes(text)) == 16
    assert not any(broken for _, broken in strokes(text))
    for title in ("normal", "reduce"):
        assert f"{title} cell: its output joins nodes 2 to 5" in text


def test_no_two_labels_of_published_cells_overlap():
    from matplotlib.patches import Circle

    from benchbed.report import draw

    for name in ("DARTS_V1", "DARTS_V2", "darts_pt_s5_0", "darts_pt_s5_2", "blank_pt_s5_1"):
        figure = draw._figure(draw._cells(Darts(), Darts().resolve(name)[1]), draw.colours_of(Darts()))
        figure.canvas.draw()
        for axes in figure.axes:
            boxes = [t.get_bbox_patch().get_window_extent() for t in axes.texts if t.get_bbox_patch()]
            boxes += [p.get_window_extent() for p in axes.patches if isinstance(p, Circle)]
            assert len(boxes) == 8 + 6
            assert not [(a, b) for i, a in enumerate(boxes) for b in boxes[:i] if a.overlaps(b)], name
            assert all(axes.bbox.y0 <= b.y0 and b.y1 <= axes.bbox.y1 for b in boxes)
