// The pinned cells: drawn, with every figure and its rank side by side; the active one's equals and neighbours.

const MOST_PINS = 4;
const FIRST_SAMES = 40; // of a hundred equal cells few are looked at

// do: {activate(row), unpin(row), walk(row), pin(row)}, what a click on something leads to.
function drawPinned(view, act) {
  const cards = view.pins.map((row, at) => card(row, at, view, act));
  byId("cards").replaceChildren(...cards);
  byId("cards").className = TABLE.graphs.some((graph) => graph.nodes.length > 5) ? "wide" : "";
  byId("none-pinned").hidden = cards.length > 0;
  byId("pinned").hidden = byId("around").hidden = cards.length === 0;
  if (!cards.length) return;
  byId("compare").replaceChildren(...compareTables(view));
  drawSames(view, act);
  drawNeighbours(view, act);
}

function card(row, at, view, act) {
  const isActive = row === view.active;
  const head = element(
    "header",
    {},
    element("span", { class: "number", "aria-hidden": "true" }, String(at + 1)),
    element(
      "button",
      {
        type: "button",
        class: "name",
        "aria-pressed": String(isActive),
        onclick: () => act.activate(row),
        title: "show this cell's neighbours",
      },
      INDEX === null ? `cell ${at + 1}` : nameOf(row),
    ),
    element(
      "button",
      { type: "button", class: "close", onclick: () => act.unpin(row), "aria-label": `unpin cell ${at + 1}` },
      "×",
    ),
  );
  return element(
    "article",
    { class: isActive ? "card active" : "card", "data-row": row },
    head,
    drawingOf(row),
    element("code", {}, stringOf(row)),
  );
}

// ---- figures side by side

// A table by part; what the axes, the colour and the list show, comes first.
function compareTables(view) {
  const chosen = [...new Set([view.sort, view.y, view.x, view.colour].filter(Boolean))];
  const parts = new Map([["Chosen figures", chosen]]);
  for (const figure of FIGURES)
    if (figure.operation === undefined) parts.set(figure.part, [...(parts.get(figure.part) ?? []), figure]);
  const found = [...parts].map(([part, figures]) => compareTable(part, figures, view.pins));
  if (TABLE.graphs.length || view.pins.length > 1) found.splice(1, 0, operationTable(view.pins));
  return found;
}

function compareTable(part, figures, pins) {
  return section(part, figures.length, ["Chosen figures", "Accuracy", "Cost"].includes(part), () =>
    element(
      "table",
      {},
      headOf("figure", pins),
      element("tbody", {}, ...figures.map((figure) => figureRow(figure, pins))),
    ),
  );
}

function headOf(words, pins) {
  const names = pins.map((row, at) => element("th", { scope: "col", title: stringOf(row) }, `cell ${at + 1}`));
  return element("thead", {}, element("tr", {}, element("th", { scope: "col" }, words), ...names));
}

function figureRow(figure, pins) {
  const values = valuesOf(figure),
    sign = betterOf(figure);
  const best = Math.max(...pins.map((row) => sign * values[row]).filter((value) => !Number.isNaN(value)));
  const cells = pins.map((row) => {
    const isBest = pins.length > 1 && sign * values[row] === best;
    const { rank, of } = rankOf(figure, row);
    const runs = figure.runs === null ? NaN : columnValues(figure.runs)[row];
    const below = rank === null ? "missing" : `rank ${grouped(rank)} of ${grouped(of)}`;
    const seeds = Number.isNaN(runs) || rank === null ? [] : [element("small", {}, `mean of ${plural(runs, "seed")}`)];
    return element(
      "td",
      { "data-figure": figure.id, "data-row": row },
      element(isBest ? "strong" : "span", {}, printed(figure, values[row])),
      element("small", {}, below),
      ...seeds,
    );
  });
  return element(
    "tr",
    {},
    element(
      "th",
      { scope: "row", title: figure.note },
      figure.label,
      element("small", {}, [figure.unit, wordsOfBetter(figure)].filter(Boolean).join(", ")),
    ),
    ...cells,
  );
}

function wordsOfBetter(figure) {
  const word = betterOf(figure) > 0 ? "higher is better" : "lower is better";
  if (STATE.better[figure.id] !== undefined) return `${word}, as chosen here`;
  return figure.better ? word : "not said which way is better: by highest";
}

