// #history: a day, a week or a year of one point, with its gaps, its figures as a table, and the energy of each day.

import { ask } from "./api.js";
import { daysTable } from "./days.js";
import { button, element, empty, setText } from "./dom.js";
import { currentZone, date, fullDay, moment, quantity, streamName } from "./format.js";
import { icon } from "./icons.js";
import { describe, Plot, pointText } from "./plots.js";
import { fill } from "./tables.js";
import { addDays, addYears, dayOf, isDay, monday, newYear, startOf } from "./zone.js";

const STEPS_MS = { "1m": 60_000, "5m": 300_000, "1h": 3_600_000, "1d": 86_400_000 };
const SPANS = {
  day: { step: "1m", table: "1h", first: (day) => day, next: (day, n) => addDays(day, n) },
  week: { step: "5m", table: "1d", first: monday, next: (day, n) => addDays(day, 7 * n) },
  year: { step: "1d", table: "1d", first: newYear, next: addYears },
};
const JOIN_MS = 120_000; // rows that are no further apart belong together
const REFRESH_MS = 30_000;

export function historyView(site) {
  const streamBox = element("select", { id: "history-stream" });
  const pointBox = element("select", { id: "history-point" });
  const dayBox = element("input", { id: "history-day", type: "date", ariaLabel: "Day" });
  const spans = element("div", { className: "spans", role: "group", ariaLabel: "Time shown" });
  const back = button("", () => step(-1), { className: "square", ariaLabel: "Earlier" });
  const forth = button("", () => step(1), { className: "square", ariaLabel: "Later" });
  const today = button("Today", () => go({ day: dayOf(site.live.status.now_unix_ms, currentZone()) }));
  back.append(icon("back"));
  forth.append(icon("forward"));
  const title = element("h2", { id: "history-title", ariaLive: "polite" });
  const reading = element("p", { className: "reading soft" });
  const legend = element("p", { className: "legend soft small" }, element("i", { className: "swatch hatch" }), "no data");
  const host = element("div", { className: "plot-host" });
  const table = element("div", { className: "table" });
  const details = element("details", { className: "as-table" }, element("summary", {}, "Show the figures as a table"), table);
  const days = element("div", { className: "table" });
  const daysTitle = element("h2", {}, "Energy and coverage");
  const plotCard = element("section", { className: "card", ariaLabel: "Plot" }, element("div", { className: "head" }, title, reading), host, legend, details);
  const nothing = empty("No stream yet", "Once a board has sent its first frames, its days can be looked at here.");
  const body = element("div", { className: "stack" }, plotCard, element("section", {}, daysTitle, days));
  const label = (text, box) => element("div", { className: "field" }, element("label", { htmlFor: box.id }, text), box);
  const bar = element("div", { className: "toolbar" }, label("Stream", streamBox), label("Point", pointBox),
    element("div", { className: "field" }, element("span", { className: "label" }, "Span"), spans),
    element("div", { className: "stepper", role: "group", ariaLabel: "Step in time" }, back, dayBox, forth, today));
  const node = element("div", {}, nothing, bar, body);
  const buttons = new Map(Object.keys(SPANS).map((name) => [name, spans.appendChild(button(name[0].toUpperCase() + name.slice(1), () => go({ span: name })))]));

  let at = { stream: null, span: "day", day: null, point: null };
  let plot = null, plotRole = "", view = null, asked = 0, shown = false, place = 0;

  streamBox.addEventListener("change", () => go({ stream: Number(streamBox.value), point: null }));
  pointBox.addEventListener("change", () => go({ point: pointBox.value }));
  dayBox.addEventListener("change", () => { if (isDay(dayBox.value)) go({ day: dayBox.value }); });
  details.addEventListener("toggle", () => { if (details.open) showTable(); });

  const stream = () => site.live?.streams.find((one) => one.id === at.stream) ?? null;
  const go = (change) => site.go(path({ ...at, ...change }), true);
  const step = (n) => go({ day: SPANS[at.span].next(SPANS[at.span].first(at.day), n) });
  const path = ({ stream, span, day, point }) => ["history", stream, span, day, ...(point ? [point] : [])].join("/");

  // The place in the address (#history/STREAM/SPAN/DAY/POINT), with what it leaves open filled in.
  function settle([id, span, day, point]) {
    const streams = site.live.streams;
    const known = streams.find((one) => one.id === Number(id)) ?? streams.find((one) => one.role === "pv") ?? streams[0];
    const now = dayOf(site.live.status.now_unix_ms, currentZone());
    const points = known?.points.map((one) => one.name) ?? [];
    return { stream: known?.id ?? null, span: SPANS[span] ? span : "day", day: isDay(day) ? day : now,
      point: points.includes(point) ? point : known?.leading?.name ?? points[0] ?? null };
  }

  function controls() {
    const chosen = stream(), now = dayOf(site.live.status.now_unix_ms, currentZone());
    options(streamBox, site.live.streams.map((one) => [String(one.id), streamName(one)]), String(at.stream));
    options(pointBox, (chosen?.points ?? []).map((one) => [one.name, `${one.name.replaceAll("_", " ")} (${one.unit})`]), at.point);
    for (const [name, one] of buttons) one.setAttribute("aria-pressed", String(name === at.span));
    if (document.activeElement !== dayBox) dayBox.value = at.day;
    dayBox.max = now;
    forth.disabled = SPANS[at.span].next(SPANS[at.span].first(at.day), 1) > now;
    nothing.hidden = site.live.streams.length > 0;
    bar.hidden = body.hidden = !chosen;
  }

  async function load() {
    const mark = ++asked;
    const chosen = stream();
    if (!chosen || !at.point) return;
    const { step: size, first, next } = SPANS[at.span];
    const [day, end] = [first(at.day), next(first(at.day), 1)];
    const [from, to] = [startOf(day, currentZone()), startOf(end, currentZone())];
    setText(title, headline(at.span, from, to));
    const [answer, energies] = await Promise.all([
      ask(`streams/${chosen.id}/history`, { point: at.point, from, to, step: size }),
      ask(`streams/${chosen.id}/days`, { from: day, to: addDays(end, -1) }),
    ]);
    if (mark !== asked) return; // somebody has stepped on meanwhile
    view = { rows: answer.rows.filter(([, mean]) => mean !== null), from, to, now: site.live.status.now_unix_ms, unit: answer.unit, stepMs: answer.step_ms, gapMs: Math.max(1.5 * answer.step_ms, JOIN_MS) };
    draw(chosen);
    daysTable(days, chosen, energies, at.span, view.now);
    if (details.open) showTable();
  }

  function draw(chosen) {
    if (!plot || plotRole !== chosen.role) {
      plotRole = chosen.role;
      plot = new Plot({ height: 320, role: chosen.role, onPoint: (point) => setText(reading, point ? pointText(point, view) : summary()) });
      plot.node.tabIndex = 0;
      plot.node.setAttribute("role", "slider");
      plot.node.addEventListener("keydown", walk);
      host.replaceChildren(plot.node);
    }
    plot.show(view);
    place = Math.min(place, Math.max(0, view.rows.length - 1));
    plot.node.setAttribute("aria-label", `${describe(`${streamName(chosen)}, ${at.point.replaceAll("_", " ")}`, view)}. Arrow keys walk through it.`);
    plot.node.setAttribute("aria-valuemin", "0");
    plot.node.setAttribute("aria-valuemax", String(Math.max(0, view.rows.length - 1)));
    speak();
    setText(reading, summary());
  }

  function summary() {
    if (!view.rows.length) return "No data in this time.";
    const low = Math.min(...view.rows.map(([, mean, min]) => min ?? mean)), high = Math.max(...view.rows.map(([, mean, , max]) => max ?? mean));
    return `From ${quantity(low, view.unit)} to ${quantity(high, view.unit)}`;
  }

  function walk(event) {
    const moves = { ArrowLeft: -1, ArrowRight: 1, PageUp: -60, PageDown: 60, Home: -1e9, End: 1e9 };
    if (!(event.key in moves) || !view?.rows.length) return;
    event.preventDefault();
    place = Math.max(0, Math.min(view.rows.length - 1, place + moves[event.key]));
    plot.moveTo(view.rows[place][0]);
    speak();
    setText(reading, text(place));
  }

  function speak() {
    plot.node.setAttribute("aria-valuenow", String(place));
    plot.node.setAttribute("aria-valuetext", view.rows.length ? text(place) : "no data");
  }

  const text = (index) => {
    const [at, mean, low, high] = view.rows[index];
    return pointText({ at, mean, low, high }, view);
  };

  async function showTable() {
    const { table: size } = SPANS[at.span];
    const { rows, unit } = STEPS_MS[size] === view.stepMs ? view
      : await ask(`streams/${at.stream}/history`, { point: at.point, from: view.from, to: view.to, step: size });
    const when = size === "1d" ? date : moment;
    fill(table, `${at.point}, a row each ${size === "1d" ? "day" : "hour"}`,
      [{ title: "From" }, { title: "Mean", number: true }, { title: "Lowest", number: true }, { title: "Highest", number: true }],
      rows.filter(([, mean]) => mean !== null).map(([start, mean, low, high]) => [when(start), quantity(mean, unit), quantity(low, unit), quantity(high, unit)]),
      empty("No data", "Nothing was received for this time. That is unknown, not zero."));
  }

  let loaded = 0;
  return {
    node,
    title: "History",
    show(parts) {
      shown = true;
      if (!site.live) return;
      at = settle(parts);
      controls();
      loaded = Date.now();
      load().catch(site.fail);
    },
    hide() { shown = false; },
    update() {
      if (!shown) return;
      if (at.stream === null) return this.show(site.parts().slice(1));
      controls();
      if (Date.now() - loaded < REFRESH_MS || (view && view.to < site.live.status.now_unix_ms)) return;
      loaded = Date.now();
      load().catch(site.fail);
    },
  };
}

function options(box, pairs, chosen) {
  const mark = JSON.stringify(pairs);
  if (box.dataset.mark !== mark) {
    box.dataset.mark = mark;
    box.replaceChildren(...pairs.map(([value, text]) => element("option", { value }, text)));
  }
  if (box.value !== chosen) box.value = chosen;
}

function headline(span, from, to) {
  if (span === "day") return fullDay(from);
  if (span === "week") return `${date(from)} – ${date(to - 1)}`;
  return date(from).slice(-4);
}
