// One plot per stream; a gap in the rows is a gap in the line.

import { doing, minute, quantity, ROLES } from "./format.js";
import { element, setText } from "./tables.js";

const GAP_MS = 120_000; // rows further apart than this do not join (the rule by which energy is counted)
const ROWS_MAX = 20_000;
const HEIGHT = 180;
const color = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

export class Plot {
  constructor(stream) {
    this.times = [];
    this.values = [];
    this.title = element("span");
    this.value = element("span");
    this.detail = element("span");
    this.doing = element("span");
    this.canvas = element("div", { role: "img" });
    this.node = element("article", { className: "plot" },
      element("h3", {}, this.title, this.value), element("p", {}, this.detail, this.doing), this.canvas);
    this.describe(stream);
    new ResizeObserver(() => this.resize()).observe(this.node);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.rebuild());
  }

  describe(stream) {
    this.stream = stream;
    setText(this.title, `${ROLES[stream.role]?.[0] ?? stream.role} · ${stream.board}`);
    setText(this.detail, `${stream.profile}${stream.rated_w ? `, rated ${quantity(stream.rated_w, "W")}` : ""}`);
    this.value.style.color = `var(--${stream.role})`;
  }

  latest() {
    return this.values.length ? this.values[this.values.length - 1] : null;
  }

  add(rows) {
    for (const [at, value] of rows) {
      const last = this.times[this.times.length - 1];
      if (last !== undefined && at / 1000 <= last) continue;
      if (last !== undefined && at - last * 1000 > GAP_MS) {
        this.times.push(last + 0.001);
        this.values.push(null);
      }
      this.times.push(at / 1000);
      this.values.push(value);
    }
    const extra = this.times.length - ROWS_MAX;
    if (extra > 0) {
      this.times.splice(0, extra);
      this.values.splice(0, extra);
    }
  }

  show(now, spanMs) {
    const from = Math.max(now - spanMs, (this.times[0] ?? now / 1000 - 60) * 1000);
    this.range = [from / 1000, Math.max(now, from + 60_000) / 1000];
    if (!this.chart) this.rebuild();
    else this.chart.setData([this.times, this.values]);
    const value = this.latest(), unit = this.stream.leading?.unit ?? "W";
    setText(this.value, quantity(value, unit));
    setText(this.doing, doing(this.stream.role, value));
    const seen = this.values.filter((v, i) => v !== null && this.times[i] >= this.range[0]);
    const extent = seen.length ? `, from ${quantity(Math.min(...seen), unit)} to ${quantity(Math.max(...seen), unit)}` : "";
    this.canvas.setAttribute("aria-label", `${this.title.textContent} since ${minute(from)}: now ${quantity(value, unit)}${extent}`);
  }

  rebuild() {
    if (!this.range) return;
    this.chart?.destroy();
    const stroke = color(`--${this.stream.role}`) || color("--accent"), unit = this.stream.leading?.unit ?? "W";
    const axis = { stroke: color("--soft"), grid: { stroke: color("--line"), width: 1 }, ticks: { show: false }, font: "12px system-ui" };
    this.chart = new uPlot({
      width: this.width(), height: HEIGHT, legend: { show: false }, padding: [10, 30, 0, 0],
      cursor: { y: false, drag: { x: false, y: false }, points: { size: 7 } },
      hooks: { setCursor: [(chart) => this.point(chart.cursor.idx)] },
      scales: { x: { range: () => this.range }, y: { range: (_, low, high) => reach(low, high) } },
      axes: [{ ...axis, size: 28, space: 80, values: (_, splits) => splits.map((s) => minute(s * 1000)) },
        { ...axis, size: 62, space: 30, values: (_, splits) => splits.map((v) => quantity(v, unit)) }],
      series: [{}, { stroke, width: 1.8, fill: `${stroke}22`, points: { show: false }, spanGaps: false }],
    }, [this.times, this.values], this.canvas);
  }

  point(index) {
    const value = index === null || index === undefined ? undefined : this.values[index];
    const here = value !== undefined && value !== null;
    setText(this.doing, here ? `${minute(this.times[index] * 1000)}: ${quantity(value, this.stream.leading?.unit ?? "W")}`
      : doing(this.stream.role, this.latest()));
  }

  width() {
    return Math.max(200, this.node.clientWidth - 30);
  }

  resize() {
    if (this.chart && this.chart.width !== this.width()) this.chart.setSize({ width: this.width(), height: HEIGHT });
  }
}

function reach(low, high) {
  if (low === null || high === null) return [0, 100];
  const bottom = Math.min(0, low), top = Math.max(0, high), room = (top - bottom || 10) * 0.08;
  return [bottom < 0 ? bottom - room : 0, top > 0 ? top + room : 0];
}
