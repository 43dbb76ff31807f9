// #now: the power flow, today's energy, what needs somebody, and the last hour of every stream.

import { ask } from "./api.js";
import { findings } from "./attention.js";
import { passed } from "./days.js";
import { element, empty, keep, setClass, setText } from "./dom.js";
import { Flow, telling } from "./flow.js";
import { clock, currentZone, ENERGIES, percent, quantity, roleName } from "./format.js";
import { icon } from "./icons.js";
import { Strip } from "./strip.js";
import { dayOf } from "./zone.js";

const FLOW_MS = 2000;
const DAYS_MS = 60_000;

export function nowView(site) {
  const flow = new Flow();
  const told = element("p", { className: "flow-told" });
  const asOf = element("p", { className: "soft small" });
  const today = element("dl", { className: "figures" });
  const needs = element("ul", { className: "findings" });
  const strips = element("div", { className: "strips" });
  const welcome = element(
    "div",
    { className: "card welcome", hidden: true },
    empty("No board yet", "Enrol your first board, and its streams will appear here with its first frames."),
    element("a", { className: "button primary", href: "#boards" }, "Enrol a board"),
  );
  const waiting = empty("No stream yet", "A board's first frames say what it meters, and bring the first values.");
  const power = element(
    "section",
    { className: "card flow-card", ariaLabel: "Power now" },
    element("h2", {}, "Power now"),
    waiting,
    flow.node,
    told,
    asOf,
  );
  const energyCard = element("section", { className: "card" }, element("h2", {}, "Today"), today);
  const needsCard = element("section", { className: "card" }, element("h2", {}, "What needs you"), needs);
  const hour = element("section", { className: "hour" }, element("h2", {}, "The last hour"), strips);
  const grid = element(
    "div",
    { className: "now" },
    power,
    element("div", { className: "stack" }, energyCard, needsCard),
  );
  const node = element("div", {}, welcome, grid, hour);

  const plots = new Map();
  let flowAt = 0,
    daysAt = 0,
    daysDay = "",
    shown = false;

  async function askFlow() {
    if (Date.now() - flowAt < FLOW_MS) return;
    flowAt = Date.now();
    const answer = await ask("flow");
    const present = roles();
    flow.show(answer, present);
    setText(told, telling(answer, present));
    setText(asOf, `As of ${clock(answer.at_unix_ms)}`);
  }

  async function askDays() {
    const day = dayOf(site.live.status.now_unix_ms, currentZone());
    if (Date.now() - daysAt < DAYS_MS && day === daysDay) return;
    [daysAt, daysDay] = [Date.now(), day];
    const streams = site.live.streams;
    const days = await Promise.all(streams.map((stream) => ask(`streams/${stream.id}/days`, { from: day, to: day })));
    const now = site.live.status.now_unix_ms;
    showToday(
      today,
      streams.map((stream, index) => ({ stream, day: days[index][0] ?? null, now })),
    );
  }

  const roles = () =>
    new Set(["load", ...(site.live?.streams ?? []).map(({ role }) => (role === "charger" ? "vehicle" : role))]);

  function update() {
    const { streams, boards, status } = site.live;
    welcome.hidden = boards.length > 0;
    grid.hidden = boards.length === 0;
    showFindings(needs, findings(site.live));
    waiting.hidden = streams.length > 0;
    flow.node.hidden = told.hidden = asOf.hidden = hour.hidden = streams.length === 0;
    keep(
      strips,
      streams.filter((stream) => stream.leading),
      (stream) => stream.id,
      (stream) => {
        plots.set(stream.id, new Strip(stream));
        return plots.get(stream.id).node;
      },
      (_, stream) => plots.get(stream.id).renew(stream, status.now_unix_ms),
    );
    for (const { stream, rows } of site.live.rows) plots.get(stream)?.add(rows);
    Promise.all([askFlow(), askDays()]).catch(site.fail);
  }

  return {
    node,
    title: "Now",
    show() {
      shown = true;
      flowAt = daysAt = 0;
      flow.show(null, roles());
      if (site.live) update();
    },
    hide() {
      shown = false;
    },
    update() {
      if (shown) update();
    },
    resume() {
      for (const strip of plots.values()) strip.load(site.live.status.now_unix_ms);
    },
    stale(isStale) {
      setClass(power, `card flow-card${isStale ? " is-stale" : ""}`);
    },
  };
}

function showToday(host, entries) {
  const order = ["pv", "load", "grid", "battery", "charger", "vehicle"];
  const parts = [...entries]
    .sort((a, b) => order.indexOf(a.stream.role) - order.indexOf(b.stream.role))
    .flatMap(figuresOf);
  keep(
    host,
    parts,
    (part) => part.key,
    () => element("div", {}, element("dt"), element("dd"), element("dd")),
    (child, part) => {
      [part.title, part.value, part.detail].forEach((text, index) => setText(child.children[index], text));
      child.children[2].className = "soft";
    },
  );
  if (!parts.length)
    host.replaceChildren(element("div", {}, element("dt", {}, "Energy"), element("dd", {}, "unknown")));
}

function figuresOf({ stream, day, now }) {
  const [taken, given] = ENERGIES[stream.role] ?? ["Import", "Export"];
  const said = day
    ? `${percent(Math.min(day.covered_s, passed(day, now)), passed(day, now))} covered, ${stream.board}`
    : `nothing yet, ${stream.board}`;
  const both = [
    ["import_wh", taken],
    ["export_wh", given],
  ].filter(([name]) => day && day[name] !== null);
  const usual = both.filter(
    ([name]) => !(day[name] === 0 && { pv: "import_wh", load: "export_wh" }[stream.role] === name),
  );
  if (!usual.length) return [{ key: `${stream.id}`, title: roleName(stream.role), value: "unknown", detail: said }];
  return usual.map(([name, word]) => ({
    key: `${stream.id} ${name}`,
    title: `${roleName(stream.role)}: ${word.toLowerCase()}`,
    value: quantity(day[name], "Wh"),
    detail: said,
  }));
}

function showFindings(host, found) {
  const shown = found.length
    ? found
    : [{ tone: "good", title: "All is well", text: "Every board speaks, every report finds its way.", href: null }];
  keep(
    host,
    shown,
    (one) => one.title,
    () => element("li", {}, element("span", {}), element("div", {}, element("strong"), element("p"))),
    (child, one) => {
      setClass(child, `finding ${one.tone}`);
      if (!child.firstChild.firstChild) child.firstChild.append(icon(one.tone === "good" ? "quality" : "warning"));
      const title = child.querySelector("strong");
      if (one.href && !title.firstElementChild) title.replaceChildren(element("a", { href: one.href }));
      setText(title.firstElementChild ?? title, one.title);
      setText(child.querySelector("p"), one.text);
    },
  );
}
