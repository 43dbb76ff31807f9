"""From rows to signed frames on flash: what goes into a frame, when it is sealed, and what is thinned before."""

from collections import namedtuple

from wattboard.log import LogFullError
from wattboard.rows import Rows
from wattwire import cose, records

ROWS_BYTES_MAX = 7000  # of a frame's 8192
VALUES_MAX = 1300  # numbers held in memory before a frame is sealed early: 5 KB of the heap, also in a long frame
LONG_FRAME_MS = 300000
# Share of the log's room that waits for acknowledgement, in percent: the least spacing of a stream's rows from there.
THINNING_MS = ((95, 120000), (85, 60000), (70, 30000))
LONG_FRAMES_WAITING = 30  # frames without an acknowledgement: the gateway is away, and a longer frame takes less flash


# Who signs, in which boot, for which gateway (its hash); `about` tells of model and firmware.
Witness = namedtuple("Witness", ("key", "boot", "gateway", "about"))


class Recorder:
    """Owns the log's writing end; (boot, up) rises strictly from frame to frame."""

    def __init__(self, log, clock, witness, frame_ms):
        self.log = log
        self.clock = clock
        self.witness = witness
        self.frame_ms = frame_ms
        self.previous = None  # field 16 of a new log
        self.last_up = -1
        self.due_ms = frame_ms
        self.thinned_rows = 0  # left out because flash runs short
        self.unstored_rows = 0  # sealed nowhere because flash was full
        self.on_frame = None  # called after each frame that is on flash
        self._streams = ()
        self._streams_hash = None
        self._rows = []

    def begin(self, streams, now_ms):
        """Seal what is pending and open a new streams record; from now on rows belong to `streams`."""
        self.seal_rows()
        self._streams = tuple(streams)
        self._streams_hash = None  # old columns and new descriptors never meet, even if flash is full now
        self._rows = [Rows(len(stream.points)) for stream in self._streams]
        self._seal_streams(max(now_ms, self.last_up + 1))

    def earliest_ms(self):
        """Return the first time that a new row may have."""
        return self.last_up + 2  # a streams record that opens a segment takes the one between

    def is_empty(self, stream):
        """Tell whether the next row of stream number `stream` begins a frame."""
        return not self._rows[stream].count

    def is_offline(self):
        """Tell whether so much waits for the gateway that frames, and the pauses between health records, are long."""
        return self.log.last - self.log.acked >= LONG_FRAMES_WAITING

    def add(self, stream, up_ms, values):
        """Take a row of stream number `stream`, read at `up_ms`."""
        rows = self._rows[stream]
        earliest = self.earliest_ms() if rows.end is None else rows.end + 1
        up_ms = max(up_ms, earliest)
        if rows.end is not None and up_ms - rows.end < self._least_spacing_ms():
            self.thinned_rows += 1
            return
        rows.add(up_ms, values)
        size = sum([each.size for each in self._rows])
        if size > ROWS_BYTES_MAX or sum([each.values for each in self._rows]) > VALUES_MAX:
            self.due_ms = up_ms

    def seal_rows(self, now_ms=None):
        """Seal the rows held, if any, and set when the next frame is due."""
        if now_ms is not None:
            length = max(self.frame_ms, LONG_FRAME_MS) if self.is_offline() else self.frame_ms
            self.due_ms = (now_ms // length + 1) * length
        held = [(index, rows) for index, rows in enumerate(self._rows) if rows.count]
        if not held:
            return
        self._rows = [Rows(len(stream.points)) for stream in self._streams]
        try:
            if self._streams_hash is None or self.log.full():
                self._append_streams(self.last_up + 1)
            up_ms = min([rows.start for _, rows in held])
            entries = [rows.entry(index, up_ms) for index, rows in held]
            self._append(records.KIND_ROWS, up_ms, records.Rows(self._streams_hash, entries))
            self.last_up = max([rows.end for _, rows in held])
        except LogFullError:
            self.unstored_rows += sum([rows.count for _, rows in held])

    def seal_health(self, values, now_ms):
        """Seal the rows held and a health record after them."""
        self.seal_rows()
        try:
            if self._streams_hash is None or self.log.full():
                self._append_streams(self.last_up + 1)
            self._append(records.KIND_HEALTH, max(now_ms, self.last_up + 1), records.Health(values))
        except LogFullError:
            pass  # the next one will say more

    def repeat_streams(self, now_ms):
        """Seal the streams record once more, for a gateway that asks."""
        self.begin(self._streams, now_ms)

    def _seal_streams(self, up_ms):
        try:
            self._append_streams(up_ms)
        except LogFullError:
            pass  # the next frame tries again: without it no rows frame can be

    def _append_streams(self, up_ms):
        body = records.Streams(self._streams, self.witness.about, self.witness.gateway, self.previous)
        payload = self._append(records.KIND_STREAMS, up_ms, body)
        self.previous = None
        self._streams_hash = records.prev_of(payload)

    def _append(self, kind, up_ms, body):
        log = self.log
        hole = log.untold()
        record = records.Record(
            kind,
            log.number,
            log.last + 1,
            log.prev,
            self.witness.boot,
            up_ms,
            self.clock.unix(up_ms),
            None if hole is None else (hole.first, hole.last),
            body,
            {},
        )
        payload = records.encode(record)
        key = self.witness.key
        log.append(cose.sign1(key.secret, key.kid, payload))
        self.last_up = up_ms
        if hole is not None:
            hole.told = record.seq
        if self.on_frame is not None:
            self.on_frame()
        return payload

    def _least_spacing_ms(self):
        pressure = 100 * self.log.waiting_bytes() // self.log.limit_bytes
        for percent, spacing_ms in THINNING_MS:
            if pressure >= percent:
                return spacing_ms
        return 0
