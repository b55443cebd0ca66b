// The table's architectures: operation numbers, native strings, which row one stands in, neighbours, equal functions.

const CODES = Int16Array.from(TABLE.codes, (letter) => (letter === "-" ? -1 : letter.charCodeAt(0) - 48));
const INDEX = TABLE.index === null ? null : columnValues(TABLE.index);
const ROWS = new Map();
for (let row = 0; row < COUNT; row++) ROWS.set(codeOf(row), row);
const CLASS = new Map(); // row: the rows that compute the same
for (const rows of TABLE.classes) for (const row of rows) CLASS.set(row, rows);

function codeOf(row) {
  return TABLE.codes.slice(row * WIDTH, (row + 1) * WIDTH);
}

function choicesOf(row) {
  return Array.from(CODES.subarray(row * WIDTH, (row + 1) * WIDTH));
}

function codeFrom(choices) {
  return choices.map((k) => (k < 0 ? "-" : String.fromCharCode(48 + k))).join("");
}

function stringOf(row) {
  if (!TABLE.template) return TABLE.strings[row];
  const { pieces, words } = TABLE.template;
  let text = "";
  for (let i = 0; i < WIDTH; i++) text += pieces[i] + words[i][CODES[row * WIDTH + i]];
  return text + pieces[WIDTH];
}

let strings = null;

function allStrings() {
  strings ??= Array.from(ALL, (row) => stringOf(row).toLowerCase());
  return strings;
}

function operationAt(position, k) {
  return k < 0 ? "dropped" : TABLE.positions[position].operations[k];
}

function nameOf(row) {
  return INDEX === null ? stringOf(row) : `index ${grouped(INDEX[row])}`;
}

function samesOf(row) {
  return (CLASS.get(row) ?? []).filter((other) => other !== row);
}

// Every architecture that differs in one decision, as the space's own `neighbours` has it: {row, words}, and how many
// of them the table does not hold.
function neighboursOf(row) {
  const own = choicesOf(row),
    found = [];
  let absent = 0;
  const add = (choices, words) => {
    const other = ROWS.get(codeFrom(choices));
    if (other === undefined) absent++;
    else found.push({ row: other, words });
  };
  const ruled = new Set(TABLE.nodes.flatMap((node) => node.incoming));
  own.forEach((taken, i) => {
    if (taken < 0 && ruled.has(i)) return;
    for (const k of selectableAt(i)) if (k !== taken) add(changed(own, [i, k]), [[i, taken, k]]);
  });
  for (const { incoming } of TABLE.nodes)
    for (const i of incoming.filter((at) => own[at] >= 0))
      for (const j of incoming.filter((at) => own[at] < 0))
        for (const k of selectableAt(j))
          add(changed(own, [i, -1], [j, k]), [
            [i, own[i], -1],
            [j, -1, k],
          ]);
  return { found, absent };
}

function changed(choices, ...changes) {
  const found = choices.slice();
  for (const [position, k] of changes) found[position] = k;
  return found;
}

function selectableAt(position) {
  const { selectable } = TABLE.positions[position];
  return selectable.flatMap((may, k) => (may ? [k] : []));
}

// ---- an architecture as small squares, one a position in the colour of its operation

function glyphOf(row) {
  const glyph = element("span", { class: "glyph", "aria-hidden": "true" });
  for (let i = 0; i < WIDTH; i++) glyph.append(swatch(operationAt(i, CODES[row * WIDTH + i])));
  return glyph;
}

function swatch(operation) {
  const square = element("i");
  if (isAbsent(operation)) square.className = "absent";
  else square.style.backgroundColor = colourOf(operation);
  return square;
}

// The palette's black is the ink of either scheme.
function colourOf(operation) {
  const colour = TABLE.colours[operation] ?? "var(--faint)";
  return colour === "#000000" ? "var(--ink)" : colour;
}

function isAbsent(operation) {
  return TABLE.absent.includes(operation);
}

// ---- what every part of the page makes its elements with

function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
    else if (value !== null && value !== false) made.setAttribute(name, value === true ? "" : value);
  }
  made.append(...children);
  return made;
}

function byId(id) {
  return document.getElementById(id);
}
