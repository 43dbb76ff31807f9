"""What the API says: every answer is one query of the store, joined with what only the running gateway knows."""

from collections.abc import Mapping, Sequence

import msgspec

from wattness.config import NetworkConfig
from wattness.store.reader import Reader
from wattness.store.views import Depth, IntervalView, RewardView

from .answers import BoardNow, Counters, DeviceNow, Flow, Live, NetworkNow, Rows, SharedNow, Status, StreamNow
from .flow import flow, leading
from .queries import IntervalsQuery, Nothing, RewardsQuery, RowsQuery
from .routes import NotFoundError, Route
from .sources import ProxyNow, Sources

WAITING = ("available", "running", "retryable")
NEWEST_INTERVALS = 50  # among them we look for a network's last receipt


class Api:
    """The handlers; `routes` is all there is."""

    def __init__(self, sources: Sources) -> None:
        """`sources` is read at each request."""
        self._from = sources
        self.routes = (
            Route("GET", "/api/v1/status", "The gateway in a glance.", Status, self.status),
            Route("GET", "/api/v1/boards", "All boards, with their newest log.", list[BoardNow], self.boards),
            Route("GET", "/api/v1/devices", "Devices that the gateway reads.", list[DeviceNow], self.devices),
            Route("GET", "/api/v1/streams", "All streams of all boards.", list[StreamNow], self.streams),
            Route("GET", "/api/v1/streams/{stream}/rows", "One point's rows.", Rows, self.rows, RowsQuery),
            Route(
                "GET",
                "/api/v1/intervals",
                "Final intervals with their reports and receipts, newest first.",
                list[IntervalView],
                self.intervals,
                IntervalsQuery,
            ),
            Route("GET", "/api/v1/networks", "Reward networks: outbox and pay.", list[NetworkNow], self.networks),
            Route("GET", "/api/v1/rewards", "What was paid.", list[RewardView], self.rewards, RewardsQuery),
            Route("GET", "/api/v1/flow", "Where power goes now.", Flow, self.flow),
            Route("GET", "/api/v1/counters", "What was refused, dropped or left out.", Counters, self.counters),
        )

    async def status(self, _: Nothing) -> Status:
        """Return the gateway in a glance."""
        return self._status()

    async def boards(self, _: Nothing) -> list[BoardNow]:
        """Return all boards."""
        return await self._from.store.read(self._boards)

    async def devices(self, _: Nothing) -> list[DeviceNow]:
        """Return the devices that the gateway reads itself, and who shares them."""
        meters = {meter["name"]: meter for meter in self._from.meters()}
        shared = self._from.proxies()
        return [
            DeviceNow(
                name=each.name,
                url=each.url,
                role=each.role,
                profile=each.profile,
                unit=each.unit,
                state=meters[each.name]["state"],
                detail=meters[each.name]["detail"],
                proxies=[_shared(proxy) for proxy in shared if proxy.device == each.name],
            )
            for each in self._from.config.device
            if each.name in meters
        ]

    async def streams(self, _: Nothing) -> list[StreamNow]:
        """Return all streams."""
        return await self._from.store.read(_streams)

    async def rows(self, query: RowsQuery) -> Rows:
        """Return rows of one point."""
        return await self._from.store.read(lambda reader: _rows(reader, query))

    async def intervals(self, query: IntervalsQuery) -> list[IntervalView]:
        """Return final intervals."""
        return await self._from.store.read(
            lambda reader: reader.intervals(stream_id=query.stream, before=query.before, limit=query.limit)
        )

    async def networks(self, _: Nothing) -> list[NetworkNow]:
        """Return the networks."""
        return await self._from.store.read(self._networks)

    async def rewards(self, query: RewardsQuery) -> list[RewardView]:
        """Return what was paid."""
        return await self._from.store.read(lambda reader: reader.rewards(network=query.network, limit=query.limit))

    async def flow(self, _: Nothing) -> Flow:
        """Return the power flow."""
        return await self._from.store.read(lambda reader: flow(reader, reader.streams(), self._from.clock))

    async def counters(self, _: Nothing) -> Counters:
        """Return the counters."""
        return Counters(await self._from.store.read(lambda reader: reader.counters()))

    async def live(self, since: Mapping[int, int]) -> Live:
        """Return everything that changes, with the rows after `since` (stream → UTC unix ms)."""
        return await self._from.store.read(lambda reader: self._live(reader, since))

    def _status(self) -> Status:
        source = self._from
        return Status(
            version=source.version,
            gateway=source.gateway,
            now_unix_ms=source.clock.now_ms(),
            started_unix_ms=source.started_unix_ms,
            rate=source.clock.rate,
            timezone="UTC" if source.config.site is None else source.config.site.timezone,
            broker=source.broker(),
            store=source.store.trouble,
        )

    def _boards(self, reader: Reader) -> list[BoardNow]:
        states = self._from.states
        return [
            BoardNow(**msgspec.structs.asdict(board), online=states.get(bytes.fromhex(board.kid)))
            for board in reader.boards()
        ]

    def _networks(self, reader: Reader) -> list[NetworkNow]:
        depths, newest = reader.depths(), reader.intervals(limit=NEWEST_INTERVALS)
        return [_network(config, depths, newest, reader) for config in self._from.config.network]

    def _live(self, reader: Reader, since: Mapping[int, int]) -> Live:
        streams = _streams(reader)
        rows = [
            _rows(reader, RowsQuery(stream.id, since=since[stream.id] + 1), stream)
            for stream in streams
            if stream.id in since and (stream.last_unix_ms or 0) > since[stream.id]
        ]
        counters, networks = reader.counters(), self._networks(reader)
        return Live(self._status(), self._boards(reader), streams, networks, counters, rows)


