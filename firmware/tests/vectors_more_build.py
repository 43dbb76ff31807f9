"""Builds vectors_more.json without wattwire: with cbor2, PyCA's P-256 and the clauses written down slowly.

`python firmware/tests/vectors_more_build.py` writes the file anew.
"""

import hashlib
import hmac
import json
import random
import runpy
from itertools import pairwise
from pathlib import Path

import cbor2
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, utils
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

TESTS = Path(__file__).resolve().parent
FILE = TESTS / "vectors_more.json"
REFUSED = runpy.run_path(str(TESTS / "vectors_refused.py"))
reference = runpy.run_path(str(TESTS / "interval_reference.py"))["figures"]

ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
SECRET = hashlib.sha256(b"wattness: the second test board").digest()
KEY = ec.derive_private_key(int.from_bytes(SECRET, "big"), ec.SECP256R1())
PUBLIC = KEY.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
KID = hashlib.sha256(PUBLIC).digest()[:8]
T = 1_790_000_000_000
SERIAL = hashlib.sha256(b"serial 4711").digest()[:16]
MODULUS = 10_000  # in units of 10 Wh


def dumps(value):
    return cbor2.dumps(value, canonical=True)


def raw_signature(message, key=KEY):
    der = key.sign(message, ec.ECDSA(hashes.SHA256(), deterministic_signing=True))
    return utils.decode_dss_signature(der)


def seal(payload, protected=None, unprotected=None, *, high=False, aad=b"wattwire/1"):
    """Return the COSE_Sign1 of a payload; the arguments make it a wrong one."""
    protected = dumps({1: -7, 4: KID}) if protected is None else protected
    r, s = raw_signature(dumps(["Signature1", protected, aad, payload]))
    s = max(s, ORDER - s) if high else min(s, ORDER - s)
    signature = r.to_bytes(32, "big") + s.to_bytes(32, "big")
    return cbor2.dumps(cbor2.CBORTag(18, [protected, unprotected or {}, payload, signature]))


class Board:
    """Chains records as a board does."""

    def __init__(self):
        self.frames = []
        self.prev = bytes(16)
        self.streams_hash = bytes(16)

    def add(self, what, boot, up, unix, **body):
        fields = {1: 3, 2: len(self.frames) + 1, 3: self.prev, 4: boot, 5: up, 6: unix}
        fields |= {int(key[1:]): value for key, value in body.items()}
        payload = dumps(fields)
        self.prev = hashlib.sha256(payload).digest()[:16]
        frame = {"what": what, "hex": seal(payload).hex(), "payload": payload.hex(), "fields": plain(fields)}
        self.frames.append(frame)
        return fields


def plain(value):
    """Return what JSON can hold: bytes as {"hex": …}, maps as pairs in the order of their encoded keys."""
    if isinstance(value, bytes):
        return {"hex": value.hex()}
    if isinstance(value, list):
        return [plain(item) for item in value]
    if isinstance(value, dict):
        keys = sorted(value, key=cbor2.dumps)
        return {"map": [[plain(key), plain(value[key])] for key in keys]}
    return value


def differences(values):
    """The column form: a value, then differences from the last one that is not null."""
    known = [0] + [value for value in values if value is not None]
    steps = iter([second - first for first, second in pairwise(known)])
    return [None if value is None else next(steps) for value in values]


