"""What Prometheus scrapes: the store's counts and the running parts, in base units and by its naming rules."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from wattness import quality
from wattness.config import DATABASE_NAME
from wattness.store.history_schema import history_path
from wattness.store.reader import Reader
from wattness.store.views import BoardView, Depth, StreamView

from .flow import newest
from .sources import ProxyNow, Sources

JOULES_PER_WH = 3600
POINTS = ("power", "energy_import", "energy_export")
TERMINAL = {"completed": "receipts", "discarded": "reports_discarded"}
DATABASES = (DATABASE_NAME, str(history_path(Path(DATABASE_NAME))))
COUNTERS = {  # the store's counter → name, what it counts, what its reasons are
    "rejected": ("frames_rejected", "Frames that were kept out.", "reason"),
    "dropped": ("dropped", "What was dropped before it was stored.", "reason"),
    "duplicate": ("duplicates", "What came again.", "what"),
    "equivocation": ("equivocations", "Contradictions that boards have signed.", "reason"),
    "late": ("late", "What came when its interval was final.", "what"),
    "rows": ("rows_not_taken", "Rows that no interval takes.", "reason"),
    "interval": ("intervals", "Final intervals.", "verdict"),
}
PROXIED = {  # a proxy's counts, as above
    "answered": ("proxy_answers", "Requests that were answered, by where the answer came from.", "source"),
    "declined": ("proxy_declined", "Requests that were answered with an exception or not at all.", "reason"),
    "ended": ("proxy_connections_ended", "Connections that the gateway has ended.", "reason"),
}

Sample = tuple[Sequence[str], float | None]


class Measured(NamedTuple):
    """What one scrape reads from the store."""

    boards: list[BoardView]
    acknowledged: dict[int, int]  # by board
    streams: list[StreamView]
    values: list[tuple[StreamView, str, float]]  # the newest of a point, if fresh
    depths: list[Depth]
    counters: dict[str, dict[str, int]]
    paid: dict[str, int]


class Metrics:
    """Answers scrapes."""

    def __init__(self, sources: Sources, web_counts: Callable[[], dict[str, int]]) -> None:
        """`web_counts` tells of this room: log-ins that failed, pages that listen."""
        self._from = sources
        self._web_counts = web_counts
        self._process = ProcessCollector(registry=None)

    async def scrape(self, _: web.Request) -> web.StreamResponse:
        """Answer a scrape."""
        measured = await self._from.store.read(self._measure)
        page = generate_latest(_Page([*self._store(measured), *self._running(), *self._process.collect()]))
        return web.Response(body=page, headers={"Content-Type": CONTENT_TYPE_LATEST})

    def _measure(self, reader: Reader) -> Measured:
        streams = reader.streams()
        points = (
            (stream, point.name, newest(reader, stream, point, self._from.clock))
            for stream in streams
            for point in stream.points
            if point.name in POINTS
        )
        return Measured(
            boards=reader.boards(),
            acknowledged=reader.acknowledged(),
            streams=streams,
            values=[(stream, name, value) for stream, name, value in points if value is not None],
            depths=reader.depths(),
            counters=reader.counters(),
            paid={network.name: reader.paid(network.name) for network in self._from.config.network},
        )

    def _store(self, found: Measured) -> Iterator[Metric]:
        yield from self._boards(found)
        yield from _streams(found)
        yield from _proxies(self._from.proxies())
        yield from _networks(found, self._from.clock.now_ms())
        for name, (metric, text, label) in COUNTERS.items():
            reasons = found.counters.get(name, {})
            yield _counter(metric, text, (label,), (((reason,), n) for reason, n in reasons.items()))
        levels = {rule.code: rule.level for rule in quality.rules()}
        verdicts = found.counters.get("verdict", {})
        samples = [((code, level), verdicts.get(code, 0)) for code, level in levels.items()]
        yield _counter("verdicts", "How often each rule of quality has spoken.", ("rule", "level"), samples)
        yield _gauge("store_failing", "1 while the disk takes nothing.", (), [((), float(self._from.store.failing))])

    def _boards(self, found: Measured) -> Iterator[Metric]:
        names, now = ("board", "kid", "provenance"), self._from.clock.now_ms()
        keyed = [(board, (board.name, board.kid, board.provenance)) for board in found.boards]
        logs = [(board.log, key) for board, key in keyed if board.log is not None]
        yield _counter("frames_acknowledged", "Frames that are on disk without a gap before them.", names,
                       ((key, found.acknowledged.get(board.id, 0)) for board, key in keyed))  # fmt: skip
        yield _gauge("board_missing_frames", "Frames between the head of the newest log and its top.", names,
                     ((key, log.top - log.head) for log, key in logs))  # fmt: skip
        yield _gauge("board_age_seconds", "Time since the newest frame came in.", names,
                     ((key, (now - log.last_unix_ms) / 1000) for log, key in logs))  # fmt: skip
        states = self._from.states
        yield _gauge("board_online", "1 while the broker says that the board is connected.", names,
                     ((key, states.get(bytes.fromhex(board.kid)) == "online") for board, key in keyed))  # fmt: skip
        yield _gauge("board_quarantined", "1 for a board that has contradicted itself.", names,
                     ((key, board.state == "quarantined") for board, key in keyed))  # fmt: skip

    def _running(self) -> Iterator[Metric]:
        source, broker = self._from, self._from.broker()
        yield _gauge("build_info", "Always 1; the labels say what runs.", ("version", "gateway"),
                     [((source.version, source.gateway), 1)])  # fmt: skip
        yield _gauge("broker_connected", "1 while the boards' broker is connected.", (), [((), broker.connected)])
        yield _counter("broker_connects", "Connections that were made to it.", (), [((), broker.connects)])
        yield _counter("broker_restarts", "Times that our own broker was started anew.", (), [((), broker.restarts)])
        sizes = [((name,), _size(source, name)) for base in DATABASES for name in (base, base + "-wal")]
        yield _gauge("database_size_bytes", "Bytes of each file of the databases.", ("file",), sizes)
        counts = self._web_counts()
        yield _gauge("event_listeners", "Pages that follow the live events.", (), [((), counts.pop("listeners"))])
        texts = {
            "event_listeners_dropped": "Pages that were cut off because they took nothing.",
            "logins_failed": "Wrong tokens.",
            "logins_refused": "Log-ins that came too soon after wrong ones.",
        }
        for name, n in counts.items():
            yield _counter(name, texts[name], (), [((), n)])


class _Page(Collector):
    """One scrape's metrics, in the form that the encoder asks for."""

    def __init__(self, metrics: Sequence[Metric]) -> None:
        self._metrics = metrics

    def collect(self) -> Iterable[Metric]:
        return self._metrics


