// #quality: what was judged and why, in plain words, and how often each rule has spoken.

import { ask } from "./api.js";
import { button, element, empty, keep, setClass, setText } from "./dom.js";
import { count, minute, moment, sentence, streamName, words } from "./format.js";
import { fill } from "./tables.js";

const PAGE = 50;
const REFRESH_MS = 15_000;
const MEANINGS = {
  accepted: "nothing speaks against it",
  flagged: "strange, but claimed with a mark",
  quarantined: "cannot be true, and is not claimed",
};

export function qualityView(site) {
  const streamBox = element("select", { id: "quality-stream" });
  const verdicts = element("ol", { className: "verdicts" });
  const nothing = empty("Nothing to object to", "No interval was flagged or quarantined.");
  const older = button("Show older", () => load(true).catch(site.fail), { hidden: true });
  const rules = element("ul", { className: "rules" });
  const counters = element("div", { className: "table" });
  const node = element("div", {},
    element("p", { className: "soft lead-text" }, "Before anything is claimed, physics looks at it: an honest device is not refused, a missing value is never zero."),
    element("section", {}, element("div", { className: "head" }, element("h2", {}, "Verdicts"), element("div", { className: "field inline" },
      element("label", { htmlFor: streamBox.id }, "Stream"), streamBox)), nothing, verdicts, older),
    element("section", {}, element("h2", {}, "Rules"), element("p", { className: "soft small" }, `Flagged is ${MEANINGS.flagged}; quarantined is ${MEANINGS.quarantined}.`), rules),
    element("section", {}, element("h2", {}, "Refused, dropped, left out"), counters));
  let shown = false, found = [], asked = 0, at = 0;
  streamBox.addEventListener("change", () => load().catch(site.fail));

  async function load(more = false) {
    const mark = ++asked;
    at = Date.now();
    const before = more && found.length ? found[found.length - 1].id : null;
    const [page, all] = await Promise.all([ask("verdicts", { stream: streamBox.value || null, limit: PAGE, before }), ask("rules")]);
    if (mark !== asked) return;
    found = more ? [...found, ...page] : page;
    older.hidden = page.length < PAGE;
    showVerdicts();
    showRules(rules, all);
  }

  function showVerdicts() {
    const names = new Map(site.live.streams.map((stream) => [stream.id, stream]));
    nothing.hidden = found.length > 0;
    keep(verdicts, found, (one) => one.id, () => element("li", { className: "card verdict" }, element("div", { className: "head" },
      element("h3"), element("span", { className: "badge" })), element("ul")), (child, one) => {
      const stream = names.get(one.stream);
      setText(child.querySelector("h3"), `${stream ? streamName(stream) : `Stream ${one.stream}`}, ${moment(one.a)} – ${minute(one.b)}`);
      const badge = child.querySelector(".badge");
      setText(badge, one.verdict);
      setClass(badge, `badge ${tone(one.verdict)}`);
      keep(child.lastChild, one.reasons, (reason) => reason.code, () => element("li", {}, element("strong"), " ", element("span")), (item, reason) => {
        setText(item.querySelector("strong"), sentence(reason.title || words(reason.code)));
        setText(item.querySelector("span"), reason.text ?? "");
      });
    });
  }

  function update() {
    const { streams, counters: counted } = site.live;
    const mark = JSON.stringify(streams.map(streamName));
    if (streamBox.dataset.mark !== mark) {
      const chosen = streamBox.value;
      streamBox.dataset.mark = mark;
      streamBox.replaceChildren(element("option", { value: "" }, "All streams"),
        ...streams.map((stream) => element("option", { value: String(stream.id) }, streamName(stream))));
      streamBox.value = chosen;
    }
    showCounters(counters, counted);
    if (Date.now() - at > REFRESH_MS && found.length <= PAGE) load().catch(site.fail);
  }

  return { node, title: "Quality", show() { shown = true; at = 0; if (site.live) update(); }, hide() { shown = false; }, update() { if (shown) update(); } };
}

const tone = (verdict) => ({ accepted: "good", flagged: "warn" }[verdict] ?? "bad");

function showRules(host, rules) {
  const spoken = [...rules].sort((a, b) => b.count - a.count);
  keep(host, spoken, (rule) => rule.code, () => element("li", { className: "rule" }, element("strong"), element("span", { className: "badge" }),
    element("span", { className: "times" }), element("p", { className: "soft" })), (child, rule) => {
    const [title, badge, times, text] = child.children;
    setText(title, sentence(rule.title || words(rule.code)));
    setText(badge, rule.level);
    setClass(badge, `badge ${tone(rule.level)}`);
    setText(times, rule.count ? `${count(rule.count)} times` : "never so far");
    setText(text, rule.text);
  });
}

function showCounters(host, counters) {
  const rows = Object.entries(counters).flatMap(([name, reasons]) => Object.entries(reasons)
    .filter(([reason]) => reason !== "accepted").map(([reason, n]) => [words(name), words(reason), count(n)]));
  fill(host, "What was refused, dropped or left out, and why", [{ title: "What" }, { title: "Why", wrap: true }, { title: "Times", number: true }],
    rows, empty("Nothing", "Every frame was good, and none was dropped."));
}
