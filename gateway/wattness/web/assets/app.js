// The page, put together: log-in, routes by hash, live values to the view that is shown.

import { ask, whenLoggedOut } from "./api.js";
import { boardsView } from "./boards.js";
import { setText } from "./dom.js";
import { clock, fullDay, setZone } from "./format.js";
import { historyView } from "./history.js";
import { icon } from "./icons.js";
import { Live } from "./live.js";
import { logIn, logOut, refused, setUpForm, tokenInAddress } from "./login.js";
import { networksView } from "./networks.js";
import { nowView } from "./now.js";
import { qualityView } from "./quality.js";
import { settingsView } from "./settings.js";

const VIEWS = {
  now: nowView,
  history: historyView,
  boards: boardsView,
  quality: qualityView,
  networks: networksView,
  settings: settingsView,
};
const NAME = "Wattness";
const SAID_MS = 6000;
const byId = (id) => document.getElementById(id);

const made = new Map();
let current = null;
let loggedIn = false;
let quiet = 0;

// What views may use of the page.
const site = {
  live: null,
  parts: () => location.hash.slice(1).split("/").map(decode),
  go(hash, replace = false) {
    if (replace) history.replaceState(null, "", `#${hash}`);
    else location.hash = hash;
    route(false);
  },
  say(text) {
    setText(byId("said"), text);
    byId("said").hidden = !text;
    clearTimeout(quiet);
    if (text) quiet = setTimeout(() => site.say(""), SAID_MS);
  },
  fail(error) {
    if (error.status === 401) return; // the log-in says it
    setText(byId("problem-text"), error.message);
    byId("problem").hidden = false;
  },
  refresh() {
    live.start();
  },
};

const live = new Live({
  onEvent(event) {
    site.live = event;
    setZone(event.status.timezone ?? undefined);
    head(event.status);
    current?.update();
  },
  onState(state, heard) {
    const words = { connecting: "connecting", live: "live", lost: "no connection" };
    setText(byId("link"), words[state]);
    byId("link").className = `dot ${state === "live" ? "good" : "warn"}`;
    byId("stale").hidden = state !== "lost";
    setText(
      byId("stale"),
      heard
        ? `The gateway has not answered since ${clockHere(heard)}. What you see is from then; trying again by itself.`
        : "The gateway does not answer yet. Check that it runs; trying again by itself.",
    );
    document.body.classList.toggle("stale", state === "lost");
    for (const view of made.values()) view.stale?.(state === "lost");
    if (state === "live" && site.live) for (const view of made.values()) view.resume?.();
  },
});

const clockHere = (ms) => new Date(ms).toLocaleTimeString("en-GB");

function head(status) {
  setText(byId("civil"), `${fullDay(status.now_unix_ms)}, ${clock(status.now_unix_ms)}`);
  setText(byId("rate"), status.rate > 1 ? `simulated clock, × ${status.rate}` : "");
  setText(byId("version"), status.version);
}

function route(moveFocus = true) {
  if (!loggedIn) return;
  const [name, ...parts] = site.parts();
  const chosen = VIEWS[name] ? name : "now";
  if (!made.has(chosen)) {
    made.set(chosen, VIEWS[chosen](site));
    byId("view").append(made.get(chosen).node);
  }
  const view = made.get(chosen);
  if (current !== view) {
    current?.hide();
    byId("problem").hidden = true;
    for (const [other, { node }] of made) node.hidden = other !== chosen;
    window.scrollTo(0, 0);
  }
  current = view;
  setText(byId("title"), view.title);
  document.title = `${view.title} – ${NAME}`;
  for (const link of byId("nav").querySelectorAll("a")) {
    if (link.hash === `#${chosen}`) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  view.show(parts);
  if (moveFocus) byId("title").focus({ preventScroll: true });
}

function decode(part) {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}

function enter() {
  loggedIn = true;
  byId("login").hidden = true;
  byId("page").hidden = false;
  byId("loading").hidden = true;
  live.start();
  route(false);
}

function leave() {
  loggedIn = false;
  live.forget();
  current?.hide();
  current = null;
  site.live = null;
  for (const { node } of made.values()) node.remove();
  made.clear(); // nothing of the home stays behind the log-in
  for (const node of document.querySelectorAll("dialog")) node.close();
  byId("page").hidden = true;
  byId("loading").hidden = true;
  byId("login").hidden = false;
  document.title = `Log in – ${NAME}`;
  byId("token").focus();
}

async function start() {
  for (const host of document.querySelectorAll("[data-icon]"))
    host.prepend(icon(host.dataset.icon, Number(host.dataset.size ?? 20)));
  whenLoggedOut(leave);
  setUpForm(enter);
  window.addEventListener("hashchange", () => {
    const token = tokenInAddress();
    if (token === null) route();
    else open(token);
  });
  byId("skip").addEventListener("click", (event) => {
    event.preventDefault(); // the hash is a route
    byId("title").focus();
  });
  byId("logout").addEventListener("click", () =>
    logOut()
      .catch(() => {})
      .finally(leave),
  );
  byId("problem-close").addEventListener("click", () => {
    byId("problem").hidden = true;
  });
  await open(tokenInAddress());
}

async function open(token) {
  try {
    if (token !== null) await logIn(token);
    else await ask("status");
    enter();
  } catch (error) {
    if (token === null && error.status === 0) {
      enter(); // the live line says that nobody answers, and finds out when somebody does
      return;
    }
    leave();
    if (token !== null || error.status !== 401) refused(error);
  }
}

start();
