"""An architecture as a picture: for the terminal in text, for a paper or a page as SVG, PDF or PNG.

A chain (a space that gives `layers`) is drawn by `draw_chain`. A space is drawn as a graph where all its positions are
named `a->b`, edges from node a to node b, and as one graph a group where they are named `group:a->b`; any other space
is listed. In a graph the nodes stand in a row, so that an edge's span is seen at once; `none` is drawn broken. Of
groups, whose cells have many edges, what was dropped is left out.
"""

import io
import re
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from .. import registry
from ..errors import BenchbedError
from ..space import Architecture, Space
from .draw_chain import chain_figure, chain_text
from .saving import empty_figure, save_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.path import Path as Curve

HOW: dict[str, Any] = {"dpi": 200, "bbox_inches": "tight", "pad_inches": 0.05}  # pictures are saved
WIDTH = 80  # columns of a terminal
FORMATS = (".svg", ".pdf", ".png")
ABSENT = ("none", "dropped", "zero")  # what does nothing
# Okabe and Ito's palette, which colour-blind readers can tell apart; operations take colours in the space's order.
PALETTE = ("#009E73", "#56B4E9", "#0072B2", "#E69F00", "#CC79A7", "#D55E00", "#F0E442", "#000000")
FAINT = "#A8A8A8"


class Edge(NamedTuple):
    """One edge of a cell: the columns of its nodes, from left to right, and its operation."""

    source: int
    target: int
    operation: str

    @property
    def span(self) -> int:
        return self.target - self.source


class Cell(NamedTuple):
    """A graph: its nodes from left to right and the edges between them. Untitled, it is the only one of its space."""

    nodes: list[str]
    edges: list[Edge]
    title: str = ""
    inputs: int = 1  # how many of the nodes, from the left, no edge of the space leads to


def text_drawing(space: Space, arch: Architecture) -> str:
    """The architecture in at most 80 columns: a row of nodes and a line an edge, a chain's stages, else a list.

    The cells of groups are sums, a line a node. A space that is no chain, and whose positions are not named as edges or
    whose cell is too wide for the terminal, is listed: position and operation in two columns.
    """
    if layers := space.layers(arch):
        return chain_text(layers, WIDTH)
    cells = _cells(space, arch)
    if cells and cells[0].title:
        return "\n".join(line for cell in cells for line in _sums(cell))
    drawing = _lanes(cells[0].nodes, cells[0].edges) if cells else None
    return drawing or _listing(space, arch)


def _sums(cell: Cell) -> list[str]:
    """A line a node: `normal   2 = sep_conv_3x3(0) + skip_connect(1)`."""
    lines: list[str] = []
    for column, name in enumerate(cell.nodes[cell.inputs :], cell.inputs):
        terms = [f"{e.operation}({cell.nodes[e.source]})" for e in cell.edges if e.target == column]
        head = cell.title if not lines else ""
        lines.append(f"{head:<10} {name} = {' + '.join(terms) or '0'}"[:WIDTH])
    return lines


def draw_cell(space: Space, arch: Architecture, path: str | Path) -> None:
    """Writes a picture of a cell or of a chain; the file's ending chooses the format: .svg, .pdf or .png.

    The same architecture gives the same bytes. Raises BenchbedError for another ending, for a space that is
    neither (no layers, positions not named `a->b`), and where the file cannot be written.
    """
    path = Path(path)
    if path.suffix.lower() not in FORMATS:
        raise BenchbedError(f"picture '{path}': ending '{path.suffix}' is not one of {', '.join(FORMATS)}")
    figure, ending = _picture(space, arch), path.suffix.lower().removeprefix(".")
    try:
        save_figure(figure, path, ending, "cell", **HOW)
    except OSError as error:
        raise BenchbedError(f"picture '{path}' cannot be written: {error.strerror or error}") from None


