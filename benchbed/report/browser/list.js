// The list of matching cells, of which only the visible rows are in the document.

const ROW = 34; // pixels, as in style.css

class List {
  constructor(box, onPick, onActive) {
    Object.assign(this, { box, onPick, onActive, rows: new Uint32Array(0), active: -1 });
    this.inner = element("div", { class: "rows", role: "presentation" });
    box.append(this.inner);
    box.addEventListener("scroll", () => this.draw());
    box.addEventListener("keydown", (event) => this.key(event));
    box.addEventListener("blur", () => this.onActive(-1));
  }

  // rows: in their order; view: {sort, x, y: figures, pins}
  show(rows, view) {
    Object.assign(this, { rows, view, active: -1 });
    this.inner.style.height = `${rows.length * ROW}px`;
    this.box.scrollTop = 0;
    this.draw();
  }

  draw() {
    const first = Math.max(0, Math.floor(this.box.scrollTop / ROW) - 3);
    const last = Math.min(this.rows.length, Math.ceil((this.box.scrollTop + this.box.clientHeight) / ROW) + 3);
    const found = [];
    for (let at = first; at < last; at++) found.push(this.line(at));
    this.inner.replaceChildren(...found);
    const isSeen = this.active >= first && this.active < last;
    isSeen
      ? this.box.setAttribute("aria-activedescendant", `row-${this.active}`)
      : this.box.removeAttribute("aria-activedescendant");
  }

  line(at) {
    const row = this.rows[at],
      { sort, x, y, pins } = this.view;
    const others = [y, x].filter((figure) => figure !== sort);
    const line = element(
      "div",
      {
        class: `row${at === this.active ? " active" : ""}`,
        role: "option",
        id: `row-${at}`,
        "data-row": row,
        "aria-selected": String(pins.includes(row)),
        "aria-posinset": at + 1,
        "aria-setsize": this.rows.length,
        "aria-label": `${at + 1}: ${withUnit(sort, valuesOf(sort)[row])}, ${stringOf(row)}`,
        onclick: () => this.onPick(row),
        title: stringOf(row),
      },
      element("span", { class: "place" }, grouped(at + 1)),
      glyphOf(row),
      element("b", {}, printed(sort, valuesOf(sort)[row])),
      ...others.map((figure) => element("span", {}, printed(figure, valuesOf(figure)[row]))),
    );
    line.style.top = `${at * ROW}px`;
    return line;
  }

  key(event) {
    const page = Math.max(1, Math.floor(this.box.clientHeight / ROW) - 1);
    const steps = { ArrowDown: 1, ArrowUp: -1, PageDown: page, PageUp: -page, Home: -Infinity, End: Infinity };
    if (event.key === "Enter" || event.key === " ") {
      if (this.active >= 0) this.onPick(this.rows[this.active]);
    } else if (event.key in steps && this.rows.length) {
      this.go(Math.min(Math.max(this.active + steps[event.key], 0), this.rows.length - 1));
    } else return;
    event.preventDefault();
  }

  go(at) {
    this.active = at;
    const top = at * ROW,
      { scrollTop, clientHeight } = this.box;
    if (top < scrollTop) this.box.scrollTop = top;
    if (top + ROW > scrollTop + clientHeight) this.box.scrollTop = top + ROW - clientHeight;
    this.draw();
    this.onActive(this.rows[at]);
  }
}
