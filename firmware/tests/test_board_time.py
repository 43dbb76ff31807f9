"""Network time and TLS, as the board uses them."""

import asyncio
import datetime as dt
import ipaddress
import runpy
import ssl
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from hypothesis import given
from hypothesis import strategies as st

from emulator.board import Cause
from wattboard import preflight, sntp
from wattboard.clock import Clock
from wattwire import frame
from wattwire.errors import WireError

_harness = runpy.run_path(str(Path(__file__).with_name("board_world.py")))
world = _harness["world"]
NONCE = b"12345678"
NTP_OF_UNIX_0 = 2208988800


def answer(unix_ms: int, nonce: bytes = NONCE, first: int = 0x24, stratum: int = 2) -> bytes:
    """Return what a time server says."""
    seconds, ms = divmod(unix_ms, 1000)
    stamp = ((seconds + NTP_OF_UNIX_0) % (1 << 32)).to_bytes(4, "big") + ((ms << 32) // 1000 + 1).to_bytes(4, "big")
    return bytes((first, stratum)) + bytes(22) + nonce + stamp + stamp


@given(st.integers(1_000_000_000_000, 4_000_000_000_000))
def test_the_time_comes_back_even_beyond_2036(unix_ms):
    assert sntp.unix_ms(answer(unix_ms), NONCE) == unix_ms


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "truncated"),
        (answer(0, nonce=b"87654321"), "bad_form"),
        (answer(0, first=0x23), "bad_form"),
        (answer(0, first=0xE4), "bad_range"),
        (answer(0, stratum=0), "bad_range"),
        (answer(0, stratum=16), "bad_range"),
    ],
)
def test_what_is_no_answer_is_refused(data, reason):
    with pytest.raises(WireError) as found:
        sntp.unix_ms(data, NONCE)
    assert found.value.reason == reason


def test_network_time_wins():
    clock = Clock(1000)
    assert clock.acknowledged(50_000, 0)
    assert clock.heard(90_000, 0)
    assert not clock.acknowledged(50_000, 0)
    assert clock.unix(1) == 90_001


class TimeServer(asyncio.DatagramProtocol):
    """Answers with a fixed time."""

    unix_ms = 1_800_000_000_000

    def connection_made(self, transport):
        self.transport = transport

    def datagram_received(self, data, address):
        assert len(data) == sntp.SIZE
        self.transport.sendto(answer(self.unix_ms, nonce=data[-sntp.NONCE_SIZE :]), address)


@pytest.mark.timeout(180)
async def test_a_board_with_network_time_dates_its_rows_by_it(tmp_path):
    server, _ = await asyncio.get_running_loop().create_datagram_endpoint(TimeServer, local_addr=("127.0.0.1", 0))
    port = server.get_extra_info("sockname")[1]
    boot = _harness["BOOT"] + b"\nfrom wattboard import sntp\nsntp.PORT = %d\n" % port
    try:
        async with world(tmp_path, boot=boot, ntp="127.0.0.1") as its:
            await its.until(lambda: len(its.gateway.of_kind(frame.KIND_ROWS)) >= 2)
            records = list(its.gateway.records.values())
            dated = [record for record in records if record.unix is not None]
            assert dated[-1].unix - dated[-1].up == pytest.approx(TimeServer.unix_ms, abs=60_000)
            assert all(record.up < 3_600_000 for record in records), "the uptime did not jump with the RTC"
    finally:
        server.close()


def _usage(*, signs: bool) -> x509.KeyUsage:
    """What RFC 5280 wants said, and Python from 3.13 on insists on."""
    usages = ("content_commitment", "key_encipherment", "data_encipherment", "key_agreement", "encipher_only")
    return x509.KeyUsage(
        digital_signature=True, key_cert_sign=signs, crl_sign=signs, decipher_only=False, **dict.fromkeys(usages, False)
    )


