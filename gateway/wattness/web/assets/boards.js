// #boards: who may send frames, how each is doing, and who really signed what it sent.

import { send } from "./api.js";
import { devicesSection } from "./devices.js";
import { confirm, copyButton } from "./dialogs.js";
import { button, element, empty, facts, keep, setClass, setText } from "./dom.js";
import { enrol } from "./enrol.js";
import { age, bytes, count, date, minus, NONE, quantity, roleName, words } from "./format.js";
import { icon } from "./icons.js";

const THIN = "\u202f";
const SILENT_MS = 15 * 60_000;
const PROVENANCES = {
  board: ["Signed by the board", "Its own key signs every record where it is measured."],
  gateway: [
    "Read by the gateway",
    "The gateway itself read this device and signed it: weaker proof than a board's, and never sold as one.",
  ],
};

// Facts of a health record that have a place of their own: [title, names, how to say it].
const FACTS = [
  [
    "Signal",
    ["rssi_dbm"],
    (dbm) =>
      `${minus(String(dbm))}${THIN}dBm, ${dbm > -60 ? "strong" : dbm > -70 ? "good" : dbm > -80 ? "weak" : "very weak"}`,
  ],
  ["Bus use", ["bus_use_permille", "bus_permille"], (n) => `${(n / 10).toFixed(1)}${THIN}%`],
  ["Bus use", ["bus_use_percent", "bus_percent", "bus_use"], (n) => `${n}${THIN}%`],
  ["Bus headroom", ["bus_headroom_per_min"], (n) => `${count(n)} reads a minute`],
  ["Battery", ["battery_percent", "battery_soc"], (n) => `${n}${THIN}%`],
  ["Battery", ["battery_mv"], (n) => `${(n / 1000).toFixed(2)}${THIN}V`],
  ["Temperature", ["temperature_cel", "temperature_c"], (n) => quantity(n, "Cel")],
  ["Free memory", ["heap_free_bytes"], bytes],
  ["Free flash", ["flash_free_bytes"], bytes],
  ["Silent polls", ["silent_polls"], count],
  ["Clock jumps", ["clock_steps"], count],
];

export function boardsView(site) {
  const add = button("", () => enrol(site), { className: "primary" });
  add.append(icon("add", 18), "Enrol a board");
  const host = element("div", { className: "cards" });
  const devices = devicesSection(site);
  const nothing = empty(
    "No board is enrolled",
    "A board shows its public key when it starts for the first time. Enrol it with that key, and put the parts you get on it.",
  );
  const node = element(
    "div",
    {},
    element(
      "div",
      { className: "lead" },
      element(
        "p",
        { className: "soft" },
        "Every frame is numbered, chained and signed. The head of a log is how far the gateway has it without a hole.",
      ),
      add,
    ),
    nothing,
    host,
    devices.node,
  );
  const cards = new Map();
  let shown = false;

  function update() {
    const { boards, streams, status } = site.live;
    nothing.hidden = boards.length > 0;
    keep(
      host,
      boards,
      (board) => board.kid,
      (board) => {
        cards.set(board.kid, new Card(board, site));
        return cards.get(board.kid).node;
      },
      (_, board) =>
        cards.get(board.kid).show(
          board,
          streams.filter((stream) => stream.board_id === board.id),
          status.now_unix_ms,
        ),
    );
  }

  return {
    node,
    title: "Boards",
    show() {
      shown = true;
      if (site.live) update();
      devices.show();
    },
    hide() {
      shown = false;
      devices.hide();
    },
    update() {
      if (shown) update();
    },
  };
}

class Card {
  constructor(board, site) {
    this.name = element("h2", {});
    this.state = element("span", { className: "badge" });
    this.provenance = element("span", { className: "badge" });
    this.streams = element("p", { className: "soft" });
    this.reason = element("p", { className: "callout bad", hidden: true });
    this.figures = element("dl", { className: "facts" });
    this.all = element("dl", { className: "facts small" });
    this.more = element("details", {}, element("summary", {}, "All facts"), this.all);
    this.enrolled = element("p", { className: "soft small" });
    this.release = button("Release from quarantine", () => this.free(site), { hidden: true });
    const remove = button("Remove", () => this.remove(site), { className: "quiet" });
    remove.append(element("span", { className: "hidden" }, ` ${board.name || board.kid}`));
    this.node = element(
      "article",
      { className: "card board" },
      element("div", { className: "head" }, this.name, this.state),
      this.provenance,
      this.streams,
      this.reason,
      this.release,
      this.figures,
      this.more,
      element(
        "div",
        { className: "foot" },
        element("span", { className: "kid" }, element("code", {}, board.kid), copyButton(board.kid, "the key id")),
        this.enrolled,
        remove,
      ),
    );
  }

