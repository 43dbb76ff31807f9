// The history's plot with what can be read off it: by pointer, by arrow keys, and as a table.

import { ask } from "./api.js";
import { element, empty, setText } from "./dom.js";
import { date, moment, quantity, streamName } from "./format.js";
import { describe, Plot, pointText } from "./plots.js";
import { fill } from "./tables.js";

const STEPS_MS = { "1h": 3_600_000, "1d": 86_400_000 };
const HEIGHT = 320;
const KEYS = { ArrowLeft: -1, ArrowRight: 1, PageUp: -60, PageDown: 60, Home: -1e9, End: 1e9 };
const COLUMNS = [
  { title: "From" },
  { title: "Mean", number: true },
  { title: "Lowest", number: true },
  { title: "Highest", number: true },
];

export class PlotCard {
  constructor(fail) {
    this.place = 0;
    this.plot = null;
    this.title = element("h2", { id: "history-title", ariaLive: "polite" });
    this.reading = element("p", { className: "reading soft" });
    this.host = element("div", { className: "plot-host" });
    this.table = element("div", { className: "table" });
    const summary = element("summary", {}, "Show the figures as a table");
    this.details = element("details", { className: "as-table" }, summary, this.table);
    this.details.addEventListener("toggle", () => this.showTable().catch(fail));
    const swatch = element("i", { className: "swatch hatch" });
    this.node = element(
      "section",
      { className: "card", ariaLabel: "Plot" },
      element("div", { className: "head" }, this.title, this.reading),
      this.host,
      element("p", { className: "legend soft small" }, swatch, "no data"),
      this.details,
    );
  }

  // view: what Plot.show takes, and `table`, the step of the rows as text
  show(stream, point, view) {
    Object.assign(this, { stream, point, view });
    if (this.role !== stream.role) this.remake(stream.role);
    this.plot.show(view);
    this.place = Math.max(0, Math.min(this.place, view.rows.length - 1));
    const title = describe(`${streamName(stream)}, ${point.replaceAll("_", " ")}`, view);
    this.plot.node.setAttribute("aria-label", `${title}. Arrow keys walk through it.`);
    this.plot.node.setAttribute("aria-valuemin", "0");
    this.plot.node.setAttribute("aria-valuemax", String(Math.max(0, view.rows.length - 1)));
    this.speak();
    setText(this.reading, this.summary());
    return this.showTable();
  }

  remake(role) {
    this.role = role;
    const onPoint = (point) => setText(this.reading, point ? pointText(point, this.view) : this.summary());
    this.plot = new Plot({ height: HEIGHT, role, onPoint });
    this.plot.node.tabIndex = 0;
    this.plot.node.setAttribute("role", "slider");
    this.plot.node.addEventListener("keydown", (event) => this.walk(event));
    this.host.replaceChildren(this.plot.node);
  }

  summary() {
    const { rows, unit } = this.view;
    if (!rows.length) return "No data in this time.";
    const low = Math.min(...rows.map(([, mean, min]) => min ?? mean));
    const high = Math.max(...rows.map(([, mean, , max]) => max ?? mean));
    return `From ${quantity(low, unit)} to ${quantity(high, unit)}`;
  }

  walk(event) {
    const { rows } = this.view;
    if (!(event.key in KEYS) || !rows.length) return;
    event.preventDefault();
    this.place = Math.max(0, Math.min(rows.length - 1, this.place + KEYS[event.key]));
    this.plot.moveTo(rows[this.place][0]);
    this.speak();
    setText(this.reading, this.told());
  }

  speak() {
    this.plot.node.setAttribute("aria-valuenow", String(this.place));
    this.plot.node.setAttribute("aria-valuetext", this.view.rows.length ? this.told() : "no data");
  }

  told() {
    const [at, mean, low, high] = this.view.rows[this.place];
    return pointText({ at, mean, low, high }, this.view);
  }

  async showTable() {
    if (!this.details.open || !this.view) return;
    const { table: step, from, to } = this.view;
    const query = { point: this.point, from, to, step };
    const isDrawn = STEPS_MS[step] === this.view.stepMs;
    const { rows, unit } = isDrawn ? this.view : await ask(`streams/${this.stream.id}/history`, query);
    const when = step === "1d" ? date : moment;
    const told = rows.filter(([, mean]) => mean !== null);
    const cells = told.map(([at, ...values]) => [when(at), ...values.map((value) => quantity(value, unit))]);
    const nothing = empty("No data", "Nothing was received for this time. That is unknown, not zero.");
    fill(this.table, `${this.point}, a row each ${step === "1d" ? "day" : "hour"}`, COLUMNS, cells, nothing);
  }
}
