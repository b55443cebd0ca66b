// The page as a whole: what is drawn anew when the reader changes something.

const plot = new Plot(
  byId("points"),
  byId("over"),
  (row) => pin(row),
  showTip,
  (zoom) => change({ zoom }),
);
const list = new List(
  byId("list"),
  (row) => pin(row),
  (row) => plot.hover(row),
);
let found = null; // what matches

// ---- drawing

const figureOf = (key) => BY_ID.get(STATE[key]) ?? null;

function draw(parts = { matches: true, plot: true, list: true, pinned: true }) {
  if (parts.matches) found = matching(STATE);
  if (parts.plot) drawPlot();
  if (parts.list) drawList();
  if (parts.pinned) drawPinned({ ...view(), active: STATE.active }, { activate, unpin, walk, pin });
  say();
  keepAddress();
}

function view() {
  const figures = { x: figureOf("x"), y: figureOf("y"), colour: figureOf("colour"), sort: figureOf("sort") };
  return { ...STATE, ...figures, isIn: found.isIn, count: found.count, front: found.front };
}

function drawPlot() {
  plot.draw(view());
  const { scale } = plot,
    colour = figureOf("colour");
  byId("scale").hidden = !scale;
  if (scale) {
    byId("scale-low").textContent = withUnit(colour, scale.low);
    byId("scale-high").textContent = withUnit(colour, scale.high);
    byId("scale-bar").style.background = `linear-gradient(to right, ${plot.ramp().join(", ")})`;
  }
  byId("whole").disabled = !STATE.zoom;
}

function drawList() {
  const sort = figureOf("sort"),
    rows = sortedBy(sort).filter((row) => found.isIn[row]);
  const heads = [sort, figureOf("y"), figureOf("x")].filter((figure, i, all) => all.indexOf(figure) === i);
  byId("heads").replaceChildren(
    element("span", { class: "place" }, "place"),
    element("span", { class: "glyph" }, "cell"),
    ...heads.map((figure) => element("span", { title: figure.label }, breakable(figure.label))),
  );
  list.show(rows, view());
}

// A long name may break behind its parts.
function breakable(name) {
  return name.replace(/[_@]/g, "$&\u200b");
}

function say() {
  const { count, front, words } = found,
    parts = [`${grouped(count)} of ${plural(COUNT, "cell")} match`];
  if (words) parts[0] += ` (${words})`;
  if (plot.lacking)
    parts.push(`${grouped(plot.lacking)} cannot be plotted: a figure is missing, or not above 0 on a log axis`);
  if (plot.hidden) parts.push(`${grouped(plot.hidden)} outside the picture`);
  parts.push(`${plural(front.length, "cell")} on the front`);
  const listed = list.rows.length;
  if (listed < count) parts.push(`${grouped(count - listed)} without the list's figure`);
  byId("status").textContent = `${parts.join("; ")}.`;
}

function showTip(row, at) {
  const tip = byId("tip");
  tip.hidden = row < 0 || !at || Number.isNaN(at[0]);
  if (tip.hidden) return;
  const figures = ["sort", "y", "x", "colour"]
    .map(figureOf)
    .filter((figure, i, all) => figure && all.indexOf(figure) === i);
  tip.replaceChildren(
    glyphOf(row),
    ` ${nameOf(row)}`,
    element("code", {}, stringOf(row)),
    ...figures.map((figure) =>
      element("div", {}, `${figure.label}: `, element("b", {}, withUnit(figure, valuesOf(figure)[row]))),
    ),
  );
  const isRight = at[0] > plot.width / 2;
  tip.style.left = isRight ? "auto" : `${at[0] + 14}px`;
  tip.style.right = isRight ? `${plot.width - at[0] + 14}px` : "auto";
  tip.style.top = `${Math.min(Math.max(at[1] - 20, 0), plot.height - 110)}px`;
}

// ---- what the reader does

function change(changes) {
  Object.assign(STATE, changes);
  if ("x" in changes || "y" in changes || "xLog" in changes || "yLog" in changes) STATE.zoom = changes.zoom ?? null;
  const keys = new Set(Object.keys(changes));
  const touches = (...names) => names.some((name) => keys.has(name));
  const matches = touches("x", "y", "text", "pattern", "ranges", "frontOnly", "better");
  drawControls();
  draw({
    matches,
    plot: true,
    list: matches || touches("sort", "pins"),
    pinned: touches("x", "y", "sort", "colour", "pins", "active", "better"),
  });
}

// Where the best tenth of the matching cells lies: in the whole picture dead cells leave it little room.
function bestPart() {
  const shown = new Set(plot.can),
    rows = sortedBy(figureOf("y")).filter((row) => found.isIn[row] && shown.has(row));
  const best = rows.slice(0, Math.max(2, Math.ceil(rows.length / 10)));
  if (!best.length) return null;
  const box = [...extent(valuesOf(figureOf("x")), best), ...extent(valuesOf(figureOf("y")), best)];
  return box[0] < box[1] && box[2] < box[3] ? box : null;
}

function pin(row) {
  if (STATE.pins.includes(row)) return activate(row);
  const left = STATE.pins.length < MOST_PINS ? STATE.pins : STATE.pins.slice(1);
  setPins([...left, row], row);
}

function walk(row) {
  const pins = STATE.pins.includes(row)
    ? STATE.pins
    : STATE.pins.map((other) => (other === STATE.active ? row : other));
  setPins(pins, row);
}

function unpin(row) {
  const pins = STATE.pins.filter((other) => other !== row);
  setPins(pins, pins.includes(STATE.active) ? STATE.active : (pins.at(-1) ?? -1));
}

function activate(row) {
  setPins(STATE.pins, row);
}

// The list keeps its place: only its marks change.
function setPins(pins, active) {
  Object.assign(STATE, { pins, active });
  draw({ matches: false, plot: false, list: false, pinned: true });
  plot.pin(pins);
  list.view = view();
  list.draw();
}

function takeAddress() {
  Object.assign(STATE, stateOf(location.hash));
  drawControls();
  draw();
}

// ---- begin

buildControls();
takeAddress();
addEventListener("hashchange", takeAddress);
addEventListener("keydown", (event) => {
  if (event.key !== "Escape") return;
  if (event.target === byId("text") && STATE.text) change({ text: "" });
  else if (STATE.zoom) change({ zoom: null });
  else if (STATE.active >= 0) unpin(STATE.active);
});
new ResizeObserver(() => {
  if (plot.width !== byId("frame").clientWidth) drawPlot();
}).observe(byId("frame"));
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", drawPlot);
setTimeout(() => TABLE.figures.forEach(valuesOf), 300); // so that the first pinned cell does not wait for all columns

// For the console, and the tests: what matches and what the page knows of a row.
window.browse = {
  state: STATE,
  change,
  pin,
  stringOf,
  neighboursOf,
  samesOf,
  rankOf,
  matches: () => found,
  list,
  plot,
  figures: FIGURES,
  value: (id, row) => valuesOf(BY_ID.get(id))[row],
};
window.browse.readyAfter = performance.now(); // milliseconds from the start of loading to the first picture
document.documentElement.dataset.ready = "yes";
