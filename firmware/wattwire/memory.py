"""What readers of evidence may remember from one interval to the next; it changes no figure."""

from wattwire import frame

_HASHES_MAX = 16


class Memory:
    """What was read of one board's records, for whoever reads them again and again."""

    def __init__(self):
        self.hashes = {}  # of streams records, by (log, seq)
        self.parts = {}  # what `collect` read of a record, by (log, seq, device)

    def keep_from(self, start):
        """Forget the rows of records before `start`, a (log, seq)."""
        self.parts = {key: self.parts[key] for key in self.parts if key[:2] >= start}
        if len(self.hashes) > _HASHES_MAX:
            self.hashes = {}

    def hash_of(self, record):
        """Return the hash by which rows records name a streams record."""
        key = (record.log, record.seq)
        found = self.hashes.get(key)
        if found is None:
            found = self.hashes[key] = frame.prev_of(frame.encode(record))
        return found