def drawing(arch: Architecture, path: str | Path | None = None, space: Space | None = None) -> str:
    """What `Architecture.draw` gives: its picture as SVG, also written to `path`. Raises BenchbedError as that does."""
    space = _space_of(arch) if space is None else space
    if path is not None:
        draw_cell(space, arch, path)
    return picture(space, arch, "svg").decode()


def picture(space: Space, arch: Architecture, ending: str) -> bytes:
    """What `draw_cell` writes to a file of this ending."""
    out = io.BytesIO()
    save_figure(_picture(space, arch), out, ending, "cell", **HOW)
    return out.getvalue()


def _space_of(arch: Architecture) -> Space:
    """The first registered space at its default options that has this member, and is no chain."""
    for plugin in registry.plugins("space"):
        with suppress(BenchbedError, TypeError):  # another space's string; a space whose options have no default
            space: Space = registry.load("space", plugin.name)()
            if space.parse(arch.text) == arch and not space.layers(arch):
                return space
    raise BenchbedError(f"architecture '{arch}' cannot be drawn without its space: give space=...")


def _picture(space: Space, arch: Architecture) -> "Figure":
    layers, cells = space.layers(arch), _cells(space, arch)
    if layers:
        return chain_figure(layers, colours_of(space), ABSENT)
    if cells is None:
        names = ", ".join(f"'{p.name}'" for p in space.positions[:2])
        raise BenchbedError(f"{type(space).__name__} cannot be drawn: positions such as {names} are no edges 'a->b'")
    return _figure(cells, colours_of(space))


class Graph(NamedTuple):
    """A cell of a space before any operation is chosen: nodes from left to right, an edge a position."""

    nodes: list[str]
    edges: list[tuple[int, int, int]]  # (position, source, target): the place in `space.positions`, columns of nodes
    title: str = ""
    inputs: int = 1  # as of `Cell`


def graphs(space: Space) -> list[Graph] | None:
    """The graph of the space's architectures, or one a group, or None where the positions are no graph."""
    groups = list(dict.fromkeys(position.group for position in space.positions))
    found = []
    for group in groups:
        members = [i for i, position in enumerate(space.positions) if position.group == group]
        names = [space.positions[i].name for i in members]
        graph = _graph([name.removeprefix(f"{group}:") if group else name for name in names])
        if graph is None or (not group and len(groups) > 1):
            return None
        edges = [(i, source, target) for i, (_, source, target) in zip(members, graph.edges, strict=True)]
        targets = {target for _, _, target in edges}
        inputs = next(i for i in range(len(graph.nodes)) if i in targets) if group else 1
        found.append(Graph(graph.nodes, edges, group, inputs))
    return found


def _graph(names: list[str]) -> Graph | None:
    """The graph of edges `a->b`, or None where they are none."""
    pairs = [re.fullmatch(r"(\w+)->(\w+)", name) for name in names]
    if not pairs or not all(pairs):
        return None
    ends = [(p[1], p[2]) for p in pairs if p]
    nodes = list(dict.fromkeys(name for pair in ends for name in pair))
    if all(name.isdecimal() for name in nodes):
        nodes.sort(key=int)
    column = {name: i for i, name in enumerate(nodes)}
    if len(set(ends)) < len(ends) or any(column[a] >= column[b] for a, b in ends):
        return None
    return Graph(nodes, [(i, column[a], column[b]) for i, (a, b) in enumerate(ends)])


def _cells(space: Space, arch: Architecture) -> list[Cell] | None:
    """The graphs with the architecture's operations; of groups, which have many edges, without what is dropped."""
    found = graphs(space)
    if found is None:
        return None
    words = [operation for _, operation in space.describe_choices(arch)]
    cells = []
    for graph in found:
        edges = [Edge(source, target, words[i]) for i, source, target in graph.edges]
        kept = [edge for edge in edges if not graph.title or edge.operation != "dropped"]
        cells.append(Cell(graph.nodes, kept, graph.title, graph.inputs))
    return cells


