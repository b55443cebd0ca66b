// A cell as a graph, its nodes in a row as in benchbed/report/draw.py; any other space as a row of blocks.

const SVG = "http://www.w3.org/2000/svg";
const PITCH = 98,
  SIDE = 36,
  RISE = 66; // between nodes, beside them, and how far an edge of span 2 bows

function drawingOf(row) {
  const choices = choicesOf(row);
  const box = element("div", { class: "drawing" });
  if (TABLE.graphs.length) box.append(...TABLE.graphs.map((graph) => graphDrawing(graph, choices)));
  else box.append(chainDrawing(choices));
  box.firstChild.setAttribute("role", "img");
  box.firstChild.setAttribute(
    "aria-label",
    choices.map((k, i) => `${TABLE.positions[i].name} ${operationAt(i, k)}`).join(", "),
  );
  return box;
}

function svg(tag, attributes, ...children) {
  const made = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.append(...children);
  return made;
}

function graphDrawing(graph, choices) {
  const edges = graph.edges
    .map(([position, source, target]) => ({ source, target, operation: operationAt(position, choices[position]) }))
    .filter(({ operation }) => !graph.title || operation !== "dropped");
  const bows = bowsOf(edges);
  const up = Math.max(0, ...bows.values()) + 24 + (graph.title ? 18 : 0),
    down = Math.max(0, ...[...bows.values()].map((b) => -b)) + 36;
  const wide = PITCH * (graph.nodes.length - 1) + 2 * SIDE;
  const made = svg("svg", { viewBox: `0 0 ${wide} ${up + down}`, width: wide, class: "graph" });
  const x = (node) => SIDE + node * PITCH;
  const parts = edges.map((edge) => edgeParts(edge, x(edge.source), x(edge.target), up, bows.get(edge)));
  made.append(...parts.map((part) => part.curve), ...parts.flatMap((part) => part.label));
  graph.nodes.forEach((name, node) => {
    made.append(
      svg("circle", { cx: x(node), cy: up, r: 12, class: node < graph.inputs && graph.title ? "node input" : "node" }),
      svg("text", { x: x(node), y: up, class: "name" }, name),
    );
  });
  if (graph.title) made.append(svg("text", { x: 6, y: 12, class: "role start" }, `${graph.title} cell`));
  else {
    made.append(svg("text", { x: x(0), y: up + 24, class: "role" }, "input"));
    made.append(svg("text", { x: x(graph.nodes.length - 1) + 16, y: up + 24, class: "role" }, "output"));
  }
  return made;
}

// An edge as a curve with a head, broken and without one where it carries nothing; its operation in a box on it.
function edgeParts({ source, target, operation }, from, to, y, bow) {
  const colour = colourOf(operation),
    isNone = isAbsent(operation);
  const pull = 0.154 * (to - from),
    height = bow / 0.75; // a cubic's middle lies at 3/4 of its control points
  const [begin, end] = bow ? [11, 13] : [13, 14];
  const slope = bow ? Math.atan2(-height, pull) : 0,
    lean = (r) => [r * Math.cos(slope), r * Math.sin(slope)];
  const [sx, sy] = lean(begin),
    [ex, ey] = lean(end);
  const d = `M${from + sx} ${y + sy}C${from + pull} ${y - height} ${to - pull} ${y - height} ${to - ex} ${y + ey}`;
  const curve = svg("g", { class: "edge" });
  curve.append(
    svg("path", {
      d,
      fill: "none",
      stroke: colour,
      "stroke-width": isNone ? 1 : 2,
      "stroke-dasharray": isNone ? "4 4" : "none",
    }),
  );
  if (!isNone) {
    const turn = (-slope * 180) / Math.PI;
    curve.append(
      svg("path", {
        d: "M0 0L-9 -4.5L-9 4.5Z",
        fill: colour,
        transform: `translate(${to - ex} ${y + ey}) rotate(${turn})`,
      }),
    );
  }
  const words = linesOf(operation),
    middle = (from + to) / 2,
    centre = y - bow;
  const wide = Math.max(...words.map((word) => word.length)) * 6.3 + 8,
    high = 8 + 12 * words.length;
  const box = svg("rect", {
    x: middle - wide / 2,
    y: centre - high / 2,
    width: wide,
    height: high,
    rx: 4,
    class: "box",
  });
  box.setAttribute("stroke", isNone ? "none" : colour);
  const texts = words.map((word, i) =>
    svg(
      "text",
      { x: middle, y: centre + 12 * (i - (words.length - 1) / 2), class: isNone ? "operation absent" : "operation" },
      word,
    ),
  );
  return { curve, label: [box, ...texts] };
}

// A long name in two lines, split where an underscore is nearest to its middle.
function linesOf(name) {
  const places = [...name.matchAll(/_/g)].map((found) => found.index);
  if (name.length <= 8 || !places.length) return [name];
  const at = places.reduce((best, place) =>
    Math.abs(place - name.length / 2) < Math.abs(best - name.length / 2) ? place : best,
  );
  return [name.slice(0, at), name.slice(at + 1)];
}

// How far each edge bows, upwards positive: neighbours straight, longer ones on the side that crosses fewer.
function bowsOf(edges) {
  const bows = new Map();
  const crosses = (one, other) => {
    const [low, high] = one.source <= other.source ? [one, other] : [other, one];
    return low.source < high.source && high.source < low.target && low.target < high.target;
  };
  const bySpan = [...edges].sort((a, b) => a.target - a.source - (b.target - b.source) || a.source - b.source);
  for (const edge of bySpan) {
    const span = edge.target - edge.source;
    const crossed = (side) => [...bows].filter(([other, bow]) => bow * side > 0 && crosses(other, edge)).length;
    bows.set(edge, span === 1 ? 0 : (crossed(1) <= crossed(-1) ? 1 : -1) * RISE * (span - 1));
  }
  return bows;
}

// A row of blocks, by their order in the space, in lines that fit a card.
function chainDrawing(choices) {
  const wide = 62,
    high = 40,
    perLine = Math.min(6, WIDTH),
    lines = Math.ceil(WIDTH / perLine);
  const made = svg("svg", { viewBox: `0 0 ${perLine * wide} ${lines * 62}`, width: perLine * wide, class: "graph" });
  choices.forEach((k, i) => {
    const operation = operationAt(i, k),
      isNone = isAbsent(operation);
    const x = (i % perLine) * wide,
      y = Math.floor(i / perLine) * 62 + 16;
    made.append(
      svg("text", { x: x + wide / 2, y: y - 7, class: "role" }, TABLE.positions[i].name),
      svg("path", { d: `M${x} ${y + high / 2}H${x + wide}`, class: "line" }),
      svg("rect", {
        x: x + 4,
        y,
        width: wide - 8,
        height: high,
        rx: 5,
        class: "box",
        stroke: colourOf(operation),
        "stroke-width": isNone ? 1 : 2,
        "stroke-dasharray": isNone ? "4 4" : "none",
      }),
      svg(
        "text",
        {
          x: x + wide / 2,
          y: y + high / 2,
          class: isNone ? "operation absent" : "operation",
          ...(operation.length > 8 ? { textLength: wide - 14, lengthAdjust: "spacingAndGlyphs" } : {}),
        },
        operation,
      ),
    );
  });
  return made;
}
