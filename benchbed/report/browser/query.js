// Which cells match: the text that was typed, the pattern of operations, ranges of figures.

const ANY = "*";
const WORDS = TABLE.template
  ? new RegExp(
      [...new Set([...OPERATIONS, ...TABLE.template.words.flat()])]
        .sort((a, b) => b.length - a.length)
        .map((word) => word.replace(/[^A-Za-z0-9_]/g, "\\$&"))
        .concat("[*?]")
        .join("|"),
      "g",
    )
  : null;

// What a text asks for: {words, test(row)}; null for no text. In this order: an operation a position, in any notation
// that names them in the space's order, * for any; a benchmark's numbers; an index; else parts of the native string.
function asked(text) {
  const query = text.trim();
  if (!query) return null;
  const wanted = operationsIn(query) ?? numbersIn(query);
  if (wanted) {
    const isWhole = wanted.every((k) => k !== ANY);
    return { words: isWhole ? "one architecture" : "a pattern", test: (row) => fits(row, wanted) };
  }
  const number = /^(?:index\s*|#)?([\d,]+)$/i.exec(query);
  if (INDEX !== null && number) {
    const index = Number(number[1].replaceAll(",", ""));
    return { words: `index ${index}`, test: (row) => INDEX[row] === index };
  }
  const parts = query.toLowerCase().split(/[*?]+/),
    known = allStrings();
  return { words: "part of the string", test: (row) => hasInOrder(known[row], parts) };
}

// Whether the text has the parts one after the other: between two of them anything may stand.
function hasInOrder(text, parts) {
  let from = 0;
  for (const part of parts) {
    const at = text.indexOf(part, from);
    if (at < 0) return false;
    from = at + part.length;
  }
  return true;
}

function fits(row, wanted) {
  for (let i = 0; i < WIDTH; i++) if (wanted[i] !== ANY && wanted[i] !== CODES[row * WIDTH + i]) return false;
  return true;
}

// Operation numbers or ANY, where the text has just one word a position.
function operationsIn(query) {
  const words = WORDS && (query.match(WORDS) ?? []);
  if (!words || words.length !== WIDTH) return null;
  const found = words.map((word, i) => {
    if (word === "*" || word === "?") return ANY;
    const k = TABLE.positions[i].operations.indexOf(word);
    return k >= 0 ? k : TABLE.template.words[i].indexOf(word);
  });
  return found.includes(-1) ? null : found;
}

// The same of numbers as other tools write them, such as NASLib's (4, 0, 3, 1, 4, 3).
function numbersIn(query) {
  if (!/^[[(][\d\s,*?]+[\])]$/.test(query)) return null;
  const numbers = query.match(/\d+|[*?]/g);
  for (const [, positions, operations] of TABLE.notations) {
    if (numbers.length !== WIDTH) continue;
    const found = Array(WIDTH).fill(ANY);
    numbers.forEach((number, i) => {
      if (/\d/.test(number)) found[positions[i]] = operations[Number(number)] ?? -1;
    });
    if (!found.includes(-1)) return found;
  }
  return null;
}

// {isIn: a flag a row, count, words}: what the state's text, pattern, ranges and front leave.
function matching(state) {
  const text = asked(state.text),
    pattern = patternOf(state.pattern);
  const ranges = state.ranges.map(rangeTest).filter(Boolean);
  const isIn = new Uint8Array(COUNT);
  for (let row = 0; row < COUNT; row++)
    isIn[row] = (!text || text.test(row)) && (!pattern || fits(row, pattern)) && ranges.every((test) => test(row));
  let front = frontOf(BY_ID.get(state.x), BY_ID.get(state.y), isIn);
  if (state.frontOnly) {
    isIn.fill(0);
    for (const row of front) isIn[row] = 1;
  }
  let count = 0;
  for (let row = 0; row < COUNT; row++) count += isIn[row];
  return { isIn, count, front, words: text ? text.words : "" };
}

function patternOf(text) {
  const letters = [...text];
  if (letters.length !== WIDTH || letters.every((letter) => letter === ANY)) return null;
  return letters.map((letter) => (letter === ANY ? ANY : letter === "-" ? -1 : letter.charCodeAt(0) - 48));
}

function rangeTest({ id, low, high }) {
  const figure = BY_ID.get(id),
    least = numberIn(low),
    most = numberIn(high);
  if (!figure || (least === null && most === null)) return null;
  const values = valuesOf(figure);
  return (row) => values[row] >= (least ?? -Infinity) && values[row] <= (most ?? Infinity);
}

// A number as people write it: 94.1, 1,000,000, 1.2M, 40k; null for none.
function numberIn(text) {
  const found = /^\s*(-?[\d,]*\.?\d+(?:e[+-]?\d+)?)\s*([kMG]?)\s*%?\s*$/.exec(text ?? "");
  return found ? Number(found[1].replaceAll(",", "")) * { "": 1, k: 1e3, M: 1e6, G: 1e9 }[found[2]] : null;
}