def _shared(proxy: ProxyNow) -> SharedNow:
    def of(wanted: str) -> dict[str, int]:
        return {why: n for (kind, why), n in proxy.counts.items() if kind == wanted}

    return SharedNow(proxy.listen, proxy.clients, of("answered"), of("declined"), of("ended"))


def _streams(reader: Reader) -> list[StreamNow]:
    return [StreamNow(**msgspec.structs.asdict(stream), leading=leading(stream)) for stream in reader.streams()]


def _rows(reader: Reader, query: RowsQuery, stream: StreamNow | None = None) -> Rows:
    if stream is None:
        stream = next((one for one in _streams(reader) if one.id == query.stream), None)
    if stream is None:
        raise NotFoundError(f"There is no stream {query.stream}.")
    wanted = query.point or (stream.leading.name if stream.leading else "")
    point = next((one for one in stream.points if one.name == wanted), None)
    if point is None:
        raise NotFoundError(f"Stream {query.stream} has no point {wanted!r}.")
    rows = reader.values(stream.id, point.name, query.since, query.limit)
    return Rows(stream.id, point.name, point.unit, rows)


def _network(
    config: NetworkConfig, depths: Sequence[Depth], newest: Sequence[IntervalView], reader: Reader
) -> NetworkNow:
    own = [depth for depth in depths if depth.network == config.name]
    waiting = [depth for depth in own if depth.state in WAITING and depth.count]
    jobs = [job for interval in newest for job in interval.jobs if job.network == config.name]
    return NetworkNow(
        name=config.name,
        kind=config.kind,
        url=config.url,
        jobs={depth.state: depth.count for depth in own},
        depth=sum(depth.count for depth in waiting),
        oldest_unix_ms=min(
            (depth.oldest_unix_ms for depth in waiting if depth.oldest_unix_ms is not None), default=None
        ),
        last_receipt=next((job.receipt for job in jobs if job.receipt), None),
        last_reason=next((job.reason for job in jobs if job.reason and job.state != "completed"), None),
        paid=reader.paid(config.name),
        epoch=reader.last_epoch(config.name),
    )