def entry(stream, start, dt, rows):
    """Encode rows of (power mW, import mWh, export mWh) as an inverted meter reads them; None is null."""
    powers = [None if row[0] is None else -row[0] // 100 for row in rows]
    exports = [None if row[2] is None else row[2] // 10_000 for row in rows]
    imports = [None if row[1] is None else row[1] // 10_000 % MODULUS for row in rows]
    return [stream, start, dt, [differences(column) for column in (powers, exports, imports)]]


GRID = {
    0: "grid",
    1: "eastron_sdm630",
    2: hashlib.sha256(b"a profile").digest()[:16],
    3: 2,
    4: [["power", "W", -1], ["energy_import", "Wh", 1, MODULUS], ["energy_export", "Wh", 1, MODULUS]],
    5: SERIAL,
    7: 1,
}
PV = {0: "pv", 1: "sunspec", 2: bytes(16), 3: 1, 4: [["power", "W", 0]], 6: 6000}
GATEWAY = hashlib.sha256(b"a gateway").digest()


def board():
    """Return a board's frames and the grid meter's true rows, in milli-units."""
    made = Board()
    wh = 1_000_000  # a step of 1 kWh in mWh
    truth = []

    def rows(start, dt, values):
        steps = [dt] * (len(values) - 1) if isinstance(dt, int) else dt
        times = [start + sum(steps[:at]) for at in range(len(values))]
        truth.extend(zip(times, values, strict=True))
        return values

    streams = {"k0": 1, "k10": [PV, GRID], "k11": {"model": "ESP32", "seen": 2}, "k15": GATEWAY}
    made.add(
        "streams that follow another log, a key from 32 on", 5, 100, None, k16=[7, bytes(range(16))], k40=[], **streams
    )
    first = made.prev
    undated = rows(T + 1000, 10_000, [(100_000, 98_000_000, 0), (-200_000, 98_500_000, wh), (None, None, None)])
    made.add("undated rows, with nulls", 5, 1000, None, k0=2, k12=first, k13=[entry(1, 0, 10_000, undated)])
    dated = rows(T + 40_000, [500, 60_000], [(300_000, 99_000_000, wh), (0, 99_990_000, wh), (-100, 100_010_000, wh)])
    both = [[0, 0, 1000, [[5000, 1, None, -2]]], entry(1, 0, [500, 60_000], dated)]
    made.add("dated rows of two streams, a roll-over", 5, 40_000, T + 40_000, k0=2, k12=first, k13=both)
    made.add("health behind a hole", 5, 130_000, T + 130_000, k0=3, k7=[2, 2], k14={"heap_free": 90_000, "rssi": None})
    made.add("streams after a restart", 6, 50, None, k16=None, **streams)
    late = [(7_000_000, 120_000_000, wh)] * 2  # at the time of the last row, so left out
    later = rows(T + 230_500, 5000, [(50_000, 101_000_000, 2 * wh), (60_000, 101_000_000, 3 * wh)])
    body = [entry(1, 0, 1000, late), entry(1, 130_000, 5000, later)]
    made.add("a clock set too early: late rows", 6, 500, T + 100_500 - 1000, k0=2, k12=made.prev, k13=body)
    truth[-2:] = [(t - 1000, values) for t, values in truth[-2:]]
    return made.frames, truth


def evidence(frames, truth):
    names = ("power", "energy_import", "energy_export")
    values = [(t, dict(zip(names, row, strict=True))) for t, row in truth]
    wrapped = [(t, row | {"energy_import": wrap(row["energy_import"])}) for t, row in values]
    counters = (("energy_export", 100_000_000), ("energy_import", 100_000_000))
    spans = [(T, T + 300_000), (T + 15_000, T + 80_000), (T + 229_000, T + 231_000), (T - 9, T)]
    return {
        "device": SERIAL.hex(),
        "late": 2,
        "rows": [[t, row] for t, row in wrapped],
        "figures": [[a, b, reference(wrapped, "grid", counters, a, b)] for a, b in spans],
        "ranges": [[3, 1, len(frames)]],
        "root": tree(leaves(frames)).hex(),
        "proof_of_third": [digest.hex() for digest in path(2, leaves(frames))],
    }


def wrap(mwh):
    return None if mwh is None else mwh % 100_000_000


def leaves(frames):
    return [bytes.fromhex(frame["hex"]) for frame in frames]


def split(size):
    return 1 << ((size - 1).bit_length() - 1)


def tree(items):
    if len(items) == 1:
        return hashlib.sha256(b"\x00" + items[0]).digest()
    half = split(len(items))
    return hashlib.sha256(b"\x01" + tree(items[:half]) + tree(items[half:])).digest()


def path(index, items):
    if len(items) == 1:
        return []
    half = split(len(items))
    if index < half:
        return [*path(index, items[:half]), tree(items[half:])]
    return [*path(index - half, items[half:]), tree(items[:half])]


def intervals(count):
    """Return random cases of §4, each of at most 12 rows."""
    chance = random.Random(20)
    cases = []
    for number in range(count):
        times, at = [], 0
        for _ in range(chance.randrange(2, 12)):
            at += chance.choice([1, 1000, 10_000, 60_000, 119_999, 120_000, 120_001, chance.randrange(1, 200_000)])
            times.append(at)
        modulus = chance.choice([None, 1000, 100_000, 1 << 32])
        level, rows = chance.randrange(1000), []
        for t in times:
            level = chance.choice([level, level + 1, level + chance.randrange(9000), chance.randrange(9)])
            level = level % modulus if modulus else level
            null = chance.randrange(6) == 0
            power = None if chance.randrange(6) == 0 else chance.randrange(-5_000_000, 5_000_000)
            rows.append([t, {"power": power, "energy_import": None if null else level}])
        counters = [["energy_import", modulus]] if number % 3 else []
        role = chance.choice(["pv", "battery", "grid", "load", "vehicle", "charger"])
        a = chance.choice([0, times[0], chance.randrange(at)])
        b = a + chance.choice([60_000, 300_000, at])
        found = reference(rows, role, [tuple(counter) for counter in counters], a, b)
        cases.append({"rows": rows, "role": role, "counters": counters, "a": a, "b": b, "figures": found})
    return cases


def signatures(count):
    found = []
    for number in range(count):
        secret = hashlib.sha256(b"secret %d" % number).digest()
        key = ec.derive_private_key(int.from_bytes(secret, "big"), ec.SECP256R1())
        r, s = raw_signature(b"message %d" % number, key)
        signature = r.to_bytes(32, "big") + min(s, ORDER - s).to_bytes(32, "big")
        public = key.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
        digest = hashlib.sha256(b"message %d" % number).digest()
        parts = {"secret": secret, "digest": digest, "public": public, "signature": signature}
        found.append({name: part.hex() for name, part in parts.items()})
    return found


def command():
    topic = f"wattness/1/{KID.hex()}/cmd"
    body = cbor2.dumps([1_790_000_000_123, "resend", [3, 2]])
    tag = hmac.digest(GATEWAY, topic.encode() + b"\x00" + body, "sha256")[:16]
    return {"link_key": GATEWAY.hex(), "topic": topic, "payload": (body + tag).hex()}


def document():
    frames, truth = board()
    refused = [(what, seal(payload), reason) for what, payload, reason in REFUSED["records"]()]
    refused += REFUSED["envelopes"](seal, KID)
    return {
        "note": "Built by vectors_more_build.py without wattwire. Values in rows are milli-units (mW, mWh).",
        "key": {"secret_hex": SECRET.hex(), "public_hex": PUBLIC.hex(), "kid": KID.hex()},
        "frames": frames,
        "refused": [{"what": what, "hex": frame.hex(), "reason": reason} for what, frame, reason in refused],
        "evidence": evidence(frames, truth),
        "intervals": intervals(45),
        "signatures": signatures(6),
        "command": command(),
    }


def text():
    """Return the file's text: one line per item, so that a change shows where it is."""
    parts = []
    for key, value in document().items():
        if isinstance(value, list):
            lines = ",\n  ".join(json.dumps(item, ensure_ascii=False) for item in value)
            parts.append(f'"{key}": [\n  {lines}\n]')
        else:
            parts.append(f'"{key}": {json.dumps(value, ensure_ascii=False)}')
    return "{\n" + ",\n".join(parts) + "\n}\n"


if __name__ == "__main__":
    FILE.write_text(text())
