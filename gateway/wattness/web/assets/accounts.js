// Part of #networks: each day's reports by what became of them, what was paid, and what that is worth to the owner.

import { ask } from "./api.js";
import { element, empty, setText } from "./dom.js";
import { count, minus, NONE, percent, quantity, weekday } from "./format.js";
import { fill } from "./tables.js";
import { addDays } from "./zone.js";

const DAYS = 14;
const REFRESH_MS = 60_000; // counting days of reports takes the gateway a while

export function accountsSection() {
  const table = element("div", { className: "table" });
  const total = element("p", { className: "soft small" });
  const loads = element("div", { className: "table" });
  const operators = element(
    "section",
    { hidden: true },
    element("h2", {}, "Loads that work for compute networks"),
    element("p", { className: "soft small" }, "What they took, whose energy it was, its cost, and what was paid."),
    loads,
  );
  const reports = element(
    "section",
    {},
    element("h2", {}, "Reports and pay"),
    element("p", { className: "soft small" }, `The last ${DAYS} days: what was sent, taken and paid.`),
    table,
    total,
  );
  let at = 0;

  async function load(to) {
    if (Date.now() - at < REFRESH_MS) return;
    at = Date.now();
    const days = { from: addDays(to, 1 - DAYS), to };
    const [found, operated] = await Promise.all([ask("rewards/accounts", days), ask("operators", days)]);
    show(table, found);
    setText(total, worthOf(found));
    operators.hidden = !operated.length;
    if (operated.length) showOperators(loads, operated);
  }

  return { nodes: [reports, operators], load };
}

const COLUMNS = [
  { title: "Day" },
  { title: "Network" },
  { title: "Reports", number: true },
  { title: "Accepted", number: true },
  { title: "Refused", number: true },
  { title: "Missing", number: true },
  { title: "Paid for", number: true },
  { title: "Paid", number: true, wrap: true },
  { title: "Worth", number: true, wrap: true },
];

function show(host, found) {
  const rows = found.toReversed().map((day) => [
    weekday(Date.parse(`${day.day}T12:00:00Z`)),
    day.network,
    count(day.reports),
    count(day.accepted),
    { text: count(day.refused), tone: day.refused ? "bad" : "", title: reasons(day.reasons) },
    { text: count(day.missing), tone: day.missing ? "warn" : "", title: "Still waiting, or given up unheard" },
    day.paid === null ? { text: "not told", tone: "soft" } : count(day.paid),
    day.pay.map((one) => `${decimal(one.amount)} ${one.unit}`).join(", ") || { text: "nothing", tone: "soft" },
    day.pay.map((one) => worth(one.value, day.currency)).join(", ") || NONE,
  ]);
  fill(
    host,
    "Reports and pay per day and network",
    COLUMNS,
    rows,
    empty("No accounts yet", "Each day's reports are counted here, and beside them what networks paid for them."),
  );
}

const OPERATED = [
  { title: "Day" },
  { title: "Operator" },
  { title: "Energy", number: true },
  { title: "Own", number: true },
  { title: "Cost", number: true },
  { title: "Paid", number: true, wrap: true },
  { title: "Worth", number: true },
  { title: "Margin", number: true },
];

function showOperators(host, found) {
  const rows = found.toReversed().map((day) => [
    weekday(Date.parse(`${day.day}T12:00:00Z`)),
    day.operator,
    { text: quantity(day.energy_wh, "Wh"), title: loadsOf(day) },
    percent(day.own_share, 1),
    worth(day.cost, day.currency),
    day.pay.map((one) => `${decimal(one.amount)} ${one.unit}`).join(", ") || { text: "nothing", tone: "soft" },
    worth(day.value, day.currency),
    { text: worth(day.margin, day.currency), tone: day.margin?.startsWith("-") ? "bad" : "" },
  ]);
  fill(host, "Loads that work for compute networks, per day", OPERATED, rows, null);
}

const loadsOf = (day) =>
  day.loads
    .map((load) => {
      if (load.energy_wh === null) return `${load.device}: not metered`;
      const unknown = load.unknown_wh ? `, of ${quantity(load.unknown_wh, "Wh")} nobody knows whose` : "";
      return `${load.device}: ${quantity(load.energy_wh, "Wh")}${unknown}`;
    })
    .join("\n");

function worthOf(found) {
  const pay = found.flatMap((day) => day.pay);
  const currency = found.find((day) => day.currency)?.currency;
  if (!pay.length) return "";
  if (!currency) return "Set [money] currency under Settings to see what this is worth.";
  const sum = pay.reduce((all, one) => all + Number(one.value ?? 0), 0);
  const unknown = pay.filter((one) => one.value === null).length;
  const remedy = "say what a unit is worth with `wattness rewards price`";
  return `Worth ${money(sum)} ${currency}${unknown ? `; ${count(unknown)} amounts have no price: ${remedy}` : ""}.`;
}

export const worth = (value, currency) => (value === null ? NONE : `${minus(money(Number(value)))} ${currency}`);
export const money = (value) => (Math.abs(value) < 0.01 && value ? String(Number(value.toPrecision(2))) : value.toFixed(2));

// Amounts are decimal text, as tokens have more digits than a number holds: only thousands are set apart.
export function decimal(text) {
  const [whole, fraction] = text.split(".");
  const apart = whole.replaceAll(/\B(?=(\d{3})+$)/g, "\u202f").replace("-", "−");
  return fraction ? `${apart}.${fraction}` : apart;
}

const reasons = (found) =>
  Object.entries(found)
    .map(([reason, times]) => `${reason}: ${times}`)
    .join("\n");
