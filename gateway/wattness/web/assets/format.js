// Numbers, times and words as a person reads them. Nothing is not zero: it is a dash, or said in words.

export const NONE = "–";
const THIN = "\u202f";
const LANGUAGE = "en-GB";

// What a stream of a role is called, and what its power does when positive and when negative.
export const ROLES = {
  pv: ["Solar", "generating", "drawing"],
  battery: ["Battery", "charging", "discharging"],
  grid: ["Grid", "importing", "exporting"],
  load: ["Home", "using", "feeding back"],
  charger: ["Charger", "charging", "feeding back"],
  vehicle: ["Vehicle", "charging", "discharging"],
};

// What a role's energy counters count: [import, export].
export const ENERGIES = {
  pv: ["Drawn", "Generated"],
  battery: ["Charged", "Discharged"],
  grid: ["Imported", "Exported"],
  load: ["Used", "Fed back"],
  charger: ["Charged", "Fed back"],
  vehicle: ["Charged", "Discharged"],
};

const known = (value) => value !== null && value !== undefined;

export const roleName = (role) => ROLES[role]?.[0] ?? role;
// What the gateway read itself is weaker proof, and says so wherever it is named.
export const isOwn = (stream) => stream.provenance === "gateway";
export const streamName = (stream) =>
  `${roleName(stream.role)} · ${stream.board}${isOwn(stream) ? " (read by the gateway)" : ""}`;

export function count(value) {
  return known(value) ? value.toLocaleString("en").replaceAll(",", THIN) : NONE;
}

export function quantity(value, unit) {
  if (!known(value)) return NONE;
  const scaled = ["W", "Wh", "VA", "var"].includes(unit);
  const size = Math.abs(value);
  const [factor, prefix] = !scaled || size < 1000 ? [1, ""] : size < 1e6 ? [1e3, "k"] : [1e6, "M"];
  const shown = value / factor;
  const digits =
    factor > 1 ? (Math.abs(shown) < 100 ? 2 : 1) : Math.abs(shown) < 100 && !Number.isInteger(shown) ? 1 : 0;
  const symbol = { 1: "", Cel: "°C" }[unit] ?? unit;
  return `${minus(shown.toFixed(digits))}${symbol || prefix ? THIN : ""}${prefix}${symbol}`;
}

export const minus = (text) => text.replace("-", "−");

export function percent(part, whole) {
  if (!known(part) || !whole) return NONE;
  const share = (part / whole) * 100;
  return `${share > 99 && share < 100 ? "> 99" : share.toFixed(share > 0 && share < 10 ? 1 : 0)}${THIN}%`;
}

export function doing(role, value) {
  const words = ROLES[role];
  if (!words) return "";
  if (!known(value)) return "unknown";
  if (Math.abs(value) < 1) return "idle";
  return value > 0 ? words[1] : words[2];
}

// The site's zone is known once the gateway has said it; until then times are the browser's.
let zone;
let formats = make();

export function setZone(name) {
  if (name === zone) return;
  zone = name;
  formats = make();
}

export const currentZone = () => zone;

function make() {
  const form = (options) => new Intl.DateTimeFormat(LANGUAGE, { timeZone: zone, ...options });
  return {
    clock: form({ hour: "2-digit", minute: "2-digit", second: "2-digit" }),
    moment: form({ day: "numeric", month: "short", hour: "2-digit", minute: "2-digit" }),
    minute: form({ hour: "2-digit", minute: "2-digit" }),
    weekday: form({ weekday: "short", day: "numeric", month: "short" }),
    day: form({ weekday: "long", day: "numeric", month: "long", year: "numeric" }),
    date: form({ day: "numeric", month: "short", year: "numeric" }),
    month: form({ month: "long", year: "numeric" }),
    short: form({ month: "short" }),
  };
}

const say = (name) => (ms) => (known(ms) ? formats[name].format(ms) : NONE);
export const clock = say("clock");
export const moment = say("moment");
export const minute = say("minute");
export const weekday = say("weekday");
export const fullDay = say("day");
export const date = say("date");
export const month = say("month");
export const shortMonth = say("short");

export function duration(ms) {
  const s = Math.max(0, Math.round(ms / 1000));
  if (s < 120) return `${s} s`;
  if (s < 7200) return `${Math.round(s / 60)} min`;
  return s < 172800 ? `${Math.round(s / 3600)} h` : `${Math.round(s / 86400)} days`;
}

export const age = (ms) => (known(ms) ? `${duration(ms)} ago` : "never");

export function bytes(value) {
  if (!known(value)) return NONE;
  if (value < 1024) return `${value}${THIN}B`;
  return value < 1048576 ? `${(value / 1024).toFixed(0)}${THIN}KiB` : `${(value / 1048576).toFixed(1)}${THIN}MiB`;
}

// The energy of an interval's figures (mWh), with the words of its role.
export function energy(role, figures) {
  const { energy_import: taken, energy_export: given } = figures.energy ?? {};
  const [takes, gives] = ENERGIES[role] ?? ["Import", "Export"];
  const parts = [
    [takes, taken],
    [gives, given],
  ].filter(([, mwh]) => known(mwh));
  const telling = parts.filter(([, mwh]) => mwh !== 0);
  if (!parts.length) return NONE;
  if (!telling.length) return quantity(0, "Wh");
  return telling.map(([word, mwh]) => `${word.toLowerCase()} ${quantity(mwh / 1000, "Wh")}`).join(", ");
}

const TIMES = ["never", "once", "twice"];
export const times = (n) => TIMES[n] ?? `${count(n)} times`;
export const sentence = (text) => (text ? text[0].toUpperCase() + text.slice(1) : "");
export const words = (code) => code.replaceAll("_", " ");
