"""Cut the power at every flash operation of a log's life, in three ways each; prints how many cuts were survived."""

import gc
import json

import nor
import vfs

from wattboard import config
from wattboard.log import Log, LogFullError
from wattboard.logbook import Logbook
from wattboard.state import State
from wattwire import cose, frame, p256

BLOCKS = 24
LIMIT_BYTES = 4800
SEGMENT_BYTES = 1200
SECRET = bytes(range(1, 33))
PUBLIC = p256.public_key(SECRET)
KID = cose.kid(PUBLIC)
GATEWAY = (b"a" * 32, b"b" * 32)
SETTINGS = {
    "gateway": "00" * 32,
    "link_key": "11" * 32,
    "mqtt": {"host": "h", "port": 1, "user": "u", "password": "p"},
    "wifi": {"ssid": "s"},
    "bus": {"uart": 1, "baud": 9600, "tx": 1, "rx": 2},
    "streams": [{"role": "pv", "profile": "x", "unit": 1, "period_ms": 1000}],
}
OLD = json.dumps(SETTINGS)
NEW = OLD.replace("9600", "19200")


def make_frames(number, previous, count):
    """Return `count` signed frames of one log, chained; streams records all, so that each may open a segment."""
    frames = []
    prev = bytes(16)
    for seq in range(1, count + 1):
        body = frame.Streams(
            (), {"filler": "x" * (37 * seq % 200)}, GATEWAY[number & 1], previous if seq == 1 else None
        )
        payload = frame.encode(frame.Record(frame.KIND_STREAMS, number, seq, prev, 1, seq, None, None, body, {}))
        frames.append(cose.sign1(SECRET, KID, payload))
        prev = frame.prev_of(payload)
    return frames, prev


FIRST, LAST_PREV = make_frames(1, None, 26)
SECOND, _ = make_frames(2, (20, frame.prev_of(cose.parse(FIRST[19])[1])), 4)


class World:
    """What the outside knows: which frames were confirmed to be on flash, what was acknowledged."""

    def __init__(self):
        self.confirmed = {}  # log: last frame whose append returned
        self.acked = {}
        self.begun = 0  # the last log that was confirmed
        self.boots = 0
        self.command = 0
        self.stored_config = False


def mounted(device, store):
    vfs.mount(device_fs(device), "/flash")
    return State(nor.Nvs(store, device))


def device_fs(device):
    return vfs.VfsLfs2(device)


def live(device, store, world):
    """A log's life: fill it, acknowledge, drop, store a configuration, begin a second log."""
    state = mounted(device, store)
    world.boots = state.next_boot()
    book = Logbook("/flash/log", state, LIMIT_BYTES)
    book_log, _ = open_small(book, GATEWAY[1])
    for seq in range(1, 21):
        try:
            book_log.append(FIRST[seq - 1])
        except LogFullError:
            book_log.acknowledge(seq - 2)
            world.acked[1] = seq - 2
            book_log.append(FIRST[seq - 1])
        world.confirmed[1] = seq
        if seq == 1:
            book.confirm(book_log, GATEWAY[1])
            world.begun = 1
        if seq == 10:
            config.store(NEW, "/flash/config.json")
            world.stored_config = True
        if seq == 12:
            state.set_command(12345678901234)
            world.command = 12345678901234
        if seq in (9, 18):
            book_log.rewind(seq - 6)
            world.acked[1] = seq - 6
    log, previous = open_small(book, GATEWAY[0])
    assert previous == (20, frame.prev_of(cose.parse(FIRST[19])[1])), previous
    for seq in range(1, 5):
        log.append(SECOND[seq - 1])
        world.confirmed[2] = seq
        if seq == 1:
            book.confirm(log, GATEWAY[0])
            world.begun = 2


def open_small(book, gateway):
    log, previous = book.open(gateway)
    log.segment_bytes = SEGMENT_BYTES
    return log, previous


def check(device, store, world):
    """After the cut: everything promised is there, and the board can go on."""
    state = mounted(device, store)
    assert state.next_boot() > world.boots, "boot counter"
    assert state.command() in (world.command, 12345678901234), "command counter"
    with open("/flash/config.json") as file:
        text = file.read()
    assert text == NEW or (text == OLD and not world.stored_config), "configuration"
    number = state.log()
    assert number in (world.begun, world.begun + 1), "log counter"
    if not number:
        return
    frames = (FIRST, SECOND)[number - 1]
    log = Log("/flash/log", number, LIMIT_BYTES, SEGMENT_BYTES)
    confirmed = world.confirmed.get(number, 0)
    assert confirmed <= log.last <= confirmed + 1, (confirmed, log.last)
    assert log.acked <= max(world.acked.get(number, 0), 0) + 16, "cursor"
    first = log.segments[0].first
    assert first <= world.acked.get(number, 0) + 1, "dropped what was not acknowledged"
    for seq in range(first, log.last + 1):
        assert log.read(seq) == frames[seq - 1], seq
    assert log.read(log.last + 1) is None and not log.holes
    assert log.prev == frame.prev_of(cose.parse(frames[log.last - 1])[1])
    if log.last < len(frames):
        log.acknowledge(log.last)
        log.append(frames[log.last])
        again = Log("/flash/log", number, LIMIT_BYTES, SEGMENT_BYTES)
        assert again.last == log.last and again.read(again.last) == frames[again.last - 1]


def fresh():
    """Return the blocks of a formatted flash with the old configuration."""
    device = nor.Nor({}, BLOCKS)
    vfs.VfsLfs2.mkfs(device)
    vfs.mount(vfs.VfsLfs2(device), "/flash")
    config.store(OLD, "/flash/config.json")
    vfs.umount("/flash")
    return device.blocks


def copied(blocks):
    return {number: bytearray(block) for number, block in blocks.items()}


def main():
    base = fresh()
    whole = nor.Nor(copied(base), BLOCKS)
    live(whole, {}, World())
    vfs.umount("/flash")
    cuts = 0
    for at in range(1, whole.operations + 1):
        for tear in nor.TEARS:
            blocks, store, world = copied(base), {}, World()
            device = nor.Nor(blocks, BLOCKS, at, tear)
            try:
                live(device, store, world)
            except BaseException:
                if not device.dead:
                    raise
                cuts += 1  # PowerCut, or what became of it while files were closed on a dead flash
            device.dead = True
            vfs.umount("/flash")
            try:
                check(nor.Nor(blocks, BLOCKS), store, world)
            except BaseException:
                print("operation", at, tear, world.confirmed, world.acked)
                raise
            vfs.umount("/flash")
            gc.collect()
    print(whole.operations, cuts)


main()
