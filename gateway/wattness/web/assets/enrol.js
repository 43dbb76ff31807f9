// Enrolment of a board by its key; what has to be put on the board is shown once.

import { send } from "./api.js";
import { copyButton, dialog, download } from "./dialogs.js";
import { button, element } from "./dom.js";
import { icon } from "./icons.js";

const KEY = /^04[0-9a-f]{128}$/i;

export function enrol(site) {
  const key = element("textarea", {
    id: "enrol-key",
    rows: 4,
    required: true,
    spellcheck: false,
    autocomplete: "off",
    className: "mono",
  });
  const name = element("input", { id: "enrol-name", required: true, maxLength: 100, autocomplete: "off" });
  const host = element("input", {
    id: "enrol-host",
    maxLength: 253,
    autocomplete: "off",
    spellcheck: false,
    placeholder: location.hostname,
  });
  const problem = element("p", { className: "problem", id: "enrol-problem", role: "alert", hidden: true });
  const go = element("button", { type: "submit", className: "primary" }, "Enrol");
  const form = element(
    "form",
    { className: "form", noValidate: true },
    field(
      key,
      "The board's public key",
      "130 hexadecimal digits that begin with 04. The board prints them when it starts for the first time.",
    ),
    field(name, "Name", "What you call it, for example: roof."),
    field(
      host,
      "Broker's address, as the board sees it",
      "Leave it empty unless boards reach this gateway by another name.",
    ),
    problem,
    element("div", { className: "actions" }, go),
  );
  const shown = dialog("Enrol a board", form);
  key.setAttribute("aria-describedby", `${key.getAttribute("aria-describedby")} ${problem.id}`);
  key.focus();
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const wanted = { public_key: key.value.replace(/\s+/g, ""), name: name.value.trim(), host: host.value.trim() };
    const wrong = check(wanted);
    say(wrong?.[1] ?? "");
    key.setAttribute("aria-invalid", String(wrong?.[0] === key));
    name.setAttribute("aria-invalid", String(wrong?.[0] === name));
    if (wrong) return wrong[0].focus();
    go.disabled = true;
    try {
      const parts = await send("POST", "boards", wanted);
      shown.close();
      result(parts);
      site.refresh();
    } catch (error) {
      say(error.message);
    } finally {
      go.disabled = false;
    }
    return undefined;
  });

  function check({ public_key: text, name: called }) {
    if (!KEY.test(text)) {
      return [
        key,
        text
          ? `This is not a board's key: it has ${text.length} digits of 130, or does not begin with 04. Copy all that the board shows.`
          : "Paste the key that the board shows.",
      ];
    }
    return called ? null : [name, "Give the board a name, so that you know it again."];
  }

  function say(text) {
    problem.textContent = text;
    problem.hidden = !text;
  }
}

function field(box, label, hint) {
  const told = element("p", { className: "hint", id: `${box.id}-hint` }, hint);
  box.setAttribute("aria-describedby", told.id);
  return element("div", { className: "field" }, element("label", { htmlFor: box.id }, label), box, told);
}

function result(parts) {
  const text = JSON.stringify(parts, null, 2);
  const rows = [
    ["Link key", parts.link_key],
    ["Gateway", parts.gateway],
    ["Broker", `${parts.mqtt.host}:${parts.mqtt.port}${parts.mqtt.tls ? " (TLS)" : ""}`],
    ["User", parts.mqtt.user],
    ["Password", parts.mqtt.password],
  ];
  const list = element(
    "dl",
    { className: "parts" },
    rows.map(([title, value]) =>
      element(
        "div",
        {},
        element("dt", {}, title),
        element("dd", {}, element("code", {}, value), copyButton(value, title)),
      ),
    ),
  );
  const save = button("", () => download(`wattness-${parts.kid}.json`, `${text}\n`), { className: "primary" });
  save.append(icon("download", 18), "Download as JSON");
  const { node } = dialog(`${parts.name} is enrolled`, [
    element(
      "p",
      { className: "callout" },
      "These are the board's secrets. They are shown this once: put them on the board now, or keep the file in a safe place.",
    ),
    list,
    element(
      "p",
      { className: "soft small" },
      "Add them to the board's configuration file and restart it; its first frame appears here within a minute.",
    ),
    element("div", { className: "actions" }, copyButton(text, "as JSON", "Copy all"), save),
  ]);
  node.querySelector(".actions .primary").focus();
}
