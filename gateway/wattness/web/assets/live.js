// Live values by server-sent events, and an honest word about how fresh they are.

import { ask } from "./api.js";

const STALE_MS = 10_000; // the gateway sends an event a second
const CHECK_MS = 1000;

export class Live {
  // handlers: onEvent(live), onState("connecting" | "live" | "lost", since)
  constructor({ onEvent, onState }) {
    this.onEvent = onEvent;
    this.onState = onState;
    this.state = "";
    this.heard = null; // this device's clock, which alone measures its silence
  }

  start() {
    this.stop();
    if (this.heard === null) this.say("connecting");
    this.source = new EventSource("/api/v1/events");
    this.source.addEventListener("live", (event) => {
      this.heard = Date.now();
      this.say("live");
      this.onEvent(JSON.parse(event.data));
    });
    this.source.addEventListener("error", () => this.lost());
    this.timer = setInterval(() => this.check(), CHECK_MS);
  }

  stop() {
    this.source?.close();
    this.source = null;
    clearInterval(this.timer);
  }

  // Nobody listens any more: what is heard next is news.
  forget() {
    this.stop();
    this.heard = null;
    this.state = "";
  }

  check() {
    if (this.heard !== null && Date.now() - this.heard > STALE_MS) this.say("lost");
    if (this.source?.readyState === EventSource.CLOSED) this.start();
  }

  // An EventSource does not tell why it failed; an ordinary question does, and shows the log-in if that is it.
  async lost() {
    this.say("lost");
    try {
      await ask("status");
    } catch {
      // said by the state already
    }
  }

  say(state) {
    if (state === this.state) return;
    this.state = state;
    this.onState(state, this.heard);
  }
}