def _listing(space: Space, arch: Architecture) -> str:
    """Two columns, position and operation; what is longer than the terminal is cut."""
    rows = space.describe_choices(arch)
    wide = min(max(len(name) for name, _ in rows), WIDTH // 2)
    return "\n".join(f"{name[:wide]:<{wide}}  {operation}"[:WIDTH] for name, operation in rows)


def _lanes(nodes: list[str], edges: list[Edge]) -> str | None:
    """A column a node and a line an edge; None where the operations' names do not fit."""
    left = max(len(nodes[0]), len("input")) // 2 + 1  # room for the words centred on the outer columns
    pitch = min(24, (WIDTH - 2 * left - 1) // max(len(nodes) - 1, 1))
    wordy = any(len(e.operation) + 6 > e.span * pitch for e in edges)
    if wordy or any(len(name) + 2 >= pitch or len(name) > 2 * left for name in nodes):
        return None
    at = [left + i * pitch for i in range(len(nodes))]

    def words(texts: list[str]) -> str:
        line = [" "] * (at[-1] + left + 1)
        for x, text in zip(at, texts, strict=True):
            start = x - len(text) // 2
            line[start : start + len(text)] = text
        return "".join(line).rstrip()

    def lane(edge: Edge) -> str:
        a, b = at[edge.source], at[edge.target]
        absent = edge.operation in ABSENT
        line = list(words(["│"] * len(nodes)))
        line[a + 1 : b] = "·" * (b - a - 1) if absent else "─" * (b - a - 2) + "▶"
        label = f" {edge.operation} "
        start = (a + b + 1 - len(label)) // 2
        line[start : start + len(label)] = label
        if not absent:
            line[a] = "├"
        return "".join(line)

    roles = words(["input", *[""] * (len(nodes) - 2), "output"])
    return "\n".join([roles, words(nodes), *(lane(edge) for edge in edges), words(["│"] * len(nodes))])


def colours_of(space: Space) -> dict[str, str]:
    """Each operation's colour, the same for every architecture of the space."""
    names = dict.fromkeys(name for position in space.positions for name in position.operations)
    carrying = [name for name in names if name not in ABSENT]
    return dict.fromkeys(ABSENT, FAINT) | {name: PALETTE[i % len(PALETTE)] for i, name in enumerate(carrying)}


def _heights(edges: list[Edge]) -> dict[Edge, float]:
    """How far each edge bows, upwards positive: neighbours straight, longer ones on the side that crosses fewer."""
    heights: dict[Edge, float] = {}
    for edge in sorted(edges, key=lambda e: (e.span, e.source)):
        if edge.span == 1:
            heights[edge] = 0.0
            continue
        crossed = {side: sum(h * side > 0 and _interleaved(e, edge) for e, h in heights.items()) for side in (1, -1)}
        heights[edge] = (1 if crossed[1] <= crossed[-1] else -1) * 0.62 * (edge.span - 1)
    return heights


def _interleaved(one: Edge, other: Edge) -> bool:
    """Whether two arcs on the same side cross."""
    low, high = sorted((one, other), key=lambda e: e.source)
    return low.source < high.source < low.target < high.target


PITCH, MARGIN, HEAD = 1.9, 0.8, 0.45  # inches, and data units: between nodes, beside them for the words, above a title


def _figure(cells: list[Cell], colours: dict[str, str]) -> "Figure":
    """The matplotlib figure (Agg; no window, no global state): the cells, one below the other."""
    heights = [_heights(cell.edges) for cell in cells]
    tops = [max(0.0, *bows.values()) + 0.3 + (HEAD if c.title else 0) for c, bows in zip(cells, heights, strict=True)]
    bottoms = [min(0.0, *bows.values()) - 0.3 for bows in heights]
    width = PITCH * (max(len(cell.nodes) for cell in cells) - 1) + 2 * MARGIN
    total = sum(tops) - sum(bottoms)
    figure = empty_figure(width, total, layout=None)
    above = total
    for cell, bows, top, bottom in zip(cells, heights, tops, bottoms, strict=True):
        above -= top - bottom
        axes = figure.add_axes((0, above / total, 1, (top - bottom) / total))
        axes.set(xlim=(-MARGIN, width - MARGIN), ylim=(bottom, top), aspect="equal")
        axes.axis("off")
        _draw_cell(axes, cell, bows, colours)
        if cell.title:
            said = f"{cell.title} cell: its output joins nodes {cell.nodes[cell.inputs]} to {cell.nodes[-1]}"
            axes.text(-0.2, top - 0.2, said, ha="left", va="center", fontsize=10, color="#222222")
    return figure


def _draw_cell(axes: "Axes", cell: Cell, heights: dict[Edge, float], colours: dict[str, str]) -> None:
    """Nodes and edges; the inputs of a titled cell are shaded, those of another have their role beside them."""
    from matplotlib.patches import Circle

    for edge in cell.edges:
        _draw_edge(axes, edge, heights[edge], PITCH, colours[edge.operation])
    for i, name in enumerate(cell.nodes):
        face = "#CFE3F2" if cell.title and i < cell.inputs else "#F4F4F4"
        axes.add_patch(Circle((i * PITCH, 0), 0.2, facecolor=face, edgecolor="#222222", linewidth=1.2, zorder=4))
        axes.text(i * PITCH, 0, name, ha="center", va="center", fontsize=11, zorder=5)
    if not cell.title:
        for x, role, side in ((-0.27, "input", "right"), (PITCH * (len(cell.nodes) - 1) + 0.27, "output", "left")):
            axes.text(x, 0, role, ha=side, va="center", fontsize=8.5, color="#555555")


def _draw_edge(axes: "Axes", edge: Edge, height: float, pitch: float, colour: str) -> None:
    """One edge as an arrow, broken and without a head where it carries nothing, its operation in a box on it."""
    from matplotlib.patches import FancyArrowPatch
    from matplotlib.path import Path as Curve

    absent = edge.operation in ABSENT
    a, b = edge.source * pitch, edge.target * pitch
    bow, pull = height / 0.75, 0.28 * (b - a)  # a cubic's middle lies at three quarters of its control points
    curve = Curve([(a, 0), (a + pull * 0.55, bow), (b - pull * 0.55, bow), (b, 0)], [1, 4, 4, 4])
    arrow = FancyArrowPatch(
        path=_trimmed(curve, 0.24),
        arrowstyle="-" if absent else "-|>",
        mutation_scale=12,
        linewidth=1.0 if absent else 2.0,
        linestyle=(0, (3, 3)) if absent else "solid",
        color=colour,
        zorder=2,
    )
    axes.add_patch(arrow)
    box = {"boxstyle": "round,pad=0.25", "facecolor": "white", "edgecolor": colour, "linewidth": 0 if absent else 1.2}
    ink = "#777777" if absent else "#111111"
    axes.text(
        (a + b) / 2, height, edge.operation, ha="center", va="center", fontsize=8.5, color=ink, bbox=box, zorder=3
    )


def _trimmed(curve: "Curve", radius: float) -> "Curve":
    """A cubic curve without the parts that lie within `radius` of its ends, as a polyline: nodes cover neither end."""
    import numpy as np
    from matplotlib.path import Path as Curve

    t = np.linspace(0, 1, 201)[:, None]
    p0, p1, p2, p3 = np.asarray(curve.vertices)
    points = (1 - t) ** 3 * p0 + 3 * (1 - t) ** 2 * t * p1 + 3 * (1 - t) * t**2 * p2 + t**3 * p3
    clear = (np.hypot(*(points - p0).T) >= radius) & (np.hypot(*(points - p3).T) >= radius)
    return Curve(points[clear])
