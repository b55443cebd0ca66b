// What the reader has chosen, and its place in the address after '#'.

// Where a table has one figure alone, it stands against how often an operation is there, the first that varies.
const varying = OPERATIONS.find((name) => new Set(operationCounts(name)).size > 1) ?? OPERATIONS[0];
const START = {
  x: TABLE.start.x ?? `operation/${varying}`,
  y: TABLE.start.y,
  colour: "",
  sort: TABLE.start.y,
  xLog: false,
  yLog: false,
  text: "",
  pattern: ANY.repeat(WIDTH),
  ranges: [],
  frontOnly: false,
  fit: false,
  zoom: null,
  pins: [],
  active: -1,
  better: {},
};
const STATE = structuredClone(START);

// ---- the address, so that a view can be sent

let addressTimer = 0;

function keepAddress() {
  clearTimeout(addressTimer);
  addressTimer = setTimeout(() => history.replaceState(null, "", addressOf(STATE)), 250);
}

function addressOf(state) {
  const words = new URLSearchParams();
  for (const key of ["x", "y", "colour", "sort", "text", "pattern"])
    if (state[key] !== START[key]) words.set(key, state[key]);
  for (const key of ["xLog", "yLog", "frontOnly", "fit"]) if (state[key]) words.set(key, "1");
  for (const { id, low, high } of state.ranges) words.append("range", [id, low, high].join(" "));
  for (const [id, way] of Object.entries(state.better)) words.append("better", `${id} ${way}`);
  if (state.zoom) words.set("zoom", state.zoom.map((v) => Number(v.toPrecision(6))).join(" "));
  for (const row of state.pins) words.append("pin", codeOf(row));
  if (state.active !== (state.pins.at(-1) ?? -1)) words.set("active", codeOf(state.active));
  return `#${words}`;
}

// The state of an address; what it names that this table does not have is left out.
function stateOf(address) {
  const words = new URLSearchParams(address.replace(/^#/, "")),
    state = structuredClone(START);
  for (const key of ["x", "y", "colour", "sort"]) if (BY_ID.has(words.get(key))) state[key] = words.get(key);
  for (const key of ["xLog", "yLog", "frontOnly", "fit"]) state[key] = words.get(key) === "1";
  state.text = words.get("text") ?? "";
  if ([...(words.get("pattern") ?? "")].length === WIDTH) state.pattern = words.get("pattern");
  const split = (text) => /^(.*) (\S*) (\S*)$/.exec(text)?.slice(1) ?? [];
  state.ranges = words
    .getAll("range")
    .map(split)
    .filter(([id]) => BY_ID.has(id))
    .map(([id, low, high]) => ({ id, low, high }));
  for (const [id, way] of words.getAll("better").map((text) => /^(.*) (-?1)$/.exec(text)?.slice(1) ?? []))
    if (BY_ID.has(id)) state.better[id] = Number(way);
  const zoom = (words.get("zoom") ?? "").split(" ").map(Number);
  if (words.has("zoom") && zoom.length === 4 && zoom.every(Number.isFinite) && zoom[0] < zoom[1] && zoom[2] < zoom[3])
    state.zoom = zoom;
  state.pins = [
    ...new Set(
      words
        .getAll("pin")
        .map((code) => ROWS.get(code))
        .filter((row) => row !== undefined),
    ),
  ].slice(0, MOST_PINS);
  const active = ROWS.get(words.get("active"));
  state.active = state.pins.includes(active) ? active : (state.pins.at(-1) ?? -1);
  return state;
}
