// The controls, made once and set to what is chosen.

function figureOptions(select, none) {
  const parts = new Map();
  for (const figure of FIGURES) parts.set(figure.part, [...(parts.get(figure.part) ?? []), figure]);
  if (none) select.append(element("option", { value: "" }, none));
  for (const [part, figures] of parts)
    select.append(
      element(
        "optgroup",
        { label: part },
        ...figures.map((f) => element("option", { value: f.id, title: f.note }, f.label)),
      ),
    );
}

function buildControls() {
  for (const key of ["x", "y", "colour", "sort"]) {
    figureOptions(byId(key), key === "colour" ? "nothing" : "");
    byId(key).addEventListener("change", (event) => change({ [key]: event.target.value }));
  }
  for (const key of ["xLog", "yLog", "frontOnly", "fit"])
    byId(key).addEventListener("change", (event) => change({ [key]: event.target.checked }));
  for (const key of ["x", "y"])
    byId(`${key}-better`).addEventListener("change", (event) =>
      change({ better: { ...STATE.better, [STATE[key]]: Number(event.target.value) } }),
    );
  byId("text").addEventListener("input", (event) => change({ text: event.target.value }));
  byId("whole").addEventListener("click", () => change({ zoom: null }));
  byId("best-part").addEventListener("click", () => change({ zoom: bestPart() }));
  byId("clear").addEventListener("click", () =>
    change({ text: "", pattern: START.pattern, ranges: [], frontOnly: false }),
  );
  byId("add-range").addEventListener("click", () => {
    change({ ranges: [...STATE.ranges, { id: STATE.sort, low: "", high: "" }] });
    byId("ranges").lastElementChild.querySelector("input").focus();
  });
  buildPattern();
  const legend = OPERATIONS.map((name) => element("span", {}, swatch(name), ` ${name}`));
  byId("legend").replaceChildren(...legend);
}

function buildPattern() {
  const selects = TABLE.positions.map((position, i) => {
    const select = element(
      "select",
      { id: `pattern-${i}` },
      element("option", { value: ANY }, "any"),
      ...position.operations.map((name, k) => element("option", { value: String.fromCharCode(48 + k) }, name)),
    );
    if (position.droppable) select.append(element("option", { value: "-" }, "dropped"));
    select.addEventListener("change", () =>
      change({ pattern: TABLE.positions.map((_, at) => byId(`pattern-${at}`).value).join("") }),
    );
    return element("label", {}, position.name, select);
  });
  byId("pattern").replaceChildren(...selects);
}

// Controls that show the state and are not being typed in.
function drawControls() {
  for (const key of ["x", "y", "colour", "sort"]) byId(key).value = STATE[key];
  for (const key of ["xLog", "yLog", "frontOnly", "fit"]) byId(key).checked = STATE[key];
  for (const key of ["x", "y"]) byId(`${key}-better`).value = String(betterOf(figureOf(key)));
  if (byId("text").value !== STATE.text) byId("text").value = STATE.text;
  [...STATE.pattern].forEach((letter, i) => (byId(`pattern-${i}`).value = letter));
  const lines = byId("ranges").children;
  if (lines.length !== STATE.ranges.length)
    byId("ranges").replaceChildren(...STATE.ranges.map((_, at) => rangeLine(at)));
  STATE.ranges.forEach(({ id, low, high }, at) => {
    const [select, least, most] = byId("ranges").children[at].querySelectorAll("select, input");
    for (const [control, value] of [
      [select, id],
      [least, low],
      [most, high],
    ])
      if (control.value !== value) control.value = value;
  });
}

function rangeLine(at) {
  const set = (changes) =>
    change({ ranges: STATE.ranges.map((range, i) => (i === at ? { ...range, ...changes } : range)) });
  const select = element("select", {
    "aria-label": "figure of this range",
    onchange: (event) => set({ id: event.target.value }),
  });
  figureOptions(select, "");
  const input = (key, words) =>
    element("input", {
      type: "text",
      inputmode: "decimal",
      placeholder: words,
      "aria-label": words,
      oninput: (event) => set({ [key]: event.target.value }),
    });
  const drop = () => change({ ranges: STATE.ranges.filter((_, i) => i !== at) });
  return element(
    "div",
    { class: "range" },
    select,
    input("low", "at least"),
    input("high", "at most"),
    element("button", { type: "button", class: "close", "aria-label": "remove this range", onclick: drop }, "×"),
  );
}
