// The log-in: by the form, or by an address that ends in #token=…, which vanishes from the address at once.

import { send } from "./api.js";
import { setText } from "./dom.js";

const byId = (id) => document.getElementById(id);

// Take a token out of the address before anything else sees it.
export function tokenInAddress() {
  const found = /^#token=(.+)$/.exec(location.hash);
  if (!found) return null;
  history.replaceState(null, "", `${location.pathname}#now`);
  try {
    return decodeURIComponent(found[1]).trim();
  } catch {
    return found[1].trim();
  }
}

export const logIn = (token) => send("POST", "login", { token });
export const logOut = () => send("POST", "logout");

// onDone is called once the gateway has let us in.
export function setUpForm(onDone) {
  const form = byId("login-form"),
    box = byId("token"),
    go = byId("login-go");
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const token = box.value.trim();
    if (!token) {
      say("Enter the token: `wattness token show` prints it on the gateway's computer.");
      box.focus();
      return;
    }
    go.disabled = true;
    try {
      await logIn(token);
      box.value = "";
      say("");
      onDone();
    } catch (error) {
      refused(error);
      box.select();
      box.focus();
    } finally {
      go.disabled = false;
    }
  });
}

export function refused({ status, message, retryS }) {
  if (status === 429) say(`Too many attempts. Wait ${retryS ?? 60} seconds, then try again.`);
  else if (status === 401)
    say("This is not the gateway's token. `wattness token show` prints it on the gateway's computer.");
  else if (status === 400) say("This cannot be a token: copy all of what `wattness token show` prints.");
  else say(message);
}

function say(text) {
  setText(byId("login-problem"), text);
  byId("login-problem").hidden = !text;
  byId("token").setAttribute("aria-invalid", String(Boolean(text)));
}
