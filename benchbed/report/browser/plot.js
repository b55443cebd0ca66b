// The scatter on two canvases: points and front below; pinned cells and what the pointer is at above.

const MARGIN = { left: 54, right: 14, top: 12, bottom: 40 };
const CELL = 16; // pixels: the side of a square of the grid in which the nearest point is looked for
const LEVELS = 24; // of colour

class Axis {
  // low, high: of the values that are shown; from, to: pixels
  constructor(low, high, isLog, from, to) {
    this.isLog = isLog;
    let [a, b] = isLog ? [Math.log10(low), Math.log10(high)] : [low, high];
    const room = (b - a) * 0.03 || Math.abs(a) * 0.05 || 0.5;
    Object.assign(this, { a: a - room, b: b + room, from, to });
  }

  at(value) {
    const v = this.isLog ? (value > 0 ? Math.log10(value) : NaN) : value;
    return this.from + ((v - this.a) / (this.b - this.a)) * (this.to - this.from);
  }

  valueAt(pixel) {
    const v = this.a + ((pixel - this.from) / (this.to - this.from)) * (this.b - this.a);
    return this.isLog ? 10 ** v : v;
  }

  ticks() {
    const room = this.from < this.to ? 70 : 45; // pixels a number takes, across and up
    const wanted = Math.max(2, Math.floor(Math.abs(this.to - this.from) / room));
    if (this.isLog && this.b - this.a > 0.7) return this.logTicks(wanted);
    const [low, high] = [this.valueAt(this.from), this.valueAt(this.to)].sort((p, q) => p - q);
    const rough = (high - low) / wanted,
      size = 10 ** Math.floor(Math.log10(rough));
    const step = [1, 2, 5, 10].map((k) => k * size).find((s) => s >= rough);
    const found = [];
    for (let k = Math.ceil(low / step); k * step <= high; k++) found.push(Number((k * step).toPrecision(12)));
    return found;
  }

  logTicks(wanted) {
    const found = [];
    for (let power = Math.floor(this.a); power <= this.b; power++)
      for (const digit of this.b - this.a > wanted / 2 ? [1] : [1, 2, 5]) found.push(Number(`${digit}e${power}`));
    const inside = found.filter((value) => Math.log10(value) >= this.a && Math.log10(value) <= this.b);
    const every = Math.ceil(inside.length / wanted / 1.5);
    return inside.filter((_, i) => i % every === 0);
  }
}

function brief(value) {
  const size = Math.abs(value);
  for (const [unit, letter] of [
    [1e9, "G"],
    [1e6, "M"],
    [1e4, "k"],
  ])
    if (size >= unit) return `${Number((value / (letter === "k" ? 1e3 : unit)).toPrecision(4))}${letter}`;
  return String(Number(value.toPrecision(5)));
}

class Plot {
  constructor(base, overlay, onPick, onHover, onZoom) {
    Object.assign(this, { base, overlay, onPick, onHover, onZoom, at: new Float32Array(2 * COUNT), hidden: 0 });
    this.press = null;
    overlay.addEventListener("pointermove", (event) => this.moved(event));
    overlay.addEventListener("pointerleave", () => this.hover(-1));
    overlay.addEventListener("pointerdown", (event) => this.pressed(event));
    overlay.addEventListener("pointerup", (event) => this.released(event));
    overlay.addEventListener("pointercancel", () => (this.press = null));
    overlay.addEventListener("dblclick", () => this.onZoom(null));
  }

  // view: {x, y, colour: figures, xLog, yLog, zoom, fit, isIn, count, front, pins}
  draw(view) {
    this.view = view;
    this.size();
    this.colours = getComputedStyle(this.base);
    const shown = this.place();
    const ink = this.base.getContext("2d");
    ink.setTransform(this.ratio, 0, 0, this.ratio, 0, 0);
    ink.clearRect(0, 0, this.width, this.height);
    this.drawAxes(ink);
    ink.save();
    ink.beginPath();
    ink.rect(
      MARGIN.left,
      MARGIN.top,
      this.width - MARGIN.left - MARGIN.right,
      this.height - MARGIN.top - MARGIN.bottom,
    );
    ink.clip();
    this.drawPoints(ink, shown);
    this.drawFront(ink);
    ink.restore();
    this.hover(-1);
  }

