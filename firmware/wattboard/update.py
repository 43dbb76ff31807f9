"""A new program, from the offer to the slot: asked for piece by piece, tried once at the next start."""

import hashlib
import os

from wattboot import word as words
from wattwire import release
from wattwire.errors import WireError

PIECE_BYTES = 2048  # five copies of it are in the heap while it is taken
ASK_AGAIN_MS = 10000
ASKS_MAX = 12  # without an answer; then the room is given back, and the gateway offers it again
RESERVE_BYTES = 65536  # of flash, for the log meanwhile
READ_BYTES = 512


class Update:
    """What comes by air, and what the gateway is told of it; `restart` is called when there is something to try."""

    def __init__(self, state, firmware, restart):
        self._state = state
        self._firmware = firmware
        self._restart = restart
        self._download = None
        self._results = []

    def offer(self, args):
        """Take an offer: begin, go on, or refuse."""
        envelope = args[0]
        if self._download is not None and self._download.envelope == envelope:
            self._download.again()
            return
        self._download, word = offer(self._state, envelope, len(args) > 1, self._firmware)
        if word is None:
            word = self._download.finish()  # it may have come whole before a power cut
        self._settle(release.release_id(envelope), word)

    def take(self, args):
        """Take a piece."""
        if self._download is not None:
            self._settle(self._download.id, self._download.take(args))

    def want(self, now_ms):
        """Return what to tell the gateway now, or None."""
        if self._results:
            return self._results.pop(0)
        if self._download is not None and self._download.is_given_up():
            self._download = None
        return None if self._download is None else self._download.ask(now_ms)

    def is_over(self):
        """Tell whether there is nothing to come, and nothing to say."""
        return self._download is None and not self._results

    def _settle(self, name, word):
        """Tell the gateway what became of a release, if anything did; one that is to be tried resets the board."""
        if word is None:
            return
        print("update:", word)
        self._results.append(release.encode_result(name, word))
        if word == "trying" and self._download is not None:  # else the trial is under way
            self._restart()
        self._download = None


def offer(state, envelope, again, firmware):
    """Return (Download, None) to begin or go on with, or (None, a word for the gateway)."""
    word = state.word()
    if _held(words.current(word)) == envelope:
        return None, "kept"
    if words.is_waiting(word):
        return None, "trying" if _held(words.other(word)) == envelope else "busy"
    here = _held(words.other(word)) == envelope
    if here and word & words.FAILED and not again:
        return None, "rolled_back"
    try:
        manifest = release.verify(state.release_key() or b"", envelope)
        refusal = _refusal(manifest, word, firmware)
    except WireError as error:
        refusal = error.reason if state.release_key() else "no_release_key"
    if refusal is not None:
        return None, refusal
    download = Download(state, words.PATHS[words.other(word)], envelope, manifest)
    return (download, None) if download.open(here) else (None, "no_room")


def _refusal(manifest, word, firmware):
    """Return why a release that the owner signed is not taken, or None."""
    if manifest.wire > release.WIRE:
        return "wire_too_new"
    installed = tuple([int(part) for part in firmware.split(".")])
    held = _held(words.current(word))
    if held is not None:
        installed = release.peek(held).version  # safe mode runs an older one
    if manifest.version <= installed and not manifest.downgrade:
        return "downgrade"
    return None


def _held(slot):
    """Return the envelope that begins a slot's file, or None."""
    try:
        with open(words.PATHS[slot], "rb") as file:
            return release.envelope_of(file.read(release.HEAD_SIZE + release.ENVELOPE_SIZE_MAX))
    except (OSError, WireError):
        return None


class Download:
    """One release on its way into a slot's file, which grows by whole pieces only."""

    def __init__(self, state, path, envelope, manifest):
        self.id = release.release_id(envelope)
        self.envelope = envelope
        self._state = state
        self._path = path
        self._manifest = manifest
        self._head_bytes = release.HEAD_SIZE + len(envelope)
        self._size = self._head_bytes + manifest.size
        self._at = 0
        self._asked_ms = None
        self._asks = 0

    def open(self, here):
        """Begin the file, or take up the one that is there; return whether flash has room for it."""
        if here:
            self._at = os.stat(self._path)[6]
        else:
            remove(self._path)
        if self._at > self._size:
            remove(self._path)
            self._at = 0
        figures = os.statvfs("/")
        free = figures[3] if figures[3] <= figures[2] else 0  # LittleFS counts below nothing when it is full
        if self._size - self._at + RESERVE_BYTES > figures[0] * free:
            return False
        if not self._at:
            self._write(release.head(self.envelope), "wb")
        return True

    def ask(self, now_ms):
        """Return what to tell the gateway now, or None."""
        if self._asked_ms is not None and now_ms - self._asked_ms < ASK_AGAIN_MS:
            return None
        self._asked_ms = now_ms
        self._asks += 1
        return release.encode_want(self.id, self._at, min(PIECE_BYTES, self._size - self._at) or 1)

    def is_given_up(self):
        """Tell whether nobody answers."""
        return self._asks > ASKS_MAX

    def again(self):
        """Ask at once: there is a new connection."""
        self._asked_ms = None

    def take(self, args):
        """Take a piece; return None while more are to come, else "trying" or why not."""
        name, offset, data = args
        if name != self.id or offset != self._at or type(data) is not bytes:
            return None  # an answer to something else
        self._asked_ms, self._asks = None, 0
        if data and self._at + len(data) <= self._size:
            try:
                self._write(data, "ab")
            except OSError:
                remove(self._path)
                return "no_room"
        return self.finish()

    def finish(self):
        """Have a whole image that is what the owner signed tried at the next start."""
        if self._at < self._size:
            return None
        if self._digest() != self._manifest.sha256:
            remove(self._path)
            return "bad_hash"
        word = words.try_slot(self._state.word(), words.PATHS.index(self._path), self._manifest.health_s)
        self._state.set_word(word)
        return "trying"

    def _write(self, data, mode):
        with open(self._path, mode) as file:  # LittleFS makes it valid at close, all of it at once
            file.write(data)
        self._at += len(data)

    def _digest(self):
        digest = hashlib.sha256()
        piece = bytearray(READ_BYTES)
        view = memoryview(piece)
        with open(self._path, "rb") as file:
            file.seek(self._head_bytes)
            count = file.readinto(piece)
            while count:
                digest.update(view[:count])
                count = file.readinto(piece)
        return digest.digest()


def forget_release_key():
    """Forget the pinned release key, over the REPL only; the next start takes the configuration's."""
    from wattboard import hal  # noqa: PLC0415 - not on the test's bare board

    nvs = hal.nvs()
    nvs.erase_key("rel")
    nvs.commit()


def remove(path):
    """Delete a file that may be there."""
    try:
        os.remove(path)
    except OSError:
        pass
