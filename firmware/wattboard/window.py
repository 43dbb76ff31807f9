"""Which frames are in flight: at most eight unacknowledged, the oldest first, again after ten seconds."""

WINDOW = 8
RESEND_MS = 10000  # real: what a gateway and a broker need at worst
FRESH_MS = 10000  # an acknowledgement of a frame younger than this sets the clock
STUCK_MS = 60000  # remains with a hole, which nothing can tell of any more, are given up piece by piece


class Window:
    """Reads the log, or before it what remains of a broken one; times are real ms since boot."""

    def __init__(self, log, book):
        self.log = log if book.remains is None else book.remains
        self._next_log = log
        self._book = book
        self._moved_ms = 0  # when the cursor last rose, or the connection began
        self._first_sent = {}  # seq: when it was first published in this boot
        self._last_sent = {}  # seq: when on this connection

    def reconnected(self, now_ms):
        """Have everything sent again."""
        self._last_sent = {}
        self._moved_ms = now_ms

    def next(self, now_ms):
        """Return the number of the frame to publish now, or None."""
        if self.log is not self._next_log:
            self._deliver_remains(now_ms)
        for seq in self.log.pending(WINDOW):
            sent_ms = self._last_sent.get(seq)
            if sent_ms is None or now_ms - sent_ms >= RESEND_MS:
                return seq
        return None

    def sent(self, seq, now_ms):
        """Note that a frame was published; return whether it is a repetition on this connection."""
        repeated = seq in self._last_sent
        self._last_sent[seq] = now_ms
        if seq not in self._first_sent:
            self._first_sent[seq] = now_ms
        return repeated

    def skip(self, seq, now_ms):
        """Note that a frame could not be read: it is looked at again later, for it may have been dropped."""
        self._last_sent[seq] = now_ms

    def acknowledged(self, seq, now_ms):
        """Move the log's cursor; return (whether it rose, whether by a frame that was first published just now)."""
        rose = self.log.acknowledge(seq)
        if rose:
            self._moved_ms = now_ms
        fresh = False
        for sent in list(self._first_sent):
            if sent <= seq:
                fresh = fresh or now_ms - self._first_sent[sent] < FRESH_MS
                del self._first_sent[sent]
        for sent in list(self._last_sent):
            if sent <= seq:
                del self._last_sent[sent]
        return rose, rose and fresh

    def _deliver_remains(self, now_ms):
        """Give up what is stuck, and go on with the log itself once nothing is left."""
        if self._last_sent and now_ms - self._moved_ms > STUCK_MS:
            self.acknowledged(max(self._last_sent), now_ms)
        if self.log.acked >= self.log.last:
            self.log = self._next_log
            self._first_sent = {}
            self._last_sent = {}
            self._book.delivered()
