"""The page for people: what this network paid and why, with nothing that needs a script."""

import time
from html import escape
from typing import Any

from . import books
from .ledger import Ledger

ROWS = 40

_STYLE = """
:root { color-scheme: light dark; font: 15px/1.5 system-ui, sans-serif }
body { max-width: 68rem; margin: 2rem auto; padding: 0 1rem }
h2 { margin-top: 2.2rem; font-size: 1.1rem }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums }
th, td { text-align: left; padding: .25rem .8rem .25rem 0; border-bottom: 1px solid #8884; white-space: nowrap }
td.n { text-align: right } code { font-size: .85em }
dl { display: flex; flex-wrap: wrap; gap: .4rem 2.4rem } dt { opacity: .7 } dd { margin: 0; font-size: 1.4rem }
.wide { overflow-x: auto }
"""

_PAGE = """<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<meta http-equiv="refresh" content="5"><title>wattnet: what was paid, and why</title><style>{style}</style>
<h1>wattnet</h1><p>Every report is checked on arrival, a secret share is challenged for its raw frames, and each epoch
is settled in integers under a Merkle root. Figures of this page come from <a href="/v1/summary">/v1/summary</a>,
<a href="/v1/claims">/v1/claims</a> and /v1/payouts.</p>
<dl>{counts}</dl>
<h2>Epochs</h2><div class="wide"><table><tr><th>epoch<th>from (UTC)<th>payouts<th>points<th>Merkle root</tr>{epochs}
</table></div>
<h2>Newest claims</h2><div class="wide"><table><tr><th>interval (UTC)<th>board<th>stream<th>role<th>useful Wh<th>points
<th>verdict<th>challenge<th>status</tr>{claims}</table></div></html>
"""


def render(ledger: Ledger, epoch_ms: int) -> str:
    """Return the page."""
    return _PAGE.format(
        style=_STYLE,
        counts=_counts(books.summary(ledger)),
        epochs="".join(_epoch(row, epoch_ms) for row in books.epochs(ledger, ROWS)),
        claims="".join(_claim(row) for row in _newest(ledger)),
    )


def _newest(ledger: Ledger) -> list[dict[str, Any]]:
    return ledger.rows("SELECT * FROM claimed ORDER BY id DESC LIMIT ?", ROWS)


def _counts(summary: dict[str, Any]) -> str:
    challenges = summary["challenges"]
    shown = {
        "claims taken": summary["accepted"],
        "paid": summary["paid"],
        "paid twice": summary["twice_paid"],
        "lost": summary["lost"],
        "sent again": summary["duplicates"],
        "refused": sum(summary["refused"].values()),
        "challenges passed": challenges["passed"],
        "failed": challenges["failed"],
        "open": challenges["open"],
        "points paid": summary["paid_points"],
    }
    return "".join(f"<div><dt>{name}</dt><dd>{count}</dd></div>" for name, count in shown.items())


def _epoch(row: dict[str, Any], epoch_ms: int) -> str:
    return (
        f'<tr><td><a href="/v1/epochs/{row["number"]}">{row["number"]}</a><td>{_time(row["number"] * epoch_ms)}'
        f'<td class="n">{row["payouts"]}<td class="n">{row["amount"]}<td><code>{row["root"].hex()}</code></tr>'
    )


def _claim(row: dict[str, Any]) -> str:
    status = row["status"] + (f": {row['reason']}" if row["reason"] else "")
    cells = (
        f"{_time(row['a'])}–{_time(row['b'])[-8:]}",
        f"<code>{row['board'].hex()[:16]}</code>",
        escape(row["device"][:8]),
        escape(row["role"] + ("" if row["provenance"] == "board" else ", read by its gateway")),
        f"{row['useful_mwh'] / 1000:.3f}",
        f"{row['value'] / 1000:.3f}",
        escape(row["verdict"]),
        escape(row["challenge_state"] or "–"),
        escape(status),
    )
    return "<tr>" + "".join(f"<td>{cell}" for cell in cells) + "</tr>"


def _time(unix_ms: int) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(min(unix_ms, 253_402_300_799_000) / 1000))
