// The page: asks the API once, then follows its live events.

import { age, clock, count, doing, energy, minute, moment, quantity, ROLES } from "./format.js";
import { Plot } from "./plots.js";
import { element, fill, setText } from "./tables.js";

const SPANS = [["1 h", 1], ["6 h", 6], ["24 h", 24]];
const HOUR_MS = 3_600_000;
const RECENT = 12; // reports and rewards at first sight
const RECENT_MAX = 1000;
const plots = new Map();
const byId = (id) => document.getElementById(id);
let spanMs = 6 * HOUR_MS;
let recent = RECENT;
let live = null;
let settled = ""; // what the list of reports was made from

async function ask(path) {
  const response = await fetch(`/api/v1/${path}`);
  const answer = await response.json();
  if (!response.ok) throw new Error(answer.error);
  return answer;
}

function notice(text) {
  setText(byId("notice"), text);
  byId("notice").hidden = !text;
}

function showHead({ status }) {
  setText(byId("now"), clock(status.now_unix_ms));
  setText(byId("rate"), status.rate > 1 ? `(a simulated clock, ${status.rate} times as fast)` : "");
  setText(byId("gateway"), status.gateway.slice(0, 16));
  setText(byId("version"), status.version);
  notice(status.broker.connected ? "" : `The boards' broker at ${status.broker.address} is not connected: ${status.broker.error || "connecting"}.`);
}

function showGlance({ status, boards, streams, networks }) {
  const tiles = [];
  for (const [role, [title]] of Object.entries(ROLES)) {
    const own = streams.filter((stream) => stream.role === role && fresh(stream, status));
    const values = own.map((stream) => plots.get(stream.id)?.latest()).filter((value) => typeof value === "number");
    if (!values.length || role === "vehicle") continue;
    const sum = values.reduce((a, b) => a + b, 0);
    tiles.push([title, quantity(sum, "W"), doing(role, sum) + (own.length > 1 ? `, ${own.length} streams` : "")]);
  }
  const online = boards.filter((board) => board.online === "online").length;
  const quarantined = boards.filter((board) => board.state === "quarantined").length;
  tiles.push(["Boards online", `${online} of ${boards.length}`, quarantined ? `${quarantined} quarantined` : "all in order"]);
  const waiting = networks.reduce((sum, network) => sum + network.depth, 0);
  tiles.push(["Reports waiting", count(waiting), networks.length ? networks.map((network) => network.name).join(", ") : "no network configured"]);
  tiles.push(["Paid", count(networks.reduce((sum, network) => sum + network.paid, 0)), "units, by all networks"]);
  const host = byId("glance");
  while (host.children.length > tiles.length) host.lastChild.remove();
  tiles.forEach((texts, index) => {
    const tile = host.children[index] ?? host.appendChild(element("div", {}, element("dt"), element("dd"), element("dd")));
    texts.forEach((text, part) => setText(tile.children[part], text));
  });
}

const fresh = (stream, status) => status.now_unix_ms - (stream.last_unix_ms ?? 0) < 15 * 60_000;

function showBoards({ boards, status }) {
  const columns = [{ title: "Board" }, { title: "State", wrap: true }, { title: "Log", number: true }, { title: "Head", number: true },
    { title: "Missing", number: true }, { title: "Newest frame" }];
  fill("boards", "Boards: their log's head and age", columns, boards.map((board) => [
    { text: board.name || board.kid, title: `kid ${board.kid}` },
    board.state === "active" ? { text: board.online ?? "not seen", tone: board.online === "online" ? "dot on" : "dot off" }
      : { text: `${board.state}: ${board.reason.replaceAll("_", " ")}`, tone: "dot bad" },
    count(board.log?.log), count(board.log?.head),
    { text: count(board.log ? board.log.top - board.log.head : null), tone: board.log && board.log.top > board.log.head ? "off" : "" },
    age(board.last_unix_ms === null ? null : status.now_unix_ms - board.last_unix_ms),
  ]), "No board is enrolled: run `wattness board enrol PUBKEY`.");
}

function showNetworks({ networks, status }) {
  const columns = [{ title: "Network" }, { title: "Waiting", number: true }, { title: "Accepted", number: true },
    { title: "Discarded", number: true }, { title: "Paid", number: true }, { title: "Last receipt" }];
  fill("networks", "Reward networks: outbox and receipts", columns, networks.map((network) => [
    { text: network.name, title: `${network.kind} ${network.url}` },
    { text: waits(network, status), tone: network.last_reason && network.depth ? "off" : "", title: network.last_reason ?? "" },
    count(network.jobs.completed ?? 0), { text: count(network.jobs.discarded ?? 0), tone: network.jobs.discarded ? "bad" : "" },
    count(network.paid), { text: short(network.last_receipt), title: network.last_receipt ?? "" },
  ]), "No network is configured: add a [[network]] to gateway.toml.");
}

const waits = ({ depth, oldest_unix_ms: oldest }, { now_unix_ms: now }) => (depth ? `${count(depth)}, since ${age(now - oldest).replace(" ago", "")}` : "0");

const short = (text) => (text === null || text === undefined ? "–" : text.length > 11 ? `${text.slice(0, 9)}…` : text);

