// One plot of one point; a gap in the rows is a gap in the line, and hatched, so that nobody takes it for zero.

import { element } from "./dom.js";
import { clock, currentZone, date, minute, moment, quantity, shortMonth, weekday } from "./format.js";

const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;
const color = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

// Rows [[unix ms, mean, min?, max?], …] as uPlot's columns in seconds, with a null wherever a neighbour is too far.
// A row without a value is no row: its neighbours join or not, as they do where energy is counted.
export function columns(rows, gapMs) {
  const [times, means, lows, highs] = [[], [], [], []];
  for (const [at, mean, low = null, high = null] of rows) {
    if (mean === null) continue;
    const last = times.length ? times[times.length - 1] * 1000 : null;
    if (last !== null && at - last > gapMs) push(last / 1000 + 0.001, null, null, null);
    push(at / 1000, mean, low, high);
  }
  return [times, means, lows, highs];

  function push(at, mean, low, high) {
    times.push(at);
    means.push(mean);
    lows.push(mean === null ? null : low);
    highs.push(mean === null ? null : high);
  }
}

// Where nothing is known between `from` and `to`, as [[a, b], …] in ms; `reach` is how long a row speaks for.
export function gaps(rows, from, to, gapMs, reach = 0) {
  const found = [];
  let known = from;
  for (const [at, mean] of rows) {
    if (mean === null || at + reach <= from || at >= to) continue;
    if (at - known > gapMs - reach) found.push([known, at]);
    known = Math.max(known, at + reach);
  }
  if (to - known > gapMs - reach) found.push([known, to]);
  return found;
}

export class Plot {
  // options: {height, role, unit, onPoint?}; the plot draws what `show` was last given.
  constructor(options) {
    this.options = options;
    this.node = element("div", { className: "plot" });
    this.node.style.setProperty("--height", `${options.height}px`);
    new ResizeObserver(() => this.resize()).observe(this.node);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.rebuild());
  }

  // view: {rows, from, to, now, gapMs, stepMs, unit}
  show(view) {
    const same =
      this.view && this.view.unit === view.unit && this.chart && (this.view.stepMs ?? 0) === (view.stepMs ?? 0);
    this.view = view;
    this.data = columns(view.rows, view.gapMs);
    this.gaps = gaps(view.rows, view.from, Math.min(view.to, view.now), view.gapMs, view.stepMs ?? 0);
    if (same) this.chart.setData(this.data);
    else this.rebuild();
  }

  rebuild() {
    this.chart?.destroy();
    this.chart = null;
    if (!this.view || !this.width()) return;
    const stroke = color(`--${this.options.role}`) || color("--accent");
    const unit = this.view.unit;
    const axis = {
      stroke: color("--soft"),
      grid: { stroke: color("--line"), width: 1 },
      ticks: { show: false },
      font: "12px system-ui, sans-serif",
    };
    const line = {
      points: { show: (chart, series) => lonely(chart.data[series]), size: 4, fill: stroke, stroke },
      spanGaps: false,
    };
    this.chart = new uPlot(
      {
        width: this.width(),
        height: this.options.height,
        legend: { show: false },
        padding: [8, 12, 0, 0],
        tzDate: (s) => (currentZone() ? uPlot.tzDate(new Date(s * 1000), currentZone()) : new Date(s * 1000)),
        cursor: {
          y: false,
          drag: { x: false, y: false },
          points: { size: 8, show: (chart, i) => i === 1 && dot(stroke) },
        },
        hooks: {
          drawClear: [(chart) => this.hatch(chart)],
          setCursor: [(chart) => this.options.onPoint?.(this.pointAt(chart.cursor.idx))],
        },
        scales: {
          x: { range: () => [this.view.from / 1000, this.view.to / 1000] },
          y: { range: (_, low, high) => reach(low, high, unit) },
        },
        axes: [
          { ...axis, size: 28, space: 64, values: (_, splits) => ticks(splits, this.view.from, this.view.to) },
          { ...axis, size: 66, space: 32, values: (_, splits) => splits.map((v) => quantity(v, unit)) },
        ],
        series: [
          {},
          { ...line, stroke, width: 1.8, fill: this.view.stepMs ? undefined : `${stroke}1f` },
          { stroke: "transparent", points: { show: false } },
          { stroke: "transparent", points: { show: false } },
        ],
        bands: [{ series: [3, 2], fill: `${stroke}2e` }],
      },
      this.data,
      this.node,
    );
  }

  hatch(chart) {
    const { ctx, bbox } = chart;
    ctx.save();
    ctx.beginPath();
    for (const [a, b] of this.gaps) {
      const left = Math.max(bbox.left, chart.valToPos(a / 1000, "x", true));
      const right = Math.min(bbox.left + bbox.width, chart.valToPos(b / 1000, "x", true));
      ctx.rect(left, bbox.top, Math.max(0, right - left), bbox.height);
    }
    ctx.clip();
    ctx.strokeStyle = color("--hatch");
    ctx.lineWidth = devicePixelRatio;
    ctx.beginPath();
    const step = 7 * devicePixelRatio;
    for (let x = bbox.left - bbox.height; x < bbox.left + bbox.width; x += step) {
      ctx.moveTo(x, bbox.top + bbox.height);
      ctx.lineTo(x + bbox.height, bbox.top);
    }
    ctx.stroke();
    ctx.restore();
  }

  // The row under the cursor, or null where there is none.
  pointAt(index) {
    if (index === null || index === undefined || !this.data || this.data[1][index] === null) return null;
    return {
      at: Math.round(this.data[0][index] * 1000),
      mean: this.data[1][index],
      low: this.data[2][index],
      high: this.data[3][index],
    };
  }

  moveTo(at) {
    if (!this.chart) return;
    this.chart.setCursor({ left: this.chart.valToPos(at / 1000, "x"), top: 10 });
  }

  width() {
    return Math.floor(this.node.clientWidth);
  }

  resize() {
    const width = this.width();
    if (!width || !this.view) return;
    if (!this.chart) this.rebuild();
    else if (this.chart.width !== width) this.chart.setSize({ width, height: this.options.height });
  }
}

