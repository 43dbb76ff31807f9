// #settings: the configuration as it is written, tried before it is kept; and the gateway's own facts.

import { ask, send } from "./api.js";
import { copyButton } from "./dialogs.js";
import { button, element, empty, keep, setText } from "./dom.js";
import { age, duration, moment } from "./format.js";
import { fill } from "./tables.js";

const COLUMNS = [{ title: "Setting" }, { title: "Now", wrap: true }, { title: "Then", wrap: true }];

export function settingsView(site) {
  const text = element("textarea", {
    id: "settings-toml",
    className: "mono",
    rows: 18,
    spellcheck: false,
    autocomplete: "off",
  });
  text.setAttribute("aria-describedby", "settings-hint settings-problem");
  text.setAttribute("autocapitalize", "off");
  const problem = element("p", { className: "problem", id: "settings-problem", role: "alert", hidden: true });
  const done = element("p", { className: "callout good", role: "status", hidden: true });
  const changes = element("div", { className: "table" });
  const changed = element(
    "section",
    { className: "changes", hidden: true, tabIndex: -1 },
    element("h3", {}, "What would change"),
    changes,
  );
  const check = button("Check the changes", () => attempt(true), { className: "primary" });
  const write = button("Write them", () => attempt(false), { disabled: true });
  const undo = button("Put back what is written", () => putIn(written), { className: "quiet" });
  const facts = element("dl", { className: "facts" });
  const gateway = element("code");
  const copyHost = element("span");
  const form = element(
    "section",
    { className: "card" },
    element("h2", {}, "gateway.toml"),
    element(
      "p",
      { className: "hint", id: "settings-hint" },
      "Nothing is written before you have seen what changes. The file names where secrets are kept; it holds none.",
    ),
    element("label", { htmlFor: text.id, className: "label" }, "Settings as TOML"),
    text,
    problem,
    done,
    element("div", { className: "actions start" }, check, write, undo),
    changed,
  );
  const node = element(
    "div",
    { className: "settings" },
    form,
    element(
      "section",
      { className: "card" },
      element("h2", {}, "This gateway"),
      facts,
      element("p", { className: "soft small" }, "Key: ", gateway, copyHost),
      element("p", { className: "small" }, element("a", { href: "/api/openapi.json" }, "The API's description")),
    ),
  );
  let written = "",
    checked = null,
    shown = false,
    loaded = false;
  text.addEventListener("input", () => settle(null));

  async function load() {
    loaded = true;
    const answer = await ask("settings");
    written = answer.toml;
    putIn(written);
    if (answer.restart_needed)
      tell(
        "The file differs from what the gateway runs with: restart the gateway to use it (`systemctl restart wattness`).",
      );
  }

  function putIn(toml) {
    text.value = toml;
    text.rows = Math.max(14, Math.min(32, toml.split("\n").length + 1));
    settle(null);
    say("");
    tell("");
  }

  // What was checked may be written; any other text has to be checked first.
  function settle(toml) {
    checked = toml;
    write.disabled = toml === null;
    if (toml === null) changed.hidden = true;
  }

  async function attempt(dry) {
    const toml = text.value;
    say("");
    tell("");
    if (dry) settle(null);
    else if (toml !== checked) return;
    check.disabled = true;
    try {
      show(await send("POST", `settings?dry_run=${dry}`, { toml }), toml, dry);
    } catch (error) {
      say(error.message);
    } finally {
      check.disabled = false;
    }
  }

  function show(verdict, toml, dry) {
    if (!verdict.ok) {
      say(`${verdict.error.replace(/^\$\.|\.$/g, "")}. Nothing was written.`);
      return;
    }
    fill(
      changes,
      "What would change",
      COLUMNS,
      verdict.changes.map((change) => [change.path.replace(/^\$\./, ""), value(change.old), value(change.new)]),
      empty(
        "No setting changes",
        toml === written ? "The text is what is written already." : "Only spacing or comments differ.",
      ),
    );
    changed.hidden = false;
    if (dry) {
      settle(toml === written ? null : toml);
      changed.hidden = false;
      changed.focus();
    } else {
      written = toml;
      settle(null);
      tell(
        `Written; the old file is kept as gateway.toml.bak.${verdict.restart_needed ? " Restart the gateway to use it (`systemctl restart wattness`)." : ""}`,
      );
      site.say("The settings are written.");
    }
  }

  function say(sentence) {
    setText(problem, sentence);
    problem.hidden = !sentence;
    text.setAttribute("aria-invalid", String(Boolean(sentence)));
  }

  function tell(sentence) {
    setText(done, sentence);
    done.hidden = !sentence;
  }

  function update() {
    const { status } = site.live;
    const { broker } = status;
    const rows = [
      ["Version", status.version],
      ["Started", `${moment(status.started_unix_ms)}, ${age(status.now_unix_ms - status.started_unix_ms)}`],
      [
        "Boards' broker",
        `${broker.address}, ${broker.own ? "its own" : "external"}, ${broker.connected ? "connected" : broker.error || "not connected"}`,
      ],
      ["Clock", status.rate > 1 ? `simulated, ${status.rate} times as fast` : "civil time"],
      [
        "Its clock and this device's",
        Math.abs(Date.now() - status.now_unix_ms) < 5000 || status.rate > 1
          ? "agree"
          : `differ by ${duration(Math.abs(Date.now() - status.now_unix_ms))}`,
      ],
      [
        "Time zone of days and hours",
        `${status.timezone}${/^\s*\[site\]/m.test(written) || !written ? "" : ": set timezone under [site] for your own"}`,
      ],
    ];
    keep(
      facts,
      rows,
      ([title]) => title,
      () => element("div", {}, element("dt"), element("dd")),
      (child, [title, said]) => {
        setText(child.firstChild, title);
        setText(child.lastChild, said);
      },
    );
    if (gateway.textContent !== status.gateway) {
      setText(gateway, status.gateway);
      copyHost.replaceChildren(copyButton(status.gateway, "the gateway's key"));
    }
  }

  return {
    node,
    title: "Settings",
    show() {
      shown = true;
      if (site.live) update();
      if (!loaded || text.value === written) load().catch((error) => say(error.message));
    },
    hide() {
      shown = false;
    },
    update() {
      if (shown) update();
    },
  };
}

const value = (given) =>
  given === null || given === undefined
    ? { text: "not set", tone: "soft" }
    : { text: typeof given === "object" ? JSON.stringify(given) : String(given) };