def _streams(found: Measured) -> Iterator[Metric]:
    names = ("stream", "board", "device", "role")
    keys = {stream.id: (str(stream.id), stream.board, stream.device, stream.role) for stream in found.streams}

    def of(point: str, factor: int) -> list[Sample]:
        return [(keys[stream.id], value * factor) for stream, name, value in found.values if name == point]

    yield _gauge("stream_power_watts", "Newest power, as the role's sign has it.", names, of("power", 1))
    for point in ("energy_import", "energy_export"):
        text = f"The device's own cumulative counter of {point.replace('_', ' ')}."
        yield _counter(f"stream_{point}_joules", text, names, of(point, JOULES_PER_WH))


def _proxies(proxies: Sequence[ProxyNow]) -> Iterator[Metric]:
    names = ("device", "listen")
    keyed = [(proxy, (proxy.device, proxy.listen)) for proxy in proxies]
    yield _gauge("proxy_clients", "Clients that are connected.", names, ((key, proxy.clients) for proxy, key in keyed))
    for kind, (metric, text, label) in PROXIED.items():
        counts = (((*key, why), n) for proxy, key in keyed for (of, why), n in proxy.counts.items() if of == kind)
        yield _counter(metric, text, (*names, label), counts)


def _networks(found: Measured, now_ms: int) -> Iterator[Metric]:
    waiting = [depth for depth in found.depths if depth.state not in TERMINAL]
    jobs = (((depth.network, depth.state), depth.count) for depth in waiting)
    yield _gauge("outbox_jobs", "Reports that still have to be sent, by state.", ("network", "state"), jobs)
    since: dict[str, int] = {}
    for depth in waiting:
        if depth.oldest_unix_ms is not None:
            since[depth.network] = min(since.get(depth.network, depth.oldest_unix_ms), depth.oldest_unix_ms)
    ages = [((network,), (now_ms - at) / 1000) for network, at in since.items()]
    yield _gauge("outbox_age_seconds", "How long the oldest of them has been waiting.", ("network",), ages)
    for state, name in TERMINAL.items():
        done = (((depth.network,), depth.count) for depth in found.depths if depth.state == state)
        yield _counter(name, f"Reports that are {state}.", ("network",), done)
    paid = (((network,), amount) for network, amount in found.paid.items())
    yield _counter("rewards", "What a network has paid, in its own unit.", ("network",), paid)


def _gauge(name: str, text: str, labels: Sequence[str], samples: Iterable[Any]) -> Metric:
    metric = GaugeMetricFamily(f"wattness_{name}", text, labels=labels)
    for values, number in samples:
        if number is not None:
            metric.add_metric(values, number)
    return metric


def _counter(name: str, text: str, labels: Sequence[str], samples: Iterable[Any]) -> Metric:
    metric = CounterMetricFamily(f"wattness_{name}", text, labels=labels)
    for values, number in samples:
        metric.add_metric(values, number)
    return metric


def _size(sources: Sources, name: str) -> int | None:
    try:
        return sources.config.path(name).stat().st_size
    except OSError:
        return None
