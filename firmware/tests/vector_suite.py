"""The vectors, checked in the language both interpreters share: run by pytest, and by MicroPython as it is.

`run(vectors, more)` returns one line per result, so that the two interpreters' results can be compared as well.
"""

import hashlib

from wattwire import cbor, cose, evidence, frame, interval, link, merkle, p256
from wattwire.errors import WireError


def run(vectors, more):
    lines = []
    for name, check in CHECKS:
        results = check(vectors, more)
        digest = hashlib.sha256(repr(results).encode()).digest()
        lines.append(" ".join((name, str(len(results)), bytes(digest).hex())))
    return lines


def check_frames(vectors, more):
    results = []
    for document in (vectors, more):
        secret = bytes.fromhex(document["key"]["secret_hex"])
        public = p256.public_key(secret)
        assert public.hex() == document["key"]["public_hex"]
        assert cose.kid(public).hex() == document["key"]["kid"]
        prev = bytes(16)
        for case in document["frames"]:
            sealed, payload = bytes.fromhex(case["hex"]), bytes.fromhex(case["payload"])
            assert cose.verify(public, sealed) == payload
            assert cose.sign1(secret, cose.kid(public), payload) == sealed
            record = frame.decode(payload)
            assert record.prev == prev
            assert frame.encode(record) == payload
            assert "seq" not in case or record.seq == case["seq"]
            prev = frame.prev_of(payload)
            results.append(prev)
    return results


def check_fields(_vectors, more):
    for case in more["frames"]:
        fields = cbor.decode(bytes.fromhex(case["payload"]))
        assert fields == from_plain(case["fields"]), case["what"]
        assert cbor.encode(fields).hex() == case["payload"]
    extra = frame.decode(bytes.fromhex(more["frames"][0]["payload"])).extra
    assert extra == {40: []}
    return [extra]


def check_refused(_vectors, more):
    public = bytes.fromhex(more["key"]["public_hex"])
    results = []
    for case in more["refused"]:
        try:
            frame.decode(cose.verify(public, bytes.fromhex(case["hex"])))
            reason = "taken"
        except WireError as error:
            reason = error.reason
        assert reason == case["reason"], case["what"] + ": " + reason
        results.append(reason)
    return results


