// The energy of days as a table with bars: it is the drawing and its own alternative. A year is told by months.

import { empty } from "./dom.js";
import { count, currentZone, ENERGIES, month, percent, quantity, weekday } from "./format.js";
import { fill } from "./tables.js";
import { startOf } from "./zone.js";

const SIDES = ["import_wh", "export_wh"];
const USUAL = { pv: ["export_wh", "import_wh"], load: ["import_wh", "export_wh"] }; // the side that matters comes first

// How much of a day has passed, in seconds: what is still to come is not missing.
export const passed = (day, now) =>
  Math.max(0, Math.min(day.day_s, Math.round((now - startOf(day.day, currentZone())) / 1000)));

export function daysTable(host, stream, asked, span, now) {
  const days = asked
    .map((day) => ({ ...day, of_s: passed(day, now), isOpen: passed(day, now) < day.day_s }))
    .filter((day) => day.of_s > 0);
  const rows =
    span === "year" ? months(days) : days.map((day) => ({ ...day, name: weekday(Date.parse(`${day.day}T12:00:00Z`)) }));
  const words = Object.fromEntries(
    SIDES.map((side, index) => [side, (ENERGIES[stream.role] ?? ["Import", "Export"])[index]]),
  );
  const sides = (USUAL[stream.role] ?? SIDES).filter(
    (side, index) => index === 0 || rows.some((row) => row[side]) || !USUAL[stream.role],
  );
  const highest = Math.max(1, ...rows.flatMap((row) => sides.map((side) => row[side] ?? 0)));
  const columns = [
    { title: span === "year" ? "Month" : "Day" },
    ...sides.map((side) => ({ title: words[side], number: true })),
    { title: "Covered", number: true },
    { title: "Intervals", wrap: true },
  ];
  fill(
    host,
    "Energy and coverage",
    columns,
    rows.map((row) => [
      row.name,
      ...sides.map((side) =>
        row[side] === null
          ? { text: "unknown", tone: "soft" }
          : { text: quantity(row[side], "Wh"), share: row[side] / highest, color: `var(--${stream.role})` },
      ),
      {
        text: row.covered_s
          ? `${percent(Math.min(row.covered_s, row.of_s), row.of_s)}${row.isOpen ? " so far" : ""}`
          : "none",
        share: row.covered_s / row.of_s,
        color: "var(--soft)",
      },
      verdicts(row.verdicts),
    ]),
    empty("Nothing of this time", "No interval of this stream is final for these days. That is unknown, not zero."),
  );
}

function verdicts({ accepted = 0, flagged = 0, quarantined = 0 }) {
  const parts = [
    [accepted, "accepted"],
    [flagged, "flagged"],
    [quarantined, "quarantined"],
  ].filter(([n]) => n);
  if (!parts.length) return { text: "none final yet", tone: "soft" };
  return {
    text: parts.map(([n, word]) => `${count(n)} ${word}`).join(", "),
    tone: quarantined ? "bad" : flagged ? "warn" : "",
  };
}

// Sums of what is known; a month of which nothing is known stays unknown.
function months(days) {
  const found = new Map();
  for (const day of days) {
    const key = day.day.slice(0, 7);
    const sum = found.get(key) ?? {
      name: month(Date.parse(`${key}-15T12:00:00Z`)),
      import_wh: null,
      export_wh: null,
      covered_s: 0,
      of_s: 0,
      isOpen: false,
      verdicts: {},
    };
    for (const side of SIDES) if (day[side] !== null) sum[side] = (sum[side] ?? 0) + day[side];
    sum.covered_s += day.covered_s;
    sum.of_s += day.of_s;
    sum.isOpen ||= day.isOpen;
    for (const [name, n] of Object.entries(day.verdicts)) sum.verdicts[name] = (sum.verdicts[name] ?? 0) + n;
    found.set(key, sum);
  }
  return [...found.values()];
}
