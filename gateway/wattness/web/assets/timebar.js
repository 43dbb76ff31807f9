// The bar that chooses what the history shows: stream, point, span and day; and the address that keeps the choice.

import { button, element } from "./dom.js";
import { currentZone, streamName } from "./format.js";
import { icon } from "./icons.js";
import { addDays, addYears, dayOf, isDay, monday, newYear } from "./zone.js";

// step: of the plot; table: of its rows as text; first: the day on which the span around a day begins.
export const SPANS = {
  day: { step: "1m", table: "1h", first: (day) => day, next: (day, n) => addDays(day, n) },
  week: { step: "5m", table: "1d", first: monday, next: (day, n) => addDays(day, 7 * n) },
  year: { step: "1d", table: "1d", first: newYear, next: addYears },
};

const today = (live) => dayOf(live.status.now_unix_ms, currentZone());

// The choice that an address (STREAM/SPAN/DAY/POINT) makes, with what it leaves open filled in.
export function choiceOf([id, span, day, point], live) {
  const { streams } = live;
  const known = streams.find((one) => one.id === Number(id)) ?? streams.find((one) => one.role === "pv") ?? streams[0];
  const points = known?.points.map((one) => one.name) ?? [];
  return {
    stream: known?.id ?? null,
    span: SPANS[span] ? span : "day",
    day: isDay(day) ? day : today(live),
    point: points.includes(point) ? point : (known?.leading?.name ?? points[0] ?? null),
  };
}

export const addressOf = ({ stream, span, day, point }) => [stream, span, day, ...(point ? [point] : [])].join("/");

export class TimeBar {
  // onChange is called with what of the choice changes.
  constructor(onChange) {
    this.onChange = onChange;
    this.streams = this.select("history-stream", () => onChange({ stream: Number(this.streams.value), point: null }));
    this.points = this.select("history-point", () => onChange({ point: this.points.value }));
    this.day = element("input", { id: "history-day", type: "date", ariaLabel: "Day" });
    this.day.addEventListener("change", () => isDay(this.day.value) && onChange({ day: this.day.value }));
    this.back = this.arrow("back", "Earlier", -1);
    this.forth = this.arrow("forward", "Later", 1);
    this.spans = new Map(Object.keys(SPANS).map((span) => [span, this.spanButton(span)]));
    const label = (text, box) =>
      element("div", { className: "field" }, element("label", { htmlFor: box.id }, text), box);
    const spans = element("div", { className: "spans", role: "group", ariaLabel: "Time shown" }, [
      ...this.spans.values(),
    ]);
    const now = button("Today", () => onChange({ day: today(this.live) }));
    const stepper = { className: "stepper", role: "group", ariaLabel: "Step in time" };
    this.node = element(
      "div",
      { className: "toolbar" },
      label("Stream", this.streams),
      label("Point", this.points),
      element("div", { className: "field" }, element("span", { className: "label" }, "Span"), spans),
      element("div", stepper, this.back, this.day, this.forth, now),
    );
  }

  show(choice, live) {
    [this.choice, this.live] = [choice, live];
    const stream = live.streams.find((one) => one.id === choice.stream);
    const said = ({ name, unit }) => `${name.replaceAll("_", " ")} (${unit})`;
    const pairs = live.streams.map((one) => [String(one.id), streamName(one)]);
    options(this.streams, pairs, String(choice.stream));
    const points = (stream?.points ?? []).map((one) => [one.name, said(one)]);
    options(this.points, points, choice.point);
    for (const [span, one] of this.spans) one.setAttribute("aria-pressed", String(span === choice.span));
    if (document.activeElement !== this.day) this.day.value = choice.day;
    this.day.max = today(live);
    this.forth.disabled = this.stepped(1) > today(live);
    this.node.hidden = !stream;
  }

  stepped(n) {
    const { first, next } = SPANS[this.choice.span];
    return next(first(this.choice.day), n);
  }

  select(id, onChange) {
    const box = element("select", { id });
    box.addEventListener("change", onChange);
    return box;
  }

  arrow(name, label, n) {
    const node = button("", () => this.onChange({ day: this.stepped(n) }), { className: "square", ariaLabel: label });
    node.append(icon(name));
    return node;
  }

  spanButton(span) {
    return button(span[0].toUpperCase() + span.slice(1), () => this.onChange({ span }));
  }
}

function options(box, pairs, chosen) {
  const mark = JSON.stringify(pairs);
  if (box.dataset.mark !== mark) {
    box.dataset.mark = mark;
    box.replaceChildren(...pairs.map(([value, text]) => element("option", { value }, text)));
  }
  if (box.value !== chosen) box.value = chosen;
}
