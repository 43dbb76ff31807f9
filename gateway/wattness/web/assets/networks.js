// #networks: what waits, what was taken, what was paid; each network in its own unit, never summed over networks.

import { accountsSection } from "./accounts.js";
import { ask } from "./api.js";
import { button, element, empty, facts, keep, setClass, setText } from "./dom.js";
import { count, currentZone, duration, energy, minute, moment, percent, streamName, weekday, words } from "./format.js";
import { fill } from "./tables.js";
import { addDays, dayOf } from "./zone.js";

const RECENT = 12;
const RECENT_MAX = 1000;
const REWARD_DAYS = 30;
const REFRESH_MS = 15_000;

export function networksView(site) {
  const cards = element("div", { className: "cards" });
  const nothing = empty(
    "No reward network",
    "The gateway keeps and proves all the same. Add a [[network]] under Settings to have reports delivered.",
  );
  const rewards = element("div", { className: "table" });
  const reports = element("div", { className: "table" });
  const accounts = accountsSection();
  const older = button(
    "Show older",
    () => {
      recent = Math.min(recent * 4, RECENT_MAX);
      load().catch(site.fail);
    },
    { hidden: true },
  );
  const node = element(
    "div",
    {},
    nothing,
    cards,
    element(
      "section",
      {},
      element("h2", {}, "Rewards per day"),
      element("p", { className: "soft small" }, `The last ${REWARD_DAYS} days, in each network's own unit.`),
      rewards,
    ),
    element("section", {}, element("h2", {}, "Reports"), reports, older),
    ...accounts.nodes,
  );
  let shown = false,
    recent = RECENT,
    at = 0,
    settled = "",
    units = new Map();

  async function load() {
    at = Date.now();
    const to = dayOf(site.live.status.now_unix_ms, currentZone());
    const [intervals, daily] = await Promise.all([
      ask("intervals", { limit: recent }),
      ask("rewards/daily", { from: addDays(to, 1 - REWARD_DAYS), to }),
    ]);
    units = new Map(daily.map(({ network, unit }) => [network, unit]));
    older.hidden = recent >= RECENT_MAX || intervals.length < recent;
    showRewards(rewards, daily);
    showReports(reports, intervals, site.live.streams);
    await accounts.load(to);
  }

  function update() {
    const { networks, status, streams } = site.live;
    nothing.hidden = networks.length > 0;
    keep(
      cards,
      networks,
      (network) => network.name,
      makeCard,
      (child, network) => showCard(child, network, status.now_unix_ms, units.get(network.name)),
    );
    const mark = JSON.stringify([
      networks.map(({ jobs, paid }) => [jobs, paid]),
      streams.map((stream) => stream.open_unix_ms),
    ]);
    if (mark !== settled || Date.now() - at > REFRESH_MS) {
      settled = mark;
      load().catch(site.fail);
    }
  }

  return {
    node,
    title: "Networks",
    show() {
      shown = true;
      settled = "";
      if (site.live) update();
    },
    hide() {
      shown = false;
    },
    update() {
      if (shown) update();
    },
  };
}

const makeCard = () =>
  element(
    "article",
    { className: "card network" },
    element("div", { className: "head" }, element("h2"), element("span", { className: "badge" })),
    element("p", { className: "soft address" }),
    element("dl", { className: "facts" }),
    element("p", { className: "callout", hidden: true }),
  );

function showCard(node, network, now, unit = "units") {
  const [head, address, figures, reason] = node.children;
  const stuck = network.depth > 0 && network.last_reason;
  setText(head.firstChild, network.name);
  setText(head.lastChild, stuck ? "not delivering" : network.depth ? "delivering" : "up to date");
  setClass(head.lastChild, `badge dot ${stuck ? "warn" : "good"}`);
  setText(address, `${network.kind}, ${network.url}`);
  const rows = [
    [
      "Waiting in the outbox",
      network.depth ? `${count(network.depth)}, the oldest for ${duration(now - network.oldest_unix_ms)}` : "nothing",
      "",
    ],
    ["Accepted", count(network.jobs.completed ?? 0), ""],
    ["Given up", count(network.jobs.discarded ?? 0), network.jobs.discarded ? "bad" : ""],
    ["Paid", `${count(network.paid)} ${unit}${network.epoch === null ? "" : `, up to epoch ${network.epoch}`}`, ""],
    ["Last receipt", network.last_receipt ?? "none yet", "break"],
  ];
  facts(figures, rows);
  reason.hidden = !network.last_reason;
  setText(reason, network.last_reason ? `Last refusal or delay: ${network.last_reason}` : "");
}

function showRewards(host, daily) {
  const kinds = [...new Map(daily.map(({ network, unit }) => [`${network} ${unit}`, { network, unit }])).values()];
  const highest = new Map(
    kinds.map((kind) => [kind, Math.max(1, ...daily.filter((one) => of(one, kind)).map((one) => one.amount))]),
  );
  const days = [...new Set(daily.map((one) => one.day))].sort().reverse();
  const columns = [
    { title: "Day" },
    ...kinds.map(({ network, unit }) => ({ title: unit ? `${network} (${unit})` : network, number: true })),
  ];
  fill(
    host,
    "Rewards per day and network",
    columns,
    days.map((day) => [
      weekday(Date.parse(`${day}T12:00:00Z`)),
      ...kinds.map((kind) => {
        const found = daily.find((one) => one.day === day && of(one, kind));
        return found
          ? { text: count(found.amount), share: found.amount / highest.get(kind) }
          : { text: "none", tone: "soft" };
      }),
    ]),
    empty("Nothing paid yet", "Networks pay at the end of their epochs, for reports they have accepted."),
  );
}

const of = (one, { network, unit }) => one.network === network && one.unit === unit;

function showReports(host, intervals, streams) {
  const byId = new Map(streams.map((stream) => [stream.id, stream]));
  const columns = [
    { title: "Interval" },
    { title: "Stream", wrap: true },
    { title: "Energy", wrap: true, number: true },
    { title: "Covered", number: true },
    { title: "Verdict", wrap: true },
    { title: "Report", wrap: true },
    { title: "Receipt" },
  ];
  fill(
    host,
    "Final intervals, their reports and receipts",
    columns,
    intervals.map((interval) => [
      `${moment(interval.a)} – ${minute(interval.b)}`,
      byId.has(interval.stream_id) ? streamName(byId.get(interval.stream_id)) : interval.role,
      energy(interval.role, interval.figures),
      percent(interval.figures.covered_ms, interval.b - interval.a),
      {
        text: [interval.verdict, ...interval.reasons.map(words)].join(", "),
        tone: { accepted: "good", flagged: "warn" }[interval.verdict] ?? "bad",
      },
      { text: interval.jobs.map(report).join(", ") || "not offered" },
      receipt(interval.jobs.find((job) => job.receipt)?.receipt ?? null),
    ]),
    empty("No interval is final yet", "An interval closes when its evidence is complete; its reports appear here."),
  );
}

const STATES = {
  available: "waits",
  running: "is being sent",
  retryable: "will be sent again",
  completed: "accepted",
  discarded: "given up",
};
const report = (job) =>
  `${job.network}: ${STATES[job.state] ?? job.state}${job.reason && job.state !== "completed" ? ` (${job.reason})` : ""}`;
const receipt = (text) =>
  text === null
    ? { text: "none", tone: "soft" }
    : { text: text.length > 14 ? `${text.slice(0, 12)}…` : text, title: text };