  size() {
    const { clientWidth, clientHeight } = this.base.parentElement;
    Object.assign(this, { width: clientWidth, height: clientHeight, ratio: window.devicePixelRatio || 1 });
    for (const canvas of [this.base, this.overlay]) {
      const [wide, high] = [Math.round(this.width * this.ratio), Math.round(this.height * this.ratio)];
      if (canvas.width !== wide) canvas.width = wide;
      if (canvas.height !== high) canvas.height = high;
    }
  }

  // Where each row lies, in pixels; the grid that finds the nearest; the rows that can be shown.
  place() {
    const { view, at } = this;
    const xs = valuesOf(view.x),
      ys = valuesOf(view.y);
    const can = ALL.filter(
      (row) => xs[row] === xs[row] && ys[row] === ys[row] && (!view.xLog || xs[row] > 0) && (!view.yLog || ys[row] > 0),
    );
    const fitted = view.fit ? can.filter((row) => view.isIn[row]) : can;
    const [x0, x1, y0, y1] = view.zoom ?? [
      ...extent(xs, fitted.length ? fitted : can),
      ...extent(ys, fitted.length ? fitted : can),
    ];
    this.xAxis = new Axis(x0, x1, view.xLog, MARGIN.left, this.width - MARGIN.right);
    this.yAxis = new Axis(y0, y1, view.yLog, this.height - MARGIN.bottom, MARGIN.top);
    at.fill(NaN);
    const columns = Math.ceil(this.width / CELL) + 1,
      rows = Math.ceil(this.height / CELL) + 1;
    this.grid = { columns, squares: Array.from({ length: columns * rows }, () => []) };
    this.hidden = 0;
    for (const row of can) {
      const px = this.xAxis.at(xs[row]),
        py = this.yAxis.at(ys[row]);
      if (
        px < MARGIN.left - 1 ||
        px > this.width - MARGIN.right + 1 ||
        py < MARGIN.top - 1 ||
        py > this.height - MARGIN.bottom + 1
      ) {
        this.hidden += view.isIn[row];
        continue;
      }
      at[2 * row] = px;
      at[2 * row + 1] = py;
      if (view.isIn[row]) this.grid.squares[Math.floor(py / CELL) * columns + Math.floor(px / CELL)].push(row);
    }
    this.lacking = 0;
    for (let row = 0; row < COUNT; row++) this.lacking += view.isIn[row];
    for (const row of can) this.lacking -= view.isIn[row];
    this.can = can;
    return can;
  }

  drawAxes(ink) {
    const { view } = this,
      bottom = this.height - MARGIN.bottom;
    ink.font = this.colours.font;
    ink.textBaseline = "middle";
    ink.lineWidth = 1;
    const line = this.colours.getPropertyValue("--line"),
      faint = this.colours.getPropertyValue("--faint");
    ink.strokeStyle = line;
    ink.fillStyle = faint;
    ink.textAlign = "center";
    for (const value of this.xAxis.ticks()) {
      const x = Math.round(this.xAxis.at(value)) + 0.5;
      stroke(ink, x, MARGIN.top, x, bottom);
      ink.fillText(brief(value), Math.min(x, this.width - 18), bottom + 11);
    }
    ink.textAlign = "right";
    for (const value of this.yAxis.ticks()) {
      const y = Math.round(this.yAxis.at(value)) + 0.5;
      stroke(ink, MARGIN.left, y, this.width - MARGIN.right, y);
      ink.fillText(brief(value), MARGIN.left - 6, y);
    }
    ink.fillStyle = this.colours.getPropertyValue("--ink");
    ink.textAlign = "center";
    const title = (figure) => figure.label + (figure.unit ? `, ${figure.unit}` : "");
    ink.fillText(title(view.x), (MARGIN.left + this.width) / 2, this.height - 11, this.width - MARGIN.left - 8);
    ink.save();
    ink.translate(9, (this.height - MARGIN.bottom) / 2);
    ink.rotate(-Math.PI / 2);
    ink.fillText(title(view.y), 0, 0, this.height - MARGIN.bottom);
    ink.restore();
  }

