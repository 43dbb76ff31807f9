// Numbers, times and words as a person reads them.

const NONE = "–";

export const ROLES = {
  pv: ["Solar", "generating", "drawing"],
  battery: ["Battery", "charging", "discharging"],
  grid: ["Grid", "importing", "exporting"],
  load: ["Load", "using", "feeding back"],
  charger: ["Charger", "charging", "feeding back"],
  vehicle: ["Vehicle", "charging", "driving"],
};

export function count(value) {
  return value === null || value === undefined ? NONE : value.toLocaleString("en").replaceAll(",", "\u202f");
}

export function quantity(value, unit) {
  if (value === null || value === undefined) return NONE;
  const scaled = ["W", "Wh", "VA", "var"].includes(unit);
  const kilo = scaled && Math.abs(value) >= 1000;
  const shown = kilo ? value / 1000 : value;
  const digits = kilo ? 2 : Math.abs(shown) < 100 && !Number.isInteger(shown) ? 1 : 0;
  return `${shown.toFixed(digits).replace("-", "−")}\u202f${kilo ? "k" : ""}${unit === "1" ? "" : unit}`;
}

export function doing(role, value) {
  const words = ROLES[role];
  if (!words || value === null || value === undefined) return "";
  if (Math.abs(value) < 1) return "idle";
  return value > 0 ? words[1] : words[2];
}

const CLOCK = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", second: "2-digit" });
const MOMENT = new Intl.DateTimeFormat(undefined, { day: "numeric", month: "short", hour: "2-digit", minute: "2-digit" });
const MINUTE = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit" });
const DAY = new Intl.DateTimeFormat(undefined, { weekday: "short", day: "numeric", month: "long", year: "numeric" });

export const clock = (ms) => `${DAY.format(ms)}, ${CLOCK.format(ms)}`;
export const moment = (ms) => (ms === null || ms === undefined ? NONE : MOMENT.format(ms));
export const minute = (ms) => MINUTE.format(ms);

export function age(ms) {
  if (ms === null || ms === undefined) return "never";
  const s = Math.max(0, Math.round(ms / 1000));
  if (s < 120) return `${s} s ago`;
  if (s < 7200) return `${Math.round(s / 60)} min ago`;
  return s < 172800 ? `${Math.round(s / 3600)} h ago` : `${Math.round(s / 86400)} d ago`;
}

export function energy(role, figures) {
  const { energy_import: taken = null, energy_export: given = null } = figures.energy ?? {};
  const wh = (mwh) => quantity(mwh / 1000, "Wh");
  if (role === "pv") return given === null ? NONE : wh(given);
  if (role === "load") return taken === null ? NONE : wh(taken);
  if (taken === null && given === null) return NONE;
  return [taken ? `+${wh(taken)}` : "", given ? `−${wh(given)}` : ""].filter(Boolean).join(" ") || wh(0);
}
