// Days as the site lives them: local midnights, weeks that begin on Monday, whatever the browser's own zone is.

const DAY_MS = 86_400_000;
const pad = (number) => String(number).padStart(2, "0");

// How far the wall clock of `zone` is ahead of UTC at `ms`.
export function offset(ms, zone) {
  const parts = Object.fromEntries(
    new Intl.DateTimeFormat("en-US", {
      timeZone: zone,
      hourCycle: "h23",
      year: "numeric",
      month: "numeric",
      day: "numeric",
      hour: "numeric",
      minute: "numeric",
      second: "numeric",
    })
      .formatToParts(ms)
      .map(({ type, value }) => [type, Number(value)]),
  );
  const wall = Date.UTC(parts.year, parts.month - 1, parts.day, parts.hour, parts.minute, parts.second);
  return wall - Math.floor(ms / 1000) * 1000;
}

export const dayOf = (ms, zone) => utcDay(ms + offset(ms, zone));

// The instant at which a day (YYYY-MM-DD) begins there.
export function startOf(day, zone) {
  const wall = Date.parse(`${day}T00:00:00Z`);
  const guess = wall - offset(wall, zone);
  return wall - offset(guess, zone);
}

export const isDay = (text) => /^\d{4}-\d\d-\d\d$/.test(text ?? "") && !Number.isNaN(Date.parse(`${text}T00:00:00Z`));

export const addDays = (day, days) => utcDay(Date.parse(`${day}T00:00:00Z`) + days * DAY_MS);

export function addYears(day, years) {
  return `${String(Number(day.slice(0, 4)) + years).padStart(4, "0")}-01-01`;
}

export function monday(day) {
  const weekday = (new Date(`${day}T00:00:00Z`).getUTCDay() + 6) % 7;
  return addDays(day, -weekday);
}

export const newYear = (day) => `${day.slice(0, 4)}-01-01`;

function utcDay(ms) {
  const at = new Date(ms);
  return `${at.getUTCFullYear()}-${pad(at.getUTCMonth() + 1)}-${pad(at.getUTCDate())}`;
}