  drawPoints(ink, shown) {
    const { view, at } = this;
    const sideOf = (count) => (count > 4000 ? 3 : count > 500 ? 4 : 6); // pixels: a few that match are seen among many
    const [ghost, side] = [sideOf(COUNT), sideOf(view.count)];
    const levels = this.levels(shown);
    const buckets = Array.from({ length: LEVELS + 2 }, () => []);
    for (const row of shown) if (at[2 * row] === at[2 * row]) buckets[view.isIn[row] ? 1 + levels[row] : 0].push(row);
    const colours = [
      this.colours.getPropertyValue("--ghost"),
      ...this.ramp(),
      this.colours.getPropertyValue("--faint"),
    ];
    buckets.forEach((rows, level) => {
      ink.fillStyle = colours[level];
      const size = level ? side : ghost;
      for (const row of rows) ink.fillRect(at[2 * row] - size / 2, at[2 * row + 1] - size / 2, size, size);
    });
  }

  // By row, which of LEVELS colours; LEVELS itself where the third figure is missing. The rarest extremes share one.
  levels(shown) {
    const levels = new Uint8Array(COUNT),
      { colour } = this.view;
    this.scale = null;
    if (!colour) return levels.fill(Math.floor(LEVELS / 2));
    const values = valuesOf(colour);
    const there = Float64Array.from(
      shown.filter((row) => values[row] === values[row]),
      (row) => values[row],
    ).sort();
    if (!there.length) return levels.fill(LEVELS);
    const isCount = colour.operation !== undefined;
    const low = there[isCount ? 0 : Math.floor(there.length * 0.01)];
    const high = there[isCount ? there.length - 1 : Math.ceil((there.length - 1) * 0.99)];
    this.scale = { low, high };
    const step = (LEVELS - 1) / (high - low || 1);
    for (const row of shown) {
      const value = values[row];
      levels[row] = value === value ? Math.round((Math.min(Math.max(value, low), high) - low) * step) : LEVELS;
    }
    return levels;
  }

  ramp() {
    const stops = this.colours.getPropertyValue("--ramp").trim().split(/\s+/);
    const parts = stops.map((stop) => [1, 3, 5].map((i) => parseInt(stop.slice(i, i + 2), 16)));
    return Array.from({ length: LEVELS }, (_, level) => {
      const place = (level / (LEVELS - 1)) * (parts.length - 1),
        k = Math.min(Math.floor(place), parts.length - 2);
      return `rgb(${parts[k].map((from, i) => Math.round(from + (parts[k + 1][i] - from) * (place - k))).join(" ")})`;
    });
  }

  drawFront(ink) {
    const { front, x, y } = this.view,
      xs = valuesOf(x),
      ys = valuesOf(y);
    const points = front
      .map((row) => [this.xAxis.at(xs[row]), this.yAxis.at(ys[row])])
      .filter((point) => !point.some(Number.isNaN));
    ink.strokeStyle = this.colours.getPropertyValue("--front");
    ink.lineWidth = 1.6;
    ink.beginPath();
    points.forEach(([px, py], i) => {
      if (i) ink.lineTo(px, points[i - 1][1]); // what is reached stays reached: a step
      i ? ink.lineTo(px, py) : ink.moveTo(px, py);
    });
    ink.stroke();
    for (const [px, py] of points) ring(ink, px, py, 4);
  }