function dot(fill) {
  const node = element("div", { className: "u-cursor-pt" });
  node.style.setProperty("background", fill);
  return node;
}

// A row without neighbours makes no line: show rows as points then.
const lonely = (values) =>
  values.some((value, i) => value !== null && (values[i - 1] ?? null) === null && (values[i + 1] ?? null) === null);

function reach(low, high, unit) {
  if (low === null || high === null || low === undefined) return [0, 100];
  const far = unit !== "W" && low > 0 && high - low < high * 0.3; // voltage, frequency: zero is far away, and says nothing
  const bottom = far ? low : Math.min(0, low),
    top = far ? high : Math.max(0, high);
  if (top === bottom && !top) return [0, 100];
  const room = (top - bottom || Math.abs(top) || 10) * 0.08;
  return [bottom < 0 || far ? bottom - room : 0, top > 0 || far ? top + room : 0];
}

function ticks(splits, from, to) {
  const span = to - from;
  const name = span <= 2 * DAY_MS ? minute : span <= 40 * DAY_MS ? weekday : shortMonth;
  let last = "";
  return splits.map((s) => {
    const text = name(s * 1000);
    const shown = text === last || s * 1000 > to - span * 0.02 ? "" : text; // the last one would be cut off
    last = text;
    return shown;
  });
}

// What a plot says in words to who cannot see it.
export function describe(title, view) {
  const seen = view.rows.filter(([at, mean]) => mean !== null && at >= view.from && at < view.to);
  if (!seen.length) return `${title}: no data between ${moment(view.from)} and ${moment(view.to)}`;
  const low = Math.min(...seen.map(([, mean, min]) => min ?? mean)),
    high = Math.max(...seen.map(([, mean, , max]) => max ?? mean));
  const holes = gaps(view.rows, view.from, Math.min(view.to, view.now), view.gapMs, view.stepMs ?? 0).length;
  const missing = holes ? `, ${holes} ${holes === 1 ? "gap" : "gaps"}` : ", no gaps";
  return `${title}, ${moment(seen[0][0])} to ${moment(seen[seen.length - 1][0])}: from ${quantity(low, view.unit)} to ${quantity(high, view.unit)}${missing}`;
}

export function pointText(point, view) {
  if (!point) return "";
  const when =
    view.to - view.from > 40 * DAY_MS && view.stepMs >= DAY_MS
      ? date(point.at)
      : view.stepMs
        ? moment(point.at)
        : clock(point.at);
  const spread =
    point.low !== null && point.high !== null && point.low !== point.high
      ? ` (${quantity(point.low, view.unit)} to ${quantity(point.high, view.unit)})`
      : "";
  return `${when}: ${quantity(point.mean, view.unit)}${spread}`;
}
