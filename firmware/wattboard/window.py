"""Which frames are in flight: at most eight unacknowledged, the oldest first, again after ten seconds."""

WINDOW = 8
RESEND_MS = 10000  # real: what a gateway and a broker need at worst
FRESH_MS = 10000  # an acknowledgement of a frame younger than this sets the clock


class Window:
    """Reads the log; times are real ms since boot."""

    def __init__(self, log):
        self.log = log
        self._first_sent = {}  # seq: when it was first published in this boot
        self._last_sent = {}  # seq: when on this connection

    def reconnected(self):
        """Have everything sent again."""
        self._last_sent = {}

    def next(self, now_ms):
        """Return the number of the frame to publish now, or None."""
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
        fresh = False
        for sent in list(self._first_sent):
            if sent <= seq:
                fresh = fresh or now_ms - self._first_sent[sent] < FRESH_MS
                del self._first_sent[sent]
        for sent in list(self._last_sent):
            if sent <= seq:
                del self._last_sent[sent]
        return rose, rose and fresh