def check_flipped_bits(vectors, _more):
    public = bytes.fromhex(vectors["key"]["public_hex"])
    sealed = bytes.fromhex(vectors["frames"][3]["hex"])
    results = []
    for bit in range(0, len(sealed) * 8, 29):
        data = bytearray(sealed)
        data[bit // 8] ^= 1 << bit % 8
        try:
            cose.verify(public, bytes(data))
            raise AssertionError("taken with a bit flipped: " + str(bit))
        except WireError as error:
            results.append(error.reason)
    return results


def check_mutated_payloads(vectors, _more):
    results = []
    for case in vectors["frames"]:
        payload = bytes.fromhex(case["payload"])
        for at in range(len(payload)):
            for change in (0x01, 0x20, 0x80, 0xFF):
                data = payload[:at] + bytes((payload[at] ^ change,)) + payload[at + 1 :]
                try:
                    assert frame.encode(frame.decode(data)) == data
                    results.append("taken")
                except WireError as error:
                    results.append(error.reason)
    return results


def check_link(vectors, more):
    case = vectors["ack"]
    key, sealed = bytes.fromhex(case["link_key"]), bytes.fromhex(case["payload"])
    ack = link.decode_ack(link.open(key, case["topic"], sealed))
    assert ack == (1, 3, 1790000161000)
    assert link.seal(key, case["topic"], link.encode_ack(*ack)) == sealed
    assert case["topic"] == link.topic(bytes.fromhex(vectors["key"]["kid"]), "ack")
    case = more["command"]
    key, sealed = bytes.fromhex(case["link_key"]), bytes.fromhex(case["payload"])
    command = link.decode_command(link.open(key, case["topic"], sealed))
    assert command == (1790000000123, "resend", [3, 2])
    assert link.seal(key, case["topic"], link.encode_command(*command)) == sealed
    return [ack, command]


def check_intervals(vectors, more):
    cases = more["intervals"]
    results = [compare(case["rows"], case, case["counters"], case["role"]) for case in cases]
    for case in vectors["intervals"]:
        counters = [(name, None) for name in case["counters"]]
        results.append(compare(vectors["rows"], case, counters, case["role"]))
    case = vectors["rollover"]
    results.append(compare(case["rows"], case, [("c", case["modulus"])], "pv"))
    return results


def check_evidence(vectors, more):
    records = [frame.decode(bytes.fromhex(case["payload"])) for case in vectors["frames"]]
    for case in vectors["intervals"]:
        if case["counters"]:
            assert evidence.figures(records, "0", case["a"], case["b"]) == case["figures"]
    expected = more["evidence"]
    records = [frame.decode(bytes.fromhex(case["payload"])) for case in more["frames"]]
    found = evidence.collect(records, expected["device"])
    assert (found.late, found.undated, found.unknown) == (expected["late"], 0, 0)
    names = ("power", "energy_import", "energy_export")
    rows = [[t, {name: found.columns[name][at] for name in names}] for at, t in enumerate(found.times)]
    assert rows == expected["rows"], rows
    for a, b, figures in expected["figures"]:
        assert evidence.figures(records, expected["device"], a, b) == figures
    assert evidence.ranges([(record.log, record.seq) for record in records]) == expected["ranges"]
    times, columns, stream = evidence.stream_rows(records, expected["device"], names)
    assert (times, sorted(columns), stream) == (found.times, sorted(names), found.stream)
    assert list(evidence.numbers(expected["ranges"])) == [(record.log, record.seq) for record in records]
    assert evidence.count(expected["ranges"]) == len(records)
    return [times]


def check_merkle(_vectors, more):
    leaves = [bytes.fromhex(case["hex"]) for case in more["frames"]]
    root, proof = merkle.root(leaves), merkle.proof(leaves, 2)
    assert root.hex() == more["evidence"]["root"]
    assert [digest.hex() for digest in proof] == more["evidence"]["proof_of_third"]
    assert merkle.check(leaves[2], 2, len(leaves), proof, root)
    assert not merkle.check(leaves[1], 2, len(leaves), proof, root)
    return [root]


def check_signatures(_vectors, more):
    for case in more["signatures"]:
        secret, digest, public, signature = [
            bytes.fromhex(case[name]) for name in ("secret", "digest", "public", "signature")
        ]
        assert p256.public_key(secret) == public
        assert p256.sign(secret, digest) == signature
        assert p256.verify(public, digest, signature)
        assert not p256.verify(public, signature[:32], signature)
    return [case["signature"] for case in more["signatures"]]


def check_arithmetic(_vectors, _more):
    results = []
    for value in (0, 1, -1, 999, -1000, -1001, 2**62, -(2**62), 10**40, -(10**40)):
        results += [evidence.to_milli(value, exponent) for exponent in (-18, -4, -3, 0, 5)]
    return results


CHECKS = (
    ("frames", check_frames),
    ("fields", check_fields),
    ("refused", check_refused),
    ("flipped_bits", check_flipped_bits),
    ("mutated_payloads", check_mutated_payloads),
    ("link", check_link),
    ("intervals", check_intervals),
    ("evidence", check_evidence),
    ("merkle", check_merkle),
    ("signatures", check_signatures),
    ("arithmetic", check_arithmetic),
)


def compare(rows, case, counters, role):
    """Check one interval; return its figures in an order that does not depend on the interpreter's dict."""
    times = [t for t, _ in rows]
    columns = {name: [values[name] for _, values in rows] for name in rows[0][1]}
    found = interval.figures(
        times, columns, role, tuple([tuple(counter) for counter in counters]), case["a"], case["b"]
    )
    assert found == case["figures"], (found, case)
    return [found["covered_ms"], sorted(found["energy"].items()), sorted(found["gap_energy"].items())]


def from_plain(value):
    """Undo the form in which JSON holds bytes and maps."""
    if isinstance(value, list):
        return [from_plain(item) for item in value]
    if isinstance(value, dict):
        if "hex" in value:
            return bytes.fromhex(value["hex"])
        return {from_plain(key): from_plain(item) for key, item in value["map"]}
    return value