function operationTable(pins) {
  const rowOf = (position, i) => {
    const names = pins.map((row) => operationAt(i, CODES[row * WIDTH + i]));
    const differ = new Set(names).size > 1;
    return element(
      "tr",
      { class: differ ? "differ" : "" },
      element("th", { scope: "row" }, position.name),
      ...names.map((name) => element("td", {}, swatch(name), ` ${name}`)),
    );
  };
  return section("Operations", WIDTH, pins.length > 1 && WIDTH <= 8, () =>
    element(
      "table",
      { class: "operations" },
      headOf("position", pins),
      element("tbody", {}, ...TABLE.positions.map(rowOf)),
    ),
  );
}

const folded = new Map(); // which parts the reader has opened or closed

// makeTable: called when the part is first open, for there may be a hundred figures and each has its rank counted.
function section(title, count, isOpen, makeTable) {
  const inner = element("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": title });
  const box = element(
    "details",
    { open: folded.get(title) ?? isOpen },
    element("summary", {}, `${title} (${count})`),
    inner,
  );
  const fill = () => {
    if (box.open && !inner.firstChild) inner.append(makeTable());
  };
  box.addEventListener("toggle", () => {
    folded.set(title, box.open);
    fill();
  });
  fill();
  return box;
}

// ---- equal and near ones of the active cell

function drawSames(view, act) {
  const sames = samesOf(view.active),
    values = valuesOf(view.sort),
    sign = betterOf(view.sort);
  sames.sort((a, b) => order(sign * values[b], sign * values[a]) || a - b);
  byId("sames-title").textContent = sames.length
    ? `${plural(sames.length, "other cell")} of the same function`
    : "No other cell of the same function";
  const lines = (rows) => rows.map((row) => nearLine(row, glyphOf(row), values[row], view, act));
  byId("sames").replaceChildren(...lines(sames.slice(0, FIRST_SAMES)));
  const left = sames.slice(FIRST_SAMES);
  byId("sames-more").hidden = !left.length;
  byId("sames-more").textContent = `Show ${grouped(left.length)} more`;
  byId("sames-more").onclick = () => {
    byId("sames").append(...lines(left));
    byId("sames-more").hidden = true;
  };
}

function order(a, b) {
  return Number.isNaN(a) || Number.isNaN(b) ? Number.isNaN(b) - Number.isNaN(a) : a - b;
}

function drawNeighbours(view, act) {
  const { found, absent } = neighboursOf(view.active);
  const values = valuesOf(view.sort),
    sign = betterOf(view.sort);
  found.sort((a, b) => order(sign * values[b.row], sign * values[a.row]) || a.row - b.row);
  const gone = absent ? `; the table lacks ${grouped(absent)} more` : "";
  const cell = `cell ${view.pins.indexOf(view.active) + 1}`;
  byId("neighbours-title").textContent = found.length
    ? `${plural(found.length, "neighbour")} of ${cell}, by ${view.sort.label}${gone}`
    : `The table holds none of the ${plural(absent, "neighbour")} of ${cell}`;
  byId("neighbours").replaceChildren(
    ...found.map(({ row, words }) => {
      const change = element("span", { class: "change" });
      for (const [position, from, to] of words)
        change.append(
          element(
            "span",
            { title: `${operationAt(position, to)} in place of ${operationAt(position, from)}` },
            `${TABLE.positions[position].name} `,
            swatch(operationAt(position, from)),
            " → ",
            swatch(operationAt(position, to)),
            ` ${operationAt(position, to)}`,
          ),
        );
      return nearLine(row, change, values[row], view, act);
    }),
  );
}

// A neighbour or an equal: a button that goes there, and one that pins it beside.
function nearLine(row, words, value, view, act) {
  const away = value - valuesOf(view.sort)[view.active];
  const sign = away * betterOf(view.sort);
  const change = Number.isNaN(away)
    ? ""
    : `${away > 0 ? "+" : away < 0 ? "−" : "±"}${printed(view.sort, Math.abs(away))}`;
  return element(
    "li",
    { "data-row": row },
    element(
      "button",
      { type: "button", class: "go", onclick: () => act.walk(row), title: `go to ${stringOf(row)}` },
      words,
      element("b", {}, printed(view.sort, value)),
      element("span", { class: sign > 0 ? "gain" : sign < 0 ? "loss" : "even" }, change),
    ),
    element(
      "button",
      { type: "button", class: "add", onclick: () => act.pin(row), "aria-label": `pin ${stringOf(row)} beside` },
      "+",
    ),
  );
}
