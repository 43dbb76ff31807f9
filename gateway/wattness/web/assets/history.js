// #history: a day, a week or a year of one point, with its gaps and figures, and the energy of each day.

import { ask } from "./api.js";
import { daysTable } from "./days.js";
import { element, empty, setText } from "./dom.js";
import { currentZone, date, fullDay } from "./format.js";
import { PlotCard } from "./plotcard.js";
import { addressOf, choiceOf, SPANS, TimeBar } from "./timebar.js";
import { addDays, startOf } from "./zone.js";

const JOIN_MS = 120_000; // rows that are no further apart belong together
const REFRESH_MS = 30_000;

export const historyView = (site) => new HistoryView(site);

class HistoryView {
  title = "History";

  constructor(site) {
    this.site = site;
    this.choice = { stream: null };
    this.asked = 0;
    this.isShown = false;
    this.bar = new TimeBar((change) => site.go(`history/${addressOf({ ...this.choice, ...change })}`, true));
    this.card = new PlotCard(site.fail);
    this.days = element("div", { className: "table" });
    this.nothing = empty("No stream yet", "Once a board has sent its first frames, its days can be looked at here.");
    const energy = element("section", {}, element("h2", {}, "Energy and coverage"), this.days);
    this.body = element("div", { className: "stack" }, this.card.node, energy);
    this.node = element("div", {}, this.nothing, this.bar.node, this.body);
  }

  show(parts) {
    this.isShown = true;
    if (!this.site.live) return;
    this.choice = choiceOf(parts, this.site.live);
    this.renew();
    this.load();
  }

  hide() {
    this.isShown = false;
  }

  update() {
    if (!this.isShown) return;
    if (this.choice.stream === null) {
      this.show(this.site.parts().slice(1));
      return;
    }
    this.renew();
    const isPast = this.view && this.view.to < this.site.live.status.now_unix_ms;
    if (!isPast && Date.now() - this.loadedAt > REFRESH_MS) this.load();
  }

  renew() {
    const { streams } = this.site.live;
    this.bar.show(this.choice, this.site.live);
    this.nothing.hidden = streams.length > 0;
    this.body.hidden = !streams.length;
  }

  load() {
    this.loadedAt = Date.now();
    this.ask().catch(this.site.fail);
  }

  async ask() {
    const mark = ++this.asked;
    const { stream: id, span, day, point } = this.choice;
    const stream = this.site.live.streams.find((one) => one.id === id);
    if (!stream || !point) return;
    const { step, table, first, next } = SPANS[span];
    const [begin, end] = [first(day), next(first(day), 1)];
    const [from, to] = [begin, end].map((one) => startOf(one, currentZone()));
    setText(this.card.title, headline(span, from, to));
    const [answer, energies] = await Promise.all([
      ask(`streams/${id}/history`, { point, from, to, step }),
      ask(`streams/${id}/days`, { from: begin, to: addDays(end, -1) }),
    ]);
    if (mark !== this.asked) return; // somebody has stepped on meanwhile
    const [now, stepMs] = [this.site.live.status.now_unix_ms, answer.step_ms];
    const rows = answer.rows.filter(([, mean]) => mean !== null);
    const gapMs = Math.max(1.5 * stepMs, JOIN_MS);
    this.view = { rows, from, to, now, stepMs, gapMs, table, unit: answer.unit };
    daysTable(this.days, stream, energies, span, now);
    await this.card.show(stream, point, this.view);
  }
}

function headline(span, from, to) {
  if (span === "day") return fullDay(from);
  if (span === "week") return `${date(from)} – ${date(to - 1)}`;
  return date(from).slice(-4);
}
