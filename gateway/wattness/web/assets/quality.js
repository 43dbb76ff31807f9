// #quality: what was judged and why, in plain words, and how often each rule has spoken.

import { ask } from "./api.js";
import { button, element, empty, keep, setClass, setText } from "./dom.js";
import { count, duration, minute, moment, sentence, streamName, times, words } from "./format.js";
import { fill } from "./tables.js";

const PAGE = 200;
const REFRESH_MS = 15_000;
const MEANINGS = {
  flagged: "strange, but claimed with a mark",
  quarantined: "cannot be true, and is not claimed",
};

export function qualityView(site) {
  const streamBox = element("select", { id: "quality-stream" });
  const verdicts = element("ol", { className: "verdicts" });
  const nothing = empty("Nothing to object to", "No interval was flagged or quarantined.");
  const older = button("Show older", () => load(true).catch(site.fail), { hidden: true });
  const spoken = element("ul", { className: "rules" });
  const silent = element("ul", { className: "rules" });
  const silentTitle = element("summary");
  const silentRules = element("details", {}, silentTitle, silent);
  const counters = element("div", { className: "table" });
  const node = element(
    "div",
    {},
    element(
      "p",
      { className: "soft lead-text" },
      "Before anything is claimed, physics looks at it: an honest device is not refused, a missing value is never zero.",
    ),
    element(
      "section",
      {},
      element(
        "div",
        { className: "head" },
        element("h2", {}, "Verdicts"),
        element("div", { className: "field inline" }, element("label", { htmlFor: streamBox.id }, "Stream"), streamBox),
      ),
      nothing,
      verdicts,
      older,
    ),
    element(
      "section",
      {},
      element("h2", {}, "Rules"),
      element("p", { className: "soft small" }, `Flagged is ${MEANINGS.flagged}; quarantined ${MEANINGS.quarantined}.`),
      spoken,
      silentRules,
    ),
    element("section", {}, element("h2", {}, "Refused, dropped, left out"), counters),
  );
  let shown = false,
    found = [],
    asked = 0,
    at = 0;
  streamBox.addEventListener("change", () => load().catch(site.fail));

  async function load(more = false) {
    const mark = ++asked;
    at = Date.now();
    const before = more && found.length ? found[found.length - 1].id : null;
    const [page, rules] = await Promise.all([
      ask("verdicts", { stream: streamBox.value || null, limit: PAGE, before }),
      ask("rules"),
    ]);
    if (mark !== asked) return;
    found = more ? [...found, ...page] : page;
    older.hidden = page.length < PAGE;
    showVerdicts();
    const quiet = rules.filter((rule) => !rule.count);
    showRules(
      spoken,
      rules.filter((rule) => rule.count).sort((a, b) => b.count - a.count),
    );
    showRules(silent, quiet);
    silentRules.hidden = !quiet.length;
    setText(silentTitle, `${quiet.length} rules that never had to speak`);
  }

  function showVerdicts() {
    const names = new Map(site.live.streams.map((stream) => [stream.id, stream]));
    nothing.hidden = found.length > 0;
    keep(
      verdicts,
      runs(found),
      (run) => run.id,
      () =>
        element(
          "li",
          { className: "card verdict" },
          element("div", { className: "head" }, element("h3"), element("span", { className: "badge" })),
          element("p", { className: "soft small" }),
          element("ul"),
        ),
      (child, run) => {
        const stream = names.get(run.stream);
        setText(child.querySelector("h3"), stream ? streamName(stream) : `Stream ${run.stream}`);
        setText(
          child.querySelector("p"),
          `${moment(run.a)} – ${minute(run.b)}, ${run.count === 1 ? "one interval" : `${count(run.count)} intervals`} of ${duration(run.length)}`,
        );
        const badge = child.querySelector(".badge");
        setText(badge, run.verdict);
        setClass(badge, `badge ${tone(run.verdict)}`);
        keep(
          child.lastChild,
          run.reasons,
          (reason) => reason.code,
          () => element("li", {}, element("strong"), element("span")),
          (item, reason) => {
            setText(item.firstChild, `${sentence(reason.title || words(reason.code))}. `);
            setCoded(item.lastChild, reason.text ?? "");
          },
        );
      },
    );
  }

  function update() {
    const { streams, counters: counted } = site.live;
    const mark = JSON.stringify(streams.map(streamName));
    if (streamBox.dataset.mark !== mark) {
      const chosen = streamBox.value;
      streamBox.dataset.mark = mark;
      streamBox.replaceChildren(
        element("option", { value: "" }, "All streams"),
        ...streams.map((stream) => element("option", { value: String(stream.id) }, streamName(stream))),
      );
      streamBox.value = chosen;
    }
    showCounters(counters, counted);
    if (Date.now() - at > REFRESH_MS && found.length <= PAGE) load().catch(site.fail);
  }

  return {
    node,
    title: "Quality",
    show() {
      shown = true;
      at = 0;
      if (site.live) update();
    },
    hide() {
      shown = false;
    },
    update() {
      if (shown) update();
    },
  };
}

// Neighbours of one stream with the same verdict and reasons are told as one.
function runs(verdicts) {
  const sorted = [...verdicts].sort((x, y) => y.a - x.a || x.stream - y.stream);
  const open = new Map(),
    found = [];
  for (const one of sorted) {
    const like = JSON.stringify([one.stream, one.verdict, one.reasons.map((reason) => reason.code)]);
    const run = open.get(like);
    if (run && run.a === one.b) {
      run.a = one.a;
      run.count += 1;
    } else {
      open.set(like, { ...one, count: 1, length: one.b - one.a });
      found.push(open.get(like));
    }
  }
  return found;
}

const tone = (verdict) => ({ accepted: "good", flagged: "warn" })[verdict] ?? "bad";

// Text in which `commands` stand between backticks.
function setCoded(host, text) {
  if (host.dataset.text === text) return;
  host.dataset.text = text;
  host.replaceChildren(...text.split("`").map((part, index) => (index % 2 ? element("code", {}, part) : part)));
}

function showRules(host, rules) {
  keep(
    host,
    rules,
    (rule) => rule.code,
    () =>
      element(
        "li",
        { className: "rule" },
        element("strong"),
        element("span", { className: "badge" }),
        element("p", { className: "soft" }),
        element("span", { className: "times" }),
      ),
    (child, rule) => {
      const [title, badge, text, often] = child.children;
      setText(title, sentence(rule.title || words(rule.code)));
      setText(badge, rule.level);
      setClass(badge, `badge ${tone(rule.level)}`);
      setCoded(text, rule.text);
      setText(often, rule.count ? `Spoke ${times(rule.count)}` : "");
    },
  );
}

function showCounters(host, counters) {
  const rows = Object.entries(counters).flatMap(([name, reasons]) =>
    Object.entries(reasons)
      .filter(([reason]) => reason !== "accepted")
      .map(([reason, n]) => [words(name), words(reason), count(n)]),
  );
  fill(
    host,
    "What was refused, dropped or left out, and why",
    [{ title: "What" }, { title: "Why", wrap: true }, { title: "Times", number: true }],
    rows,
    empty("Nothing", "Every frame was good, and none was dropped."),
  );
}
