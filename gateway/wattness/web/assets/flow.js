// The power flow: who gives and who takes now, as a drawing and as a list with the same words.

import { element, setAttribute, setClass, setText, svg } from "./dom.js";
import { doing, quantity, ROLES } from "./format.js";
import { icon } from "./icons.js";

const HUB = [50, 53];
const REACH = 13.5; // from a node's centre to where its line begins
const CLEAR = 4; // from the hub

// Where a node stands (of 100 × TALL), and whether a positive value flows towards the middle.
const PLACES = {
  pv: { at: [50, 20], inward: true },
  grid: { at: [14, 53], inward: true },
  load: { at: [86, 53], inward: false },
  battery: { at: [50, 89], beside: [28, 89], inward: false },
  vehicle: { at: [50, 89], beside: [72, 89], inward: false },
};
export const FLOWING = Object.keys(PLACES);

const [TALL, SHORT] = [112, 78]; // with and without a lower row
const IDLE_W = 1;

const valueOf = (flow, role) => flow?.[`${role}_w`] ?? null;

export class Flow {
  constructor() {
    this.lines = svg("svg", { "aria-hidden": "true", class: "flow-lines" });
    this.nodes = element("ul", { className: "flow-nodes" });
    this.node = element("div", { className: "flow" }, this.lines, this.nodes);
    this.parts = new Map(FLOWING.map((role) => [role, new Part(role)]));
    for (const part of this.parts.values()) {
      this.lines.append(part.line);
      this.nodes.append(part.node);
    }
    this.lines.append(svg("circle", { cx: HUB[0], cy: HUB[1], r: 2.4, class: "flow-hub" }));
  }

  // flow: the API's answer or null while nothing is known; present: the roles that the home has.
  show(flow, present) {
    const isShown = (role) => present.has(role) || valueOf(flow, role) !== null;
    const height = isShown("battery") || isShown("vehicle") ? TALL : SHORT;
    setAttribute(this.lines, "viewBox", `0 0 100 ${height}`);
    this.node.style.setProperty("--tall", height);
    const both = isShown("battery") && isShown("vehicle");
    for (const [role, part] of this.parts) {
      const value = valueOf(flow, role);
      const shown = isShown(role);
      const place = PLACES[role];
      part.show(shown, value, (both && place.beside) || place.at, role === "load" && flow?.load_derived);
    }
  }
}

class Part {
  constructor(role) {
    this.role = role;
    this.path = svg("path", { class: "flow-path" });
    this.arrow = svg("path", { d: "M-1.4 -1.9L1.4 0L-1.4 1.9", class: "flow-arrow" });
    this.line = svg("g", {}, this.path, this.arrow);
    this.name = element("span", { className: "flow-name" }, ROLES[role][0]);
    this.value = element("strong", {});
    this.words = element("span", { className: "flow-words" });
    this.node = element(
      "li",
      { className: `flow-node role-${role}` },
      element("span", { className: "flow-label" }, this.name, " ", this.words),
      element("span", { className: "flow-disc" }, icon(role, 24), this.value),
    );
  }

  show(shown, value, at, derived) {
    this.node.hidden = !shown;
    setAttribute(this.line, "display", shown ? null : "none");
    const state = value === null ? "unknown" : Math.abs(value) < IDLE_W ? "idle" : "flowing";
    setClass(this.node, `flow-node role-${this.role} is-${state}`);
    setClass(this.line, `role-${this.role} is-${state}`);
    setText(this.value, value === null ? "unknown" : quantity(Math.abs(value), "W"));
    setText(this.words, value === null ? "no fresh value" : doing(this.role, value));
    this.node.title = derived ? "No meter sees the home: its use follows from the others." : "";
    this.place(at, value);
  }

  place(at, value) {
    this.node.style.setProperty("--x", at[0]);
    this.node.style.setProperty("--y", at[1]);
    const [dx, dy] = [HUB[0] - at[0], HUB[1] - at[1]];
    const length = Math.hypot(dx, dy);
    const [ux, uy] = [dx / length, dy / length];
    const [from, to] = [REACH, length - CLEAR].map((far) => [at[0] + ux * far, at[1] + uy * far]);
    const inward = PLACES[this.role].inward === (value ?? 1) > 0;
    const [start, end] = inward ? [from, to] : [to, from];
    setAttribute(this.path, "d", `M${point(start)}L${point(end)}`);
    const middle = [(start[0] + end[0]) / 2, (start[1] + end[1]) / 2];
    const angle = (Math.atan2(end[1] - start[1], end[0] - start[0]) * 180) / Math.PI;
    setAttribute(this.arrow, "transform", `translate(${point(middle)}) rotate(${angle.toFixed(1)})`);
  }
}

const point = ([x, y]) => `${x.toFixed(2)} ${y.toFixed(2)}`;

// The drawing in one sentence.
export function telling(flow, present) {
  const parts = FLOWING.filter((role) => present.has(role) || valueOf(flow, role) !== null).map((role) => {
    const value = valueOf(flow, role);
    const name = role === "load" ? "the home" : role === "pv" ? "solar" : `the ${ROLES[role][0].toLowerCase()}`;
    if (value === null) return `${name} is unknown`;
    const derived = role === "load" && flow.load_derived ? " (worked out from the others)" : "";
    return `${name} is ${doing(role, value)}${Math.abs(value) < IDLE_W ? "" : ` ${quantity(Math.abs(value), "W")}`}${derived}`;
  });
  const text = parts.join(", ").replaceAll("charging ", "charging at ");
  return text ? `${text[0].toUpperCase()}${text.slice(1)}.` : "";
}
