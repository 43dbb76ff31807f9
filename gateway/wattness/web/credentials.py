"""Who may look: one token in the gateway's home, and the sessions that were opened with it."""

import hmac
import json
import secrets
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

from wattness.errors import ConfigError
from wattness.private import read_private, write_private

TOKEN_NAME = "web.token"  # noqa: S105 - a file's name
SESSIONS_NAME = "web.sessions"
TOKEN_BYTES = 32
TOKEN_LENGTH_MIN = 22  # 128 bits in base64: nobody's pet's name
SESSION_S = 30 * 86_400
SESSIONS_MAX = 64  # one more closes the one that would end first


def new_token(home: Path) -> str:
    """Make a new token; every session of the old one ends. Raises ConfigError."""
    token = secrets.token_urlsafe(TOKEN_BYTES)
    write_private(home / TOKEN_NAME, token + "\n")
    return token


def read_token(home: Path) -> str:
    """Return the token; raises ConfigError when there is none, or others can read it, or it could be guessed."""
    file = home / TOKEN_NAME
    if not file.exists():
        raise ConfigError(f"There is no {file}; run `wattness token new`.")
    token = read_private(file).strip()
    if len(token) < TOKEN_LENGTH_MIN or not token.isascii() or not token.isprintable() or " " in token:
        raise ConfigError(f"{file} holds no token that we would trust; run `wattness token new`.")
    return token


class Credentials:
    """The token and its sessions. The files hold hashes of sessions, so that who copies them cannot log in."""

    def __init__(self, home: Path, now_s: Callable[[], int]) -> None:
        """`now_s` is real time. Raises ConfigError as `read_token` does."""
        self._home, self._now_s = home, now_s
        self._read_at: tuple[int, ...] = ()
        self._token = b""
        self._sessions: dict[str, int] = {}
        self._refresh()

    def is_token(self, given: str) -> bool:
        """Tell whether this is the token, in a time that says nothing about it. Raises ConfigError."""
        self._refresh()
        return hmac.compare_digest(_hash(given), self._token)

    def is_session(self, session: str) -> bool:
        """Tell whether this session was opened, with the token in force, and has not ended. Raises ConfigError."""
        self._refresh()
        return self._sessions.get(_hash(session).hex(), 0) > self._now_s()

    def open(self) -> str:
        """Open a session and return its secret. Raises ConfigError."""
        session = secrets.token_urlsafe(TOKEN_BYTES)
        now = self._now_s()
        kept = sorted((item for item in self._sessions.items() if item[1] > now), key=lambda item: item[1])
        self._sessions = dict(kept[-(SESSIONS_MAX - 1) :]) | {_hash(session).hex(): now + SESSION_S}
        self._save()
        return session

    def close(self, session: str) -> None:
        """End a session. Raises ConfigError."""
        if self._sessions.pop(_hash(session).hex(), None) is not None:
            self._save()

    def _refresh(self) -> None:
        """Read the token again when its file has changed, which ends all sessions of another token."""
        try:
            stat = (self._home / TOKEN_NAME).stat()
            found: tuple[int, ...] = (stat.st_mtime_ns, stat.st_ino, stat.st_size, stat.st_mode)
        except OSError:
            found = ()
        if not found or found != self._read_at:
            self._token, self._sessions, self._read_at = b"", {}, ()
            self._token = _hash(read_token(self._home))
            self._sessions = self._load()
            self._read_at = found

    def _load(self) -> dict[str, int]:
        try:
            stored = json.loads(read_private(self._home / SESSIONS_NAME))
            if stored["of"] != _hash(self._token.hex()).hex():
                return {}
            return {str(key): int(end) for key, end in list(stored["sessions"].items())[:SESSIONS_MAX]}
        except (ConfigError, ValueError, KeyError, TypeError, AttributeError):
            return {}  # none, or not ours: whoever had one logs in again

    def _save(self) -> None:
        stored = {"of": _hash(self._token.hex()).hex(), "sessions": self._sessions}
        write_private(self._home / SESSIONS_NAME, json.dumps(stored))


def _hash(text: str) -> bytes:
    return sha256(text.encode(errors="replace")).digest()