  show(board, streams, now) {
    this.board = board;
    setText(this.name, board.name || board.kid);
    const [text, tone] = stateOf(board, now);
    setText(this.state, text);
    setClass(this.state, `badge dot ${tone}`);
    const [title, meaning] = PROVENANCES[board.provenance ?? "board"] ?? [words(board.provenance), ""];
    setText(this.provenance, title);
    setClass(this.provenance, `badge provenance-${board.provenance ?? "board"}`);
    if (this.provenance.title !== meaning) this.provenance.title = meaning;
    setText(
      this.streams,
      streams.length
        ? streams.map((stream) => `${roleName(stream.role)} (${words(stream.profile)})`).join(", ")
        : "No stream yet",
    );
    this.reason.hidden = board.state !== "quarantined";
    setText(
      this.reason,
      `Quarantined: ${words(board.reason)}. Nothing of it is claimed. Look into the cause before you release it.`,
    );
    this.release.hidden = board.state !== "quarantined";
    facts(this.figures, logFacts(board, now).concat(healthFacts(board.health ?? {})));
    const rest = Object.entries(board.health ?? {});
    this.more.hidden = !(rest.length + streams.length);
    facts(
      this.all,
      rest
        .map(([name, value]) => [words(name), value === null ? "unknown" : minus(String(value))])
        .concat(streams.map((stream) => [`${roleName(stream.role)}: device`, stream.device])),
    );
    setText(this.enrolled, `enrolled ${date(board.enrolled_unix_ms)}`);
  }

  free(site) {
    const { name, kid } = this.board;
    confirm({
      title: `Release ${name || kid}?`,
      text: [
        "Its signatures contradicted each other, so somebody may have copied its key or restored an old copy of its flash.",
        "After the release its new intervals are claimed again, by your word.",
      ],
      yes: "Release the board",
      no: "Leave it in quarantine",
      act: async () => {
        await send("POST", `boards/${kid}/release`);
        site.say(`${name || kid} is released.`);
        site.refresh();
      },
    });
  }

  remove(site) {
    const { name, kid } = this.board;
    confirm({
      title: `Remove ${name || kid}?`,
      text: [
        "Its frames are refused from now on, and it can no longer reach the broker. What it has sent stays, with its reports and rewards.",
        "To have it back, enrol it again with its key.",
      ],
      yes: "Remove the board",
      act: async () => {
        await send("DELETE", `boards/${kid}`);
        site.say(`${name || kid} is removed.`);
        site.refresh();
      },
    });
  }
}

function stateOf(board, now) {
  if (board.state === "quarantined") return ["quarantined", "bad"];
  if (board.provenance === "gateway")
    return now - (board.last_unix_ms ?? 0) < SILENT_MS ? ["reading", "good"] : ["silent", "warn"];
  if (board.online === "online") return ["online", "good"];
  return [board.online === "offline" ? "offline" : "not seen", "warn"];
}

function logFacts({ log, last_unix_ms: last }, now) {
  const missing = log ? log.top - log.head : 0;
  return [
    ["Newest frame", last === null ? "never" : age(now - last), last === null || now - last > SILENT_MS ? "warn" : ""],
    ["Log head", log ? `${count(log.head)} of log ${log.log}` : NONE, ""],
    ["Missing", log ? (missing ? `${count(missing)} behind a hole` : "nothing") : NONE, missing ? "warn" : ""],
  ];
}

function healthFacts(health) {
  return FACTS.flatMap(([title, names, say]) => {
    const name = names.find((one) => health[one] !== null && health[one] !== undefined);
    return name ? [[title, say(health[name]), ""]] : [];
  });
}
