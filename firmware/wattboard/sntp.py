"""Network time: one SNTP question (RFC 4330 §5), its answer checked, no I/O."""

from wattwire.errors import WireError

PORT = 123
SIZE = 48
NONCE_SIZE = 8
_UNIX_OF_1900 = -2208988800
_ERA = 1 << 32  # seconds; the second one begins in 2036
_CLIENT = b"\x23"  # version 4, mode client
_SERVER_MODE = 4


def request(nonce):
    """Return the question; `nonce` stands where the client's time may stand and comes back in the answer."""
    return _CLIENT + bytes(SIZE - 1 - NONCE_SIZE) + nonce


def unix_ms(answer, nonce):
    """Return the server's UTC in ms when it answered; raises WireError for what is no answer to our question."""
    if len(answer) < SIZE:
        raise WireError("truncated", "sntp")
    if answer[0] & 7 != _SERVER_MODE or answer[24:32] != nonce:
        raise WireError("bad_form", "sntp")
    if answer[0] >> 6 == 3 or not 0 < answer[1] < 16:
        raise WireError("bad_range", "the time server has no time itself")
    seconds = int.from_bytes(answer[40:44], "big")
    if seconds < _ERA >> 1:
        seconds += _ERA
    return (seconds + _UNIX_OF_1900) * 1000 + (int.from_bytes(answer[44:48], "big") * 1000 >> 32)