function showReports(intervals, streams) {
  const names = new Map(streams.map((stream) => [stream.id, stream.board]));
  const columns = [{ title: "Interval" }, { title: "Stream" }, { title: "Energy", number: true }, { title: "Covered", number: true },
    { title: "Verdict", wrap: true }, { title: "Report" }, { title: "Receipt" }];
  fill("reports", "Final intervals, their reports and receipts", columns, intervals.map((interval) => [
    `${moment(interval.a)} – ${minute(interval.b)}`,
    `${ROLES[interval.role]?.[0] ?? interval.role} · ${names.get(interval.stream_id) ?? ""}`,
    energy(interval.role, interval.figures), `${Math.round((interval.figures.covered_ms / (interval.b - interval.a)) * 100)}\u202f%`,
    { text: interval.verdict + (interval.reasons.length ? `: ${interval.reasons.join(", ").replaceAll("_", " ")}` : ""), tone: { accepted: "on", flagged: "off" }[interval.verdict] ?? "bad" },
    { text: interval.jobs.map((job) => `${job.network}: ${job.state}`).join(", ") || "not offered", title: interval.jobs.map((job) => job.reason).filter(Boolean).join(", ") },
    { text: short(interval.jobs.find((job) => job.receipt)?.receipt), title: interval.jobs.map((job) => job.receipt ?? "").join(" ") },
  ]), "No interval is final yet.");
}

function showRewards(rewards, streams) {
  const names = new Map(streams.map((stream) => [`${stream.board_key} ${stream.device}`, `${ROLES[stream.role]?.[0] ?? stream.role} · ${stream.board}`]));
  const columns = [{ title: "Epoch" }, { title: "Stream" }, { title: "Network" }, { title: "Amount", number: true }];
  fill("rewards", "What the networks paid", columns, rewards.map((reward) => [
    String(reward.epoch), names.get(`${reward.board_key} ${reward.device}`) ?? reward.device, reward.network,
    { text: count(reward.amount), title: JSON.stringify(reward.detail) },
  ]), "Nothing was paid yet.");
}

function showCounters({ counters }) {
  const rows = Object.entries(counters).flatMap(([name, reasons]) => Object.entries(reasons)
    .filter(([reason]) => reason !== "accepted").map(([reason, n]) => [name, reason.replaceAll("_", " "), count(n)]));
  fill("counters", "What was refused, dropped or left out, and why", [{ title: "What" }, { title: "Why" }, { title: "Times", number: true }], rows, "Nothing: every frame was good.");
}

function showPlots({ streams, status }) {
  if (streams.length) byId("plots").querySelector(".empty")?.remove();
  for (const stream of streams) {
    if (!stream.leading) continue;
    if (!plots.has(stream.id)) {
      plots.set(stream.id, new Plot(stream));
      byId("plots").append(plots.get(stream.id).node);
      load(stream).catch((error) => notice(error.message));
    }
    plots.get(stream.id).describe(stream);
    plots.get(stream.id).show(status.now_unix_ms, spanMs);
  }
}

async function load(stream) {
  const since = Math.max(0, live.status.now_unix_ms - 24 * HOUR_MS);
  const { rows } = await ask(`streams/${stream.id}/rows?since=${since}&limit=20000`);
  const plot = plots.get(stream.id);
  plot.times = [];
  plot.values = [];
  plot.add(rows);
  plot.show(live.status.now_unix_ms, spanMs);
  showGlance(live);
}

async function settle() {
  const mark = JSON.stringify([recent, live.networks.map(({ jobs, paid }) => [jobs, paid]), live.streams.map((stream) => stream.open_unix_ms)]);
  if (mark === settled) return;
  settled = mark;
  const [intervals, rewards] = await Promise.all([ask(`intervals?limit=${recent}`), ask(`rewards?limit=${recent}`)]);
  byId("older").hidden = recent >= RECENT_MAX || (intervals.length < recent && rewards.length < recent);
  showReports(intervals, live.streams);
  showRewards(rewards, live.streams);
}

function update(next) {
  live = next;
  showHead(live);
  for (const { stream, rows } of live.rows) plots.get(stream)?.add(rows);
  for (const show of [showPlots, showGlance, showBoards, showNetworks, showCounters]) show(live);
  settle().catch((error) => notice(error.message));
}

function follow() {
  const events = new EventSource("/api/v1/events");
  const say = (text, on) => {
    setText(byId("link"), text);
    byId("link").className = on ? "dot on" : "dot off";
  };
  events.addEventListener("open", () => {
    say("live", true);
    if (live) for (const stream of live.streams) if (plots.has(stream.id)) load(stream).catch((error) => notice(error.message));
  });
  events.addEventListener("live", (event) => update(JSON.parse(event.data)));
  events.addEventListener("error", () => say("the gateway does not answer", false));
}

for (const [title, hours] of SPANS) {
  const button = element("button", { type: "button" }, title);
  button.setAttribute("aria-pressed", String(hours * HOUR_MS === spanMs));
  button.addEventListener("click", () => {
    spanMs = hours * HOUR_MS;
    for (const other of byId("spans").children) other.setAttribute("aria-pressed", String(other === button));
    if (live) showPlots(live);
  });
  byId("spans").append(button);
}
byId("older").addEventListener("click", () => {
  recent = Math.min(recent * 4, RECENT_MAX);
  settle().catch((error) => notice(error.message));
});
follow();
