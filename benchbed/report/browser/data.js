// The table's figures: columns decoded on first use, words and numbers as they are printed, ranks, fronts.

const TABLE = JSON.parse(document.getElementById("table").textContent);
const WIDTH = TABLE.width;
const COUNT = TABLE.codes.length / WIDTH;
const ALL = Uint32Array.from({ length: COUNT }, (_, row) => row);

function bytesOf(text) {
  const raw = atob(text);
  const bytes = new Uint8Array(raw.length);
  for (let i = 0; i < raw.length; i++) bytes[i] = raw.charCodeAt(i);
  return bytes.buffer;
}

// The forms of benchbed/report/browse_columns.py, back to the numbers: Float64Array, NaN where missing.
function decoded(column) {
  const data = bytesOf(column.data);
  const values = new Float64Array(COUNT);
  if (column.as === "float64") return new Float64Array(data);
  if (column.as === "float32") return Float64Array.from(new Float32Array(data));
  if (column.as.startsWith("codes")) {
    const codes = column.as === "codes8" ? new Uint8Array(data) : new Uint16Array(data);
    const known = new Float64Array(bytesOf(column.values));
    for (let row = 0; row < COUNT; row++) values[row] = codes[row] < known.length ? known[codes[row]] : NaN;
    return values;
  }
  const [numbers, missing] =
    column.as === "scaled16" ? [new Uint16Array(data), 65535] : [new Int32Array(data), -(2 ** 31)];
  for (let row = 0; row < COUNT; row++)
    values[row] = numbers[row] === missing ? NaN : (numbers[row] + column.offset) / column.divisor;
  return values;
}

const decodedColumns = new Map();

function columnValues(number) {
  if (!decodedColumns.has(number)) decodedColumns.set(number, decoded(TABLE.columns[number]));
  return decodedColumns.get(number);
}

// ---- figures: those of the table, and how often each operation stands in a cell

const OPERATIONS = [...new Set(TABLE.positions.flatMap((position) => position.operations))];
const FIGURES = [
  ...TABLE.figures,
  ...OPERATIONS.map((name) => ({
    id: `operation/${name}`,
    label: `number of ${name}`,
    part: "Number of an operation",
    better: 0,
    unit: "",
    note: `how many of the ${WIDTH} positions hold ${name}`,
    decimals: 0,
    runs: null,
    operation: name,
  })),
];
const BY_ID = new Map(FIGURES.map((figure) => [figure.id, figure]));

function valuesOf(figure) {
  if (figure.operation === undefined) return columnValues(figure.column);
  figure.values ??= operationCounts(figure.operation);
  return figure.values;
}

function operationCounts(name) {
  const letters = TABLE.positions.map((position) => position.operations.indexOf(name));
  const counts = new Float64Array(COUNT);
  for (let row = 0, at = 0; row < COUNT; row++)
    for (let i = 0; i < WIDTH; i++, at++) if (CODES[at] === letters[i] && letters[i] >= 0) counts[row]++;
  return counts;
}

// 1 where higher is better, -1 where lower is. What the table does not say counts as higher until the reader says.
function betterOf(figure) {
  return STATE.better[figure.id] ?? (figure.better || 1);
}

function printed(figure, value) {
  if (Number.isNaN(value)) return "–";
  if (Number.isInteger(value) && figure.decimals === null) return grouped(value);
  return figure.decimals === null ? String(Number(value.toPrecision(6))) : value.toFixed(figure.decimals);
}

function grouped(number) {
  return Math.abs(number) < 1e15 ? number.toLocaleString("en-US") : String(number);
}

function withUnit(figure, value) {
  const text = printed(figure, value);
  return figure.unit && text !== "–" ? `${text} ${figure.unit}` : text;
}

function plural(count, noun) {
  return `${grouped(count)} ${noun}${count === 1 ? "" : "s"}`;
}

// {rank, of}: one more than the number of cells that are strictly better, among those that have a value.
function rankOf(figure, row) {
  const values = valuesOf(figure),
    sign = betterOf(figure),
    own = sign * values[row];
  let better = 0,
    there = 0;
  for (let other = 0; other < COUNT; other++) {
    if (sign * values[other] > own) better++;
    if (values[other] === values[other]) there++;
  }
  return { rank: own === own ? better + 1 : null, of: there };
}

// Rows that have a value, the best first; equal ones stay in the table's order.
function sortedBy(figure) {
  const sign = betterOf(figure),
    key = `sorted${sign}`;
  if (!figure[key]) {
    const values = valuesOf(figure);
    figure[key] = ALL.filter((row) => values[row] === values[row]).sort(
      (a, b) => sign * (values[b] - values[a]) || a - b,
    );
  }
  return figure[key];
}

// The rows that no other beats: better in one of the figures at no less in the other. Of equal ones the first is kept.
function frontOf(x, y, isIn) {
  const xs = valuesOf(x),
    ys = valuesOf(y),
    better = betterOf(y);
  const found = [];
  let best = -Infinity,
    column = [];
  const settle = () => {
    // of equal x, only the best y can be on the front
    let top = -1;
    for (const row of column) if (top < 0 || better * ys[row] > better * ys[top]) top = row;
    if (top >= 0 && better * ys[top] > best) {
      found.push(top);
      best = better * ys[top];
    }
    column = [];
  };
  for (const row of sortedBy(x)) {
    if (!isIn[row] || Number.isNaN(ys[row])) continue;
    if (column.length && xs[column[0]] !== xs[row]) settle();
    column.push(row);
  }
  settle();
  return found;
}
