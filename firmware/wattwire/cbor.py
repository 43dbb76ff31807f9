"""Deterministic CBOR (RFC 8949 §4.2.1) of integers, byte strings, text, arrays, maps and null; nothing else."""

from wattwire.errors import WireError

INT_LIMIT = 1 << 63  # |v| stays below
DEPTH_MAX = 8  # nested arrays and maps, the outermost counted

_ARRAY = 4
_MAP = 5
_NULL = 0xF6
_ONE_BYTE = 24  # smallest argument that does not fit the first byte


def encode(value) -> bytes:
    """Return the only encoding of `value`; raises WireError for what the wire does not carry."""
    out = bytearray()
    _write(out, value, 0)
    return bytes(out)


def decode(data: bytes):
    """Return the value of `data`, which must be one whole deterministic item; raises WireError."""
    stack = []  # the open containers, outermost first
    at = 0
    while True:
        start = at
        major, number, at = _head(data, at)
        if major < 2:
            value = -1 - number if major else number
        elif major < _ARRAY:
            value = data[at : at + number]
            at += number
            if major == 3:
                value = text(value)
        elif major > _MAP:
            value = None
        else:
            _check_open(stack, data, at, number << (major - _ARRAY))
            container = _OpenMap(number) if major == _MAP else _OpenArray(number)
            if number:
                stack.append(container)
                continue
            value = container.value
        while stack:
            container = stack[-1]
            if not container.add(value, data, start, at):
                break
            value = container.value
            stack.pop()
        else:
            if at != len(data):
                raise WireError("trailing_bytes")
            return value


def head(major: int, number: int) -> bytes:
    """Return the shortest head of `major` with the argument `number`."""
    out = bytearray()
    _write_head(out, major, number)
    return bytes(out)


def text(data: bytes) -> str:
    """Decode strict UTF-8, which MicroPython itself does not check (surrogates, overlong forms)."""
    if data and max(data) > 0x7F:
        _check_utf8(data)
    return str(data, "utf-8")


class _OpenArray:
    """An array whose items are still being read."""

    def __init__(self, size):
        self.value = []
        self.missing = size
        self.wants_key = False

    def add(self, value, _data, _start, _end):
        """Take the next item; true when it was the last."""
        self.value.append(value)
        self.missing -= 1
        return not self.missing


class _OpenMap:
    """A map whose pairs are still being read."""

    def __init__(self, size):
        self.value = {}
        self.missing = size
        self.wants_key = True
        self.key = None
        self.key_bytes = b""

    def add(self, value, data, start, end):
        """Take the next key or value; true when it was the last."""
        if not self.wants_key:
            self.value[self.key] = value
            self.wants_key = True
            self.missing -= 1
            return not self.missing
        if value is None:
            raise WireError("bad_type", "null as a key")
        key_bytes = data[start:end]
        if key_bytes <= self.key_bytes:
            raise WireError("duplicate_key" if key_bytes == self.key_bytes else "not_deterministic", "order of keys")
        self.key = value
        self.key_bytes = key_bytes
        self.wants_key = False
        return False


def _check_open(stack, data, at, items):
    """Refuse a container that is too deep, stands as a key, or promises more than the bytes that follow."""
    if len(stack) == DEPTH_MAX:
        raise WireError("too_deep")
    if stack and stack[-1].wants_key:
        raise WireError("bad_type", "array or map as a key")
    if items > len(data) - at:
        raise WireError("truncated")


def _head(data, at):
    """Return (major type, argument, position behind the head)."""
    if at >= len(data):
        raise WireError("truncated")
    first = data[at]
    major = first >> 5
    if major > _MAP:
        if first != _NULL:
            raise WireError("bad_type", "tag, float or simple value")
        return major, 0, at + 1
    number, at = _argument(data, at + 1, first & 0x1F)
    if major < 2:
        if number >= INT_LIMIT - major:
            raise WireError("bad_range", "integer of more than 63 bits")
    elif major < _ARRAY and number > len(data) - at:
        raise WireError("truncated")
    return major, number, at


def _argument(data, at, number):
    """Return (argument, position behind it); `number` is the low five bits of the first byte."""
    if number < _ONE_BYTE:
        return number, at
    if number > 27:
        raise WireError("not_deterministic" if number == 31 else "bad_form", "indefinite or reserved length")
    size = 1 << (number - _ONE_BYTE)
    if at + size > len(data):
        raise WireError("truncated")
    number = int.from_bytes(data[at : at + size], "big")
    if number < _ONE_BYTE or (size > 1 and number < 1 << (size << 2)):
        raise WireError("not_deterministic", "longer head than needed")
    return number, at + size


def _write(out, value, depth):
    if value is None:
        out.append(_NULL)
        return
    kind = type(value)
    if kind is int:
        _write_int(out, value)
    elif kind is bytes:
        _write_head(out, 2, len(value))
        out.extend(value)
    elif kind is str:
        data = _utf8(value)
        _write_head(out, 3, len(data))
        out.extend(data)
    elif depth == DEPTH_MAX:
        raise WireError("too_deep")
    elif kind is dict:
        _write_map(out, value, depth + 1)
    elif isinstance(value, (list, tuple)):
        _write_head(out, _ARRAY, len(value))
        for item in value:
            _write(out, item, depth + 1)
    else:
        raise WireError("bad_type", kind.__name__)


def _write_int(out, value):
    if not -INT_LIMIT < value < INT_LIMIT:
        raise WireError("bad_range", "integer of more than 63 bits")
    if value < 0:
        _write_head(out, 1, -1 - value)
    else:
        _write_head(out, 0, value)


def _write_head(out, major, number):
    """Append a head byte by byte, which leaves no garbage on a small heap."""
    major <<= 5
    if number < _ONE_BYTE:
        out.append(major | number)
        return
    size = 0 if number < 0x100 else 1 if number < 0x10000 else 2 if number < 0x100000000 else 3
    out.append(major | _ONE_BYTE + size)
    for shift in range((8 << size) - 8, -8, -8):
        out.append(number >> shift & 0xFF)


def _write_map(out, value, depth):
    _write_head(out, _MAP, len(value))
    pairs = []
    for key in value:
        if type(key) not in (int, str, bytes):
            raise WireError("bad_type", "key of another type")
        key_bytes = bytearray()
        _write(key_bytes, key, depth)
        pairs.append((bytes(key_bytes), key))
    pairs.sort(key=lambda pair: pair[0])
    for key_bytes, key in pairs:
        out.extend(key_bytes)
        _write(out, value[key], depth)


def _utf8(value):
    try:
        data = value.encode()
    except UnicodeError:
        raise WireError("bad_type", "text is not UTF-8")
    if data and max(data) > 0x7F:
        _check_utf8(data)
    return data


def _check_utf8(data):
    """Raise WireError unless every sequence is well formed (Unicode table 3-7)."""
    missing = 0
    low, high = 0x80, 0xBF
    for byte in data:
        if missing:
            if not low <= byte <= high:
                raise WireError("bad_type", "text is not UTF-8")
            missing -= 1
            low, high = 0x80, 0xBF
        elif byte > 0x7F:
            if not 0xC2 <= byte <= 0xF4:
                raise WireError("bad_type", "text is not UTF-8")
            missing = 1 + (byte > 0xDF) + (byte > 0xEF)
            low = 0xA0 if byte == 0xE0 else 0x90 if byte == 0xF0 else 0x80
            high = 0x9F if byte == 0xED else 0x8F if byte == 0xF4 else 0xBF
    if missing:
        raise WireError("bad_type", "text is not UTF-8")
