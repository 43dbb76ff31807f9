// The last hour of one stream, drawn small; rows that come in are appended.

import { ask } from "./api.js";
import { element, setText } from "./dom.js";
import { doing, isOwn, moment, quantity, roleName, streamName } from "./format.js";
import { icon } from "./icons.js";
import { describe, Plot, pointText } from "./plots.js";

const HOUR_MS = 3_600_000;
const ROW_GAP_MS = 120_000; // rows further apart do not join: the rule by which energy is counted
const ROWS_MAX = 20_000;

const lastSeen = ({ last_unix_ms: at }) => (at === null ? "no value yet" : `last seen ${moment(at)}`);

// One stream's last hour, and what it does now.
export class Strip {
  constructor(stream) {
    this.rows = [];
    this.name = element("a");
    this.value = element("span", { className: "strip-value" });
    this.doing = element("span", { className: "soft small" });
    this.own = element("span", { className: "badge provenance-gateway", hidden: true }, "read by the gateway");
    this.plot = new Plot({ height: 110, role: stream.role, onPoint: (point) => this.say(point) });
    this.plot.node.setAttribute("role", "img");
    this.node = element(
      "article",
      { className: `card strip role-${stream.role}` },
      element("h3", {}, icon(stream.role), this.name, this.value),
      element("p", { className: "strip-line" }, this.doing, this.own),
      this.plot.node,
    );
  }

  renew(stream, now) {
    const first = !this.stream;
    this.stream = stream;
    setText(this.name, `${roleName(stream.role)} · ${stream.board}`);
    this.own.hidden = !isOwn(stream);
    this.name.href = `#history/${stream.id}/day`;
    if (first) this.load(now);
    this.draw(now);
  }

  // A listener that was away asks for what it missed.
  async load(now) {
    try {
      const { rows } = await ask(`streams/${this.stream.id}/rows`, {
        since: Math.max(0, now - HOUR_MS),
        limit: ROWS_MAX,
        point: this.stream.leading.name,
      });
      this.rows = rows;
      this.draw(now);
    } catch {
      setText(this.doing, "The last hour could not be read.");
    }
  }

  add(rows) {
    const last = this.rows.length ? this.rows[this.rows.length - 1][0] : -1;
    this.rows.push(...rows.filter(([at]) => at > last));
    if (this.rows.length > ROWS_MAX) this.rows.splice(0, this.rows.length - ROWS_MAX);
  }

  draw(now) {
    const unit = this.stream.leading.unit;
    this.view = {
      rows: this.rows.filter(([at]) => at > now - HOUR_MS),
      from: now - HOUR_MS,
      to: now,
      now,
      gapMs: ROW_GAP_MS,
      unit,
    };
    this.plot.show(this.view);
    this.plot.node.setAttribute("aria-label", describe(streamName(this.stream), this.view));
    this.say(null);
  }

  say(point) {
    const last = this.view.rows.length ? this.view.rows[this.view.rows.length - 1] : null;
    const fresh = last && this.view.now - last[0] <= ROW_GAP_MS ? last[1] : null;
    setText(this.value, fresh === null ? "unknown" : quantity(fresh, this.view.unit));
    setText(
      this.doing,
      point ? pointText(point, this.view) : fresh === null ? lastSeen(this.stream) : doing(this.stream.role, fresh),
    );
  }
}
