"""Fill a small LittleFS to its last block, again and again; prints how many frames were refused and how many kept."""

import nor
import vfs

from wattboard.log import Log, LogFullError
from wattwire import cose, frame

KID = bytes(8)
vfs.VfsLfs2.mkfs(nor.Nor({}, 4))
device = nor.Nor({}, 16)
vfs.VfsLfs2.mkfs(device)
vfs.mount(vfs.VfsLfs2(device), "/flash")
log = Log("/flash/log", 1, 1 << 30, 4096)
frames = {}
refused = 0


def append():
    body = frame.Streams((), {"filler": "x" * (300 + 17 * log.last % 400)}, bytes(32), None)
    record = frame.Record(frame.KIND_STREAMS, 1, log.last + 1, log.prev, 1, log.last, None, None, body, {})
    data = cose.join(KID, frame.encode(record), bytes(32) + b"\x01" + bytes(31))
    log.append(data)
    frames[log.last] = data


def check():
    for found in (log, Log("/flash/log", 1, 1 << 30, 4096)):
        assert found.last == log.last
        for seq in range(log.segments[0].first, log.last + 1):
            assert found.read(seq) == frames[seq], seq


for turn in range(6):
    try:
        while True:
            append()
    except LogFullError:
        refused += 1
    assert log.segments[0].first <= log.acked + 1, "dropped what was not acknowledged"
    check()
    with_room = log.last
    log.acknowledge(log.last - 3 * turn)
    append()  # room is made by itself
    assert log.last == with_room + 1
    check()
print(refused, log.last, log.segments[0].first)
