"""MQTT 3.1.1, the client's half: packets to bytes, bytes to packets, no I/O.

Only what a board needs is spoken: clean sessions and QoS 0 and 1. Topic names are printable ASCII, as ours are.
"""

from collections import namedtuple

from wattwire.errors import WireError

PACKET_BYTES_MAX = 8192 + 512
TEXT_BYTES_MAX = 0xFFFF
LENGTH_MAX = 0x0FFF_FFFF  # four bytes of seven bits

PINGREQ = b"\xc0\x00"
DISCONNECT = b"\xe0\x00"

Connack = namedtuple("Connack", ("session_present", "code"))
Publish = namedtuple("Publish", ("topic", "payload", "qos", "retain", "dup", "packet_id"))
Puback = namedtuple("Puback", ("packet_id",))
Suback = namedtuple("Suback", ("packet_id", "codes"))
Pingresp = namedtuple("Pingresp", ())
Will = namedtuple("Will", ("topic", "payload", "qos", "retain"))


def connect(client_id, keepalive_s, user=None, password=None, will=None):
    """Return a CONNECT with a clean session."""
    flags = 0x02
    body = _text(client_id)
    if will is not None:
        flags |= 0x04 | _qos(will.qos) << 3 | (0x20 if will.retain else 0)
        body += _topic_name(will.topic) + _text(will.payload)
    if user is not None:
        flags |= 0x80
        body += _text(user)
    if password is not None:
        if user is None:
            raise WireError("bad_form", "password without user")
        flags |= 0x40
        body += _text(password)
    return _packet(0x10, b"\x00\x04MQTT\x04" + bytes((flags,)) + _u16(keepalive_s, 0) + body)


def publish_head(topic, payload_size, packet_id=None, *, retain=False, dup=False):
    """Return what precedes the payload of a PUBLISH, so that a large payload need not be copied; QoS 1 if numbered."""
    head = _topic_name(topic)
    first = 0x30 | (0x01 if retain else 0)
    if packet_id is not None:
        first |= 0x0A if dup else 0x02
        head += _u16(packet_id, 1)
    elif dup:
        raise WireError("bad_form", "dup with qos 0")
    return bytes((first,)) + _length(len(head) + payload_size) + head


def publish(topic, payload, packet_id=None, *, retain=False, dup=False):
    """Return a PUBLISH: QoS 1 if it has a packet id, else QoS 0."""
    return publish_head(topic, len(payload), packet_id, retain=retain, dup=dup) + payload


def puback(packet_id):
    """Return a PUBACK."""
    return b"\x40\x02" + _u16(packet_id, 1)


def subscribe(packet_id, filters):
    """Return a SUBSCRIBE for `filters`, pairs of topic filter and highest QoS."""
    if not filters:
        raise WireError("bad_form", "no filter")
    body = _u16(packet_id, 1)
    for name, qos in filters:
        body += _text(name) + bytes((_qos(qos),))
    return _packet(0x82, body)


class Reader:
    """Takes what the socket gave, in any pieces; gives the packets a server may send."""

    def __init__(self, packet_bytes_max=PACKET_BYTES_MAX):
        self.packet_bytes_max = packet_bytes_max
        self.buffer = bytearray()
        self.failed = None

    def feed(self, data):
        """Yield each packet that is whole, in order; WireError at the first wrong byte and ever after."""
        if self.failed is not None:
            raise self.failed
        self.buffer.extend(data)
        try:
            while True:
                span = self._span()
                if span is None:
                    return
                start, end = span
                packet = _decode(self.buffer[0], bytes(self.buffer[start:end]))
                self.buffer = self.buffer[end:]
                yield packet
        except WireError as error:
            self.failed = error
            self.buffer = bytearray()
            raise

    def _span(self):
        """Return where the first packet's body starts and ends, or None while it is not whole."""
        buffer = self.buffer
        if not buffer:
            return None
        _check_first(buffer[0])
        size = 0
        for index in range(4):
            if len(buffer) < index + 2:
                return None
            byte = buffer[index + 1]
            size |= (byte & 0x7F) << 7 * index
            if size > self.packet_bytes_max:
                raise WireError("too_long", "packet")
            if byte < 0x80:
                if index and not byte:
                    raise WireError("bad_form", "length")
                start = index + 2
                return (start, start + size) if len(buffer) >= start + size else None
        raise WireError("bad_form", "length")


def _check_first(first):
    """Refuse a packet type or flags that a server never sends to us, before its body is waited for."""
    kind = first >> 4
    if kind == 3:
        if first & 0x06 > 0x02 or first & 0x0E == 0x08:
            raise WireError("bad_form", "publish flags")
    elif kind not in (2, 4, 9, 13):
        raise WireError("bad_type", str(kind))
    elif first & 0x0F:
        raise WireError("bad_form", "flags")


def _decode(first, body):
    kind = first >> 4
    if kind == 3:
        return _decode_publish(first, body)
    if kind == 9:
        return _decode_suback(body)
    size = 0 if kind == 13 else 2
    if len(body) != size:
        raise WireError("truncated" if len(body) < size else "trailing_bytes")
    if kind == 13:
        return Pingresp()
    if kind == 4:
        return Puback(_packet_id(body, 0))
    if body[0] > 1 or body[1] > 5 or (body[0] and body[1]):
        raise WireError("bad_range", "connack")
    return Connack(body[0], body[1])


def _decode_publish(first, body):
    qos = first >> 1 & 3
    if len(body) < 2:
        raise WireError("truncated", "topic")
    end = 2 + (body[0] << 8 | body[1])
    start = end + 2 if qos else end
    if len(body) < start:
        raise WireError("truncated", "topic")
    topic = _check_topic(body[2:end])
    packet_id = _packet_id(body, end) if qos else None
    return Publish(topic.decode(), body[start:], qos, first & 1, first >> 3 & 1, packet_id)


def _decode_suback(body):
    if len(body) < 3:
        raise WireError("truncated", "suback")
    codes = body[2:]
    for code in codes:
        if code not in (0, 1, 0x80):
            raise WireError("bad_range", "suback")
    return Suback(_packet_id(body, 0), codes)


def _packet_id(body, at):
    packet_id = body[at] << 8 | body[at + 1]
    if not packet_id:
        raise WireError("bad_range", "packet id")
    return packet_id


def _check_topic(name):
    """Return a topic name's bytes, or raise WireError: not empty, printable ASCII, no wildcard."""
    if not name:
        raise WireError("bad_form", "empty topic")
    if min(name) < 0x20 or max(name) > 0x7E or b"+" in name or b"#" in name:
        raise WireError("bad_form", "topic")
    return name


def _topic_name(topic):
    return _text(_check_topic(topic.encode()))


def _text(value):
    data = value.encode() if isinstance(value, str) else value
    if len(data) > TEXT_BYTES_MAX:
        raise WireError("too_long", "text")
    return _u16(len(data), 0) + data


def _u16(value, low):
    if not low <= value <= 0xFFFF:
        raise WireError("bad_range", str(value))
    return bytes((value >> 8, value & 0xFF))


def _qos(qos):
    if qos not in (0, 1):
        raise WireError("bad_range", "qos")
    return qos


def _length(size):
    if size > LENGTH_MAX:
        raise WireError("too_long", "packet")
    out = b""
    while size > 0x7F:
        out += bytes((size & 0x7F | 0x80,))
        size >>= 7
    return out + bytes((size,))


def _packet(first, body):
    return bytes((first,)) + _length(len(body)) + body