def certificates(folder: Path) -> tuple[bytes, str]:
    """Make a CA and a server's certificate for localhost; return the CA's in PEM and nats-server's settings."""
    now = dt.datetime.now(dt.UTC)
    names, keys = {}, {}
    for who in ("ca", "server"):
        keys[who] = ec.generate_private_key(ec.SECP256R1())
        names[who] = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, who)])
    made = {}
    for who in ("ca", "server"):
        builder = (
            x509.CertificateBuilder()
            .subject_name(names[who])
            .issuer_name(names["ca"])
            .public_key(keys[who].public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - dt.timedelta(days=1))
            .not_valid_after(now + dt.timedelta(days=1))
            .add_extension(x509.BasicConstraints(ca=who == "ca", path_length=None), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(keys[who].public_key()), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(keys["ca"].public_key()), critical=False)
            .add_extension(_usage(signs=who == "ca"), critical=True)
        )
        if who == "server":
            alternatives = [x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
            builder = builder.add_extension(x509.SubjectAlternativeName(alternatives), critical=False)
        made[who] = builder.sign(keys["ca"], hashes.SHA256()).public_bytes(serialization.Encoding.PEM)
    (folder / "cert.pem").write_bytes(made["server"])
    (folder / "key.pem").write_bytes(
        keys["server"].private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    return made["ca"], f'tls {{ cert_file: "{folder}/cert.pem", key_file: "{folder}/key.pem" }}'


@pytest.mark.timeout(180)
@pytest.mark.parametrize("trusted", [True, False])
async def test_tls_is_spoken_only_with_a_broker_that_the_ca_vouches_for(tmp_path, trusted):
    folders = [tmp_path / "one", tmp_path / "other"]
    for folder in folders:
        folder.mkdir()
    ca, tls = certificates(folders[0])
    other, _ = certificates(folders[1])
    context = ssl.create_default_context(cadata=ca.decode())
    async with world(tmp_path, tls=(tls, context), files={"/ca.pem": ca if trusted else other}) as its:
        if trusted:
            await its.until(lambda: its.gateway.last() >= 2)
        else:
            await its.until(lambda: "certificate refused" in its.board.console.text())
            assert its.gateway.frames == {}


SHORT_AT_FIRST = b"""
import esp32
asked = []
def idf_heap_info(_):
    asked.append(None)
    free = 20000 if len(asked) < 4 else 60000  # health records ask, too
    return [(100000, free, free, free), (16000, 4000, 4000, 4000)]
esp32.idf_heap_info = idf_heap_info
"""


@pytest.mark.timeout(180)
async def test_tls_waits_for_room_in_the_idf_heap_and_says_so(tmp_path):
    (tmp_path / "one").mkdir()
    ca, tls = certificates(tmp_path / "one")
    context = ssl.create_default_context(cadata=ca.decode())
    boot = _harness["BOOT"] + SHORT_AT_FIRST
    async with world(tmp_path, boot=boot, tls=(tls, context), files={"/ca.pem": ca}, health_ms=5000) as its:
        await its.until(lambda: len(its.gateway.of_kind(frame.KIND_HEALTH)) >= 2)
        refusals = its.board.console.text().count("no room for tls: 36000 bytes of IDF heap")
        assert refusals
        values = [record.body.values for record in its.gateway.of_kind(frame.KIND_HEALTH)]
        assert any("no room for tls" in value.get("no_room_tls", "") for value in values)
        await its.until(lambda: "no_room_tls" not in its.gateway.of_kind(frame.KIND_HEALTH)[-1].body.values)
        assert its.gateway.of_kind(frame.KIND_HEALTH)[-1].body.values["preflight_refusals"] == refusals
        assert its.board.causes == [Cause.POWER_ON]


@pytest.mark.parametrize(
    ("uses", "regions", "words"),
    [
        (("tls",), [(60000, 40000)], None),
        (("tls",), [(60000, 17000), (60000, 17000)], "17500 of them in one piece; there are 104000 and 17000"),
        (("tls",), [(40000, 40000)], "no room for tls: 36000 bytes of IDF heap"),
        (("ble",), [(50000, 40000), (16000, 9000)], None),
        (("ble", "tls"), [(90000, 50000)], "no room for ble and tls: 86000 bytes"),
        (("ble", "tls"), [(102000, 50000)], None),
        (("ble", "tls"), [(4_000_000, 4_000_000), (50000, 20000)], None),
        (("tls",), [(0, 0)], "there are 0 and 0"),
        (("ble", "wifi", "tls"), [(113_840, 90_000)], "no room for ble and wifi and tls: 107000 bytes"),
    ],
)
def test_room_is_told_from_want(uses, regions, words):
    short = preflight.short(uses, regions)
    assert short is None if words is None else words in short