  drawPins(ink) {
    ink.font = this.colours.font;
    ink.textAlign = "center";
    ink.textBaseline = "middle";
    this.view.pins.forEach((row, i) => {
      const px = this.at[2 * row],
        py = this.at[2 * row + 1];
      if (px !== px) return;
      ink.fillStyle = this.colours.getPropertyValue("--ink");
      ink.beginPath();
      ink.arc(px, py, 9, 0, 2 * Math.PI);
      ink.fill();
      ink.fillStyle = this.colours.getPropertyValue("--paper");
      ink.fillText(String(i + 1), px, py + 0.5);
    });
  }

  // The matching row nearest to a place, within a finger's reach; -1 for none.
  nearest(px, py, reach = 14) {
    const { columns, squares } = this.grid,
      { at } = this;
    let best = reach * reach,
      found = -1;
    for (let j = Math.floor((py - reach) / CELL); j <= Math.floor((py + reach) / CELL); j++)
      for (let i = Math.floor((px - reach) / CELL); i <= Math.floor((px + reach) / CELL); i++)
        if (i >= 0 && i < columns)
          for (const row of squares[j * columns + i] ?? []) {
            const away = (at[2 * row] - px) ** 2 + (at[2 * row + 1] - py) ** 2;
            if (away < best) [best, found] = [away, row];
          }
    return found;
  }

  pin(pins) {
    this.view.pins = pins;
    this.hover(-1);
  }

  // What changes often: pinned cells, a ring around a row, -1 for none, and the rectangle that is being dragged.
  hover(row) {
    const ink = this.overlay.getContext("2d");
    ink.setTransform(this.ratio, 0, 0, this.ratio, 0, 0);
    ink.clearRect(0, 0, this.width, this.height);
    this.drawPins(ink);
    ink.strokeStyle = this.colours.getPropertyValue("--ink");
    ink.lineWidth = 2;
    if (row >= 0 && this.at[2 * row] === this.at[2 * row]) ring(ink, this.at[2 * row], this.at[2 * row + 1], 7);
    if (this.press?.isDragged) {
      ink.setLineDash([4, 3]);
      ink.strokeRect(this.press.x, this.press.y, this.press.toX - this.press.x, this.press.toY - this.press.y);
      ink.setLineDash([]);
    }
    this.onHover(row, row < 0 ? null : [this.at[2 * row], this.at[2 * row + 1]]);
  }

  moved(event) {
    const { offsetX: x, offsetY: y } = event;
    if (this.press && event.pointerType !== "touch" && Math.hypot(x - this.press.x, y - this.press.y) > 6)
      Object.assign(this.press, { isDragged: true, toX: x, toY: y });
    this.hover(this.press?.isDragged ? -1 : this.nearest(x, y));
  }

  pressed(event) {
    if (event.button !== 0) return;
    this.press = { x: event.offsetX, y: event.offsetY, isDragged: false };
    if (event.pointerType !== "touch") this.overlay.setPointerCapture(event.pointerId);
  }

  released(event) {
    const press = this.press;
    this.press = null;
    if (!press) return;
    if (press.isDragged) {
      const across = [press.x, press.toX].sort((a, b) => a - b),
        down = [press.y, press.toY].sort((a, b) => b - a);
      return this.onZoom([...across.map((p) => this.xAxis.valueAt(p)), ...down.map((p) => this.yAxis.valueAt(p))]);
    }
    const row = this.nearest(event.offsetX, event.offsetY, event.pointerType === "touch" ? 24 : 14);
    if (row >= 0) this.onPick(row);
  }
}

function extent(values, rows) {
  let low = Infinity,
    high = -Infinity;
  for (const row of rows) {
    if (values[row] < low) low = values[row];
    if (values[row] > high) high = values[row];
  }
  return rows.length ? [low, high] : [1, 2];
}

function stroke(ink, x0, y0, x1, y1) {
  ink.beginPath();
  ink.moveTo(x0, y0);
  ink.lineTo(x1, y1);
  ink.stroke();
}

function ring(ink, x, y, radius) {
  ink.beginPath();
  ink.arc(x, y, radius, 0, 2 * Math.PI);
  ink.stroke();
}
