"""What the gateway reads itself it signs itself, in a numbered and chained log like a board's, and says so.

The database is this log's flash. A frame leaves only after the one before it is on disk, and the next life goes on
behind the last frame that is there: no kill, wherever it strikes, leaves a gap or a fork. A mark beside the key
remembers how far the log had come, so that a database from a backup, which lacks frames that others have seen, begins
a new log instead of signing their numbers again.
"""

import asyncio
import hashlib
import logging
from collections import Counter, deque
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from wattness.model import Arrival
from wattness.signing import Signer, kid
from wattwire import cose, records
from wattwire.errors import WireError

from .origin import Mark, Origin, Uptime
from .ownrows import Rows

log = logging.getLogger(__name__)

FRAME_MS = 60_000
ROWS_BYTES_MAX = 6500  # of one stream, and about as many of one frame
STREAMS_BYTES_MAX = 8000
WAITING_MAX = 256  # frames that the disk did not take yet; then rows are left out and counted
RESEND_S = 5.0
LOOK_S = 1.0
PROVENANCE = "gateway"
NAMED = b"wattness/device/"


class LogFullError(Exception):
    """The streams record of this log cannot take another device: it needs a key of its own."""


class OwnStream:
    """One device's place in the log."""

    def __init__(self, own: "OwnLog", name: str, *, is_first: bool) -> None:
        """It has no rows before it is described; `is_first` unless a device before it has the same registers."""
        self._own = own
        self.name = name
        self.is_first = is_first
        self.stream: Any = None  # wattwire.records.Stream
        self.unsettled: tuple[str, ...] = ()
        self.rows = Rows(0)
        self.end_ms = -1  # the last row's time

    def describe(self, stream: Any, unsettled: Sequence[str] = ()) -> None:
        """Say what the device is from now on; raises LogFullError."""
        if (stream, tuple(unsettled)) != (self.stream, self.unsettled):
            self._own.change(self, stream, tuple(unsettled))

    def add(self, up_ms: int, row: Sequence[int | None]) -> None:
        """Take a row that was read at `up_ms`; `row` has a value or None for each point of the description."""
        self._own.add(self, up_ms, row)


