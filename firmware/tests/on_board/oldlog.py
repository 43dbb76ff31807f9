"""A flash that another version's log has filled: the board begins a log of its own; prints its number and frames."""

import os

import nor
import vfs

from wattboard.logbook import Logbook
from wattboard.state import State
from wattwire import cose, frame, p256

GATEWAY = bytes(32)
SECRET = bytes(range(1, 33))

device = nor.Nor({}, 48)
vfs.VfsLfs2.mkfs(device)
vfs.mount(vfs.VfsLfs2(device), "/flash")
for folder in ("/flash/log", "/flash/log/3", "/flash/log/3/deep"):
    os.mkdir(folder)
number = 0
try:
    while True:
        with open("/flash/log/3/" + ("deep/" if number & 1 else "") + str(number), "wb") as file:
            file.write(bytes(3000))
        number += 1
except OSError:
    pass
state = State(nor.Nvs({"log": 3, "gw": GATEWAY}, device))
book = Logbook("/flash/log", state, 100000)
log, previous = book.open(GATEWAY)
assert previous is None
payload = frame.encode(
    frame.Record(
        frame.KIND_STREAMS, log.number, 1, bytes(16), 1, 1, None, None, frame.Streams((), {}, GATEWAY, None), {}
    )
)
log.append(cose.sign1(SECRET, cose.kid(p256.public_key(SECRET)), payload))
book.confirm(log, GATEWAY)
print(log.number, log.last, number > 20, os.listdir("/flash/log"))
