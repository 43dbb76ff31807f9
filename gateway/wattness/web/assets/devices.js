// What the gateway reads itself: how each device answers, and who shares it through a proxy.

import { ask } from "./api.js";
import { element, facts, keep, setClass, setText } from "./dom.js";
import { count, roleName, words } from "./format.js";

const REFRESH_MS = 5000;
const STATES = {
  new: ["not asked yet", ""],
  metering: ["metering", "good"],
  silent: ["silent", "warn"],
  wrong_map: ["not what its settings say", "bad"],
  unfit: ["wrong settings", "bad"],
};

// Returns {node, show, hide}; the section is hidden while the gateway reads nothing itself.
export function devicesSection(site) {
  const host = element("div", { className: "cards" });
  const node = element(
    "section",
    { hidden: true },
    element("h2", {}, "Devices that the gateway reads"),
    element("p", { className: "soft small" }, "Signed with the gateway's own key, and never sold as a board's word."),
    host,
  );
  let timer = 0;

  async function load() {
    const devices = await ask("devices");
    node.hidden = !devices.length;
    keep(host, devices, (device) => device.name, makeCard, showCard);
  }

  return {
    node,
    show() {
      clearInterval(timer);
      timer = setInterval(() => load().catch(() => {}), REFRESH_MS); // the live line says that nobody answers
      load().catch(site.fail);
    },
    hide() {
      clearInterval(timer);
    },
  };
}

const makeCard = () =>
  element(
    "article",
    { className: "card device" },
    element("div", { className: "head" }, element("h3"), element("span", { className: "badge" })),
    element("p", { className: "soft break" }),
    element("p", { className: "callout", hidden: true }),
    element("dl", { className: "facts" }),
  );

function showCard(node, device) {
  const [head, place, detail, shared] = node.children;
  const [state, tone] = STATES[device.state] ?? [words(device.state), "warn"];
  setText(head.firstChild, device.name);
  setText(head.lastChild, state);
  setClass(head.lastChild, `badge dot ${tone}`);
  setText(place, `${roleName(device.role)} (${words(device.profile)}), unit ${device.unit} at ${device.url}`);
  detail.hidden = !device.detail;
  setText(detail, device.detail);
  facts(
    shared,
    device.proxies.flatMap((proxy) => [
      [`Shared at ${proxy.listen}`, clients(proxy.clients), ""],
      [`Answered at ${proxy.listen}`, tally(proxy.answered), ""],
      [`Declined at ${proxy.listen}`, tally(proxy.declined), Object.keys(proxy.declined).length ? "warn" : ""],
    ]),
  );
}

const clients = (n) => (n === 1 ? "1 client" : `${n ? count(n) : "no"} clients`);

const tally = (counts) =>
  Object.entries(counts)
    .map(([why, n]) => `${count(n)} ${words(why)}`)
    .join(", ") || "nothing";