class OwnLog:
    """The log of one key. Sealing is done at once; signing and delivery follow in `run`."""

    def __init__(
        self, signer: Signer, gateway: bytes, origin: Origin, uptime: Uptime, about: Mapping[str, str]
    ) -> None:
        """`gateway` is SHA-256 of the gateway's public key, `about` tells of model and software."""
        self.uptime = uptime
        self.kid = kid(signer.public_key)
        self.unstored_rows = 0
        self._signer = signer
        self._gateway = gateway
        self._about = {**about, "provenance": PROVENANCE}
        self._origin = origin
        self._seq, self._prev = origin.seq, origin.prev
        self._last_up = -1
        self._streams: list[OwnStream] = []
        self._streams_hash: bytes | None = None
        self._due_ms = FRAME_MS
        self._waiting: deque[tuple[int, bytes]] = deque()
        self._some, self._taken = asyncio.Event(), asyncio.Event()
        self._acked = origin.seq

    # What sources use.

    def open(self, name: str, *, is_first: bool = True) -> OwnStream:
        """Return a place for the device configured as `name`."""
        self._streams.append(OwnStream(self, name, is_first=is_first))
        return self._streams[-1]

    def change(self, place: OwnStream, stream: Any, unsettled: tuple[str, ...]) -> None:
        """Seal what was read so far, and describe one stream anew; raises LogFullError."""
        before = place.stream, place.unsettled
        place.stream, place.unsettled = stream, unsettled
        fits = self._fits()
        place.stream, place.unsettled = before
        if not fits:
            raise LogFullError
        self.seal()
        place.stream, place.unsettled = stream, unsettled
        self._streams_hash = None
        for each in self._streams:  # of what could not be sealed the columns may be others now
            self.unstored_rows += len(each.rows.times)
            each.rows = Rows(0 if each.stream is None else len(each.stream.points))

    def add(self, place: OwnStream, up_ms: int, row: Sequence[int | None]) -> None:
        """Take a row; it is left out and counted when the disk has taken nothing for long."""
        if place.rows.size > ROWS_BYTES_MAX:
            self.seal()
        # Room for a streams record and for frames whose first rows come at the same time.
        earliest = max(self._last_up + 2 + len(self._streams), place.end_ms + 1)
        if place.rows.size > ROWS_BYTES_MAX:
            self.unstored_rows += 1
        else:
            place.end_ms = max(up_ms, earliest)
            place.rows.add(place.end_ms, row)

    def seal_health(self, values: Mapping[str, int | str | None]) -> None:
        """Seal the rows held, and a health record after them."""
        self.seal()
        if self._has_room():
            up_ms = max(self.uptime.now_ms(), self._last_up + 2)
            self._open_streams(up_ms - 1)
            self._append(records.KIND_HEALTH, up_ms, records.Health(dict(values)))

    def seal(self) -> None:
        """Seal the rows held, if any and if there is room, in frames whose first rows rise."""
        self._due_ms = (self.uptime.now_ms() // FRAME_MS + 1) * FRAME_MS
        streams = [each for each in self._streams if each.stream is not None]
        held = sorted(((each.rows.times[0], index) for index, each in enumerate(streams) if each.rows.times))
        if not held or not self._has_room():
            return
        groups: list[list[int]] = []
        size = ROWS_BYTES_MAX
        for _, index in held:
            if size + streams[index].rows.size > ROWS_BYTES_MAX:
                groups.append([])
                size = 0
            groups[-1].append(index)
            size += streams[index].rows.size
        ups = [streams[group[0]].rows.times[0] for group in groups]
        for at in range(len(ups) - 2, -1, -1):
            ups[at] = min(ups[at], ups[at + 1] - 1)
        self._open_streams(ups[0] - 1)
        for group, up_ms in zip(groups, ups, strict=True):
            entries = [streams[index].rows.entry(index, up_ms) for index in group]
            self._append(records.KIND_ROWS, up_ms, records.Rows(self._streams_hash, entries))
        for each in streams:
            each.rows = Rows(len(each.stream.points))

    # What the app uses.

    async def run(self, offer: Callable[[Arrival], bool], mark: Mark) -> None:
        """Seal when it is time, sign and deliver in order, until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._seal_on_time(), name="own-log-seal")
            tasks.create_task(self._deliver(offer, mark), name="own-log-deliver")

    def acknowledge(self, number: int, seq: int) -> None:
        """Note that every frame up to `seq` is on disk."""
        if number == self._origin.log and seq > self._acked:
            self._acked = seq
            self._taken.set()

    async def _seal_on_time(self) -> None:
        while True:
            await asyncio.sleep(LOOK_S)
            if self.uptime.now_ms() >= self._due_ms:
                self.seal()

    async def _deliver(self, offer: Callable[[Arrival], bool], mark: Mark) -> None:
        while True:
            while not self._waiting:
                self._some.clear()
                await self._some.wait()
            seq, payload = self._waiting[0]
            raw = cose.join(self.kid, payload, await self._signer.sign(cose.to_be_signed(self.kid, payload)))
            is_late = False
            while self._acked < seq:
                self._taken.clear()
                offer(Arrival(self.kid, raw))
                try:
                    async with asyncio.timeout(RESEND_S):
                        await self._taken.wait()
                except TimeoutError:
                    if not is_late:  # once: a log that grows is no friend of a disk that is full
                        log.warning("own frame not on disk yet seq=%d", seq)
                    is_late = True
            self._waiting.popleft()
            mark.write(self._origin.log, seq, records.prev_of(payload), self._origin.boot)

    # Records.

    def _fits(self) -> bool:
        try:
            payload = records.encode(self._record(records.KIND_STREAMS, self.uptime.now_ms(), self._body()))
        except WireError:
            return False
        return len(payload) <= STREAMS_BYTES_MAX

    def _open_streams(self, up_ms: int) -> None:
        """Seal a streams record unless the one in force is true."""
        if self._streams_hash is None:
            self._streams_hash = records.prev_of(self._append(records.KIND_STREAMS, up_ms, self._body()))

    def _has_room(self) -> bool:
        return len(self._waiting) < WAITING_MAX

    def _body(self) -> Any:
        described = [each for each in self._streams if each.stream is not None]
        about = dict(self._about)
        for index, each in enumerate(described):
            if each.unsettled:
                about[f"unsettled_{index}"] = ",".join(each.unsettled)
        previous = self._origin.previous if self._seq == 0 else None
        return records.Streams(self._identified(described, about), about, self._gateway, previous)

    def _identified(self, described: Sequence[OwnStream], about: dict[str, str]) -> tuple[Any, ...]:
        """Return the streams, each with an identity that no other device's silence changes.

        A serial is its own; what has none, or another's, is known by its configured name under this key, and
        `about` lists the indices of those: no maker vouches for them.
        """
        serials = Counter(each.stream.serial for each in described if each.is_first)
        named = {
            index: hashlib.sha256(NAMED + self.kid + each.name.encode()).digest()[: records.HASH_SIZE]
            for index, each in enumerate(described)
            if each.stream.serial is None or not each.is_first or serials[each.stream.serial] > 1
        }
        if named:
            about["named"] = ",".join(map(str, named))
        return tuple(
            each.stream._replace(serial=named.get(index, each.stream.serial)) for index, each in enumerate(described)
        )

    def _record(self, kind: int, up_ms: int, body: Any) -> Any:
        origin = self._origin
        unix = self.uptime.unix(up_ms)
        return records.Record(kind, origin.log, self._seq + 1, self._prev, origin.boot, up_ms, unix, None, body, {})

    def _append(self, kind: int, up_ms: int, body: Any) -> bytes:
        payload: bytes = records.encode(self._record(kind, up_ms, body))
        self._seq += 1
        self._prev = records.prev_of(payload)
        self._last_up = up_ms
        self._waiting.append((self._seq, payload))
        self._some.set()
        return payload
