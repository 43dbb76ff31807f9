"""Sourceful's Nova: an MQTT broker that checks each connection's token itself, and every message that comes over it.

A broker cannot refuse a message in MQTT 3.1.1: what is not good is acknowledged, dropped and counted, as Nova does.
"""

import base64
import json
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256

from civilclock import Clock
from wattnet.faults import Faults, drawing

from .base import Ledger, Served
from .mqttserver import ACCEPTED, BAD_LOGIN, NOT_AUTHORISED, Login, MqttServer, Publication, listening, suffer

SERIAL = "wattness-sandbox"
TTL_S_MAX = 600
SKEW_S = 60
INVENTORY_BYTES_MAX = 128 * 1024
LEVEL = r"[A-Za-z0-9_-]+"
TELEMETRY = re.compile(rf"gateways/({LEVEL})/devices/({LEVEL})/ders/({LEVEL})/telemetry/json/v1")
INVENTORY = re.compile(rf"gateways/({LEVEL})/inventory/drivers/json/v1")
RFC3339 = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?Z")

COMMON = {"legacy": {"type", "make", "timestamp", "read_time_ms", "W"}}
COMMON["unified"] = {"type", "make", "model", "serial", "hardware_id", "ts_ms", "w", "temp_c"}
KNOWN = {
    ("legacy", "solar"): "rated_power_W mppt1_V mppt1_A mppt2_V mppt2_A heatsink_C total_generation_Wh",
    ("legacy", "battery"): "A V SoC_nom_fract capacity_Wh heatsink_C total_charge_Wh total_discharge_Wh",
    ("legacy", "meter"): "Hz L1_V L2_V L3_V L1_A L2_A L3_A total_import_Wh total_export_Wh",
    ("legacy", "ev_port"): "plug_connected vehicle_soc_fract session_charge_Wh status",
    ("unified", "solar"): "mppt1_v mppt1_a mppt2_v mppt2_a total_generation_wh",
    ("unified", "battery"): "soc capacity_wh dc_v dc_a dc_w total_charge_wh total_discharge_wh",
    ("unified", "meter"): "l1_w l2_w l3_w l1_v l2_v l3_v l1_a l2_a l3_a freq_hz total_import_wh total_export_wh",
    ("unified", "ev_port"): "connected charging session_wh vehicle_soc",
}
WORDS = {"type", "make", "model", "serial", "hardware_id", "timestamp", "status"}
FLAGS = {"plug_connected", "connected", "charging"}


class BadMessageError(Exception):
    """What Nova drops; its text is the reason."""


class Nova:
    """One claimed gateway, its provisioned devices, and what came."""

    def __init__(self, public_key: bytes, clock: Clock, faults: Faults) -> None:
        self.provisioned: set[str] | None = None  # hardware ids; None: whatever comes
        self.ledger = Ledger()
        self.states: list[dict[str, Any]] = []  # that were taken
        self.inventories: list[dict[str, Any]] = []
        self.tokens: set[str] = set()
        self.clients: list[str] = []  # that were let in
        self.server = MqttServer(self.admit, self.take)
        self._key = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), public_key)
        self._clock, self._faults, self._draw = clock, faults, drawing(faults)

    def admit(self, login: Login) -> int:
        """Let in who shows a fresh token of the claimed key."""
        if login.user != SERIAL or not login.client_id:
            return NOT_AUTHORISED
        try:
            token = read_token(self._key, login.password, self._clock.now_ms() // 1000)
        except BadMessageError as error:
            self.ledger.refuse(str(error))
            return BAD_LOGIN
        if token in self.tokens:
            self.ledger.refuse("token_used_twice")
            return BAD_LOGIN
        self.tokens.add(token)
        self.clients.append(login.client_id)
        return ACCEPTED

    async def take(self, login: Login, publication: Publication) -> str:  # noqa: ARG002 - the token said who
        """Take telemetry or an inventory."""
        is_telemetry = TELEMETRY.fullmatch(publication.topic) is not None
        fate = self._draw() if is_telemetry else "ok"
        return await suffer(fate, self._faults, lambda: self._sort(publication))

    def _sort(self, publication: Publication) -> None:
        try:
            if INVENTORY.fullmatch(publication.topic):
                self.inventories.append(read_inventory(publication))
            else:
                self._telemetry(publication)
        except BadMessageError as error:
            self.ledger.refuse(str(error))

    def _telemetry(self, publication: Publication) -> None:
        found = TELEMETRY.fullmatch(publication.topic)
        if found is None or found[1] != SERIAL:
            raise BadMessageError("bad_topic")
        if publication.retain:
            raise BadMessageError("retained")
        if self.provisioned is not None and found[2] not in self.provisioned:
            raise BadMessageError("unprovisioned")
        state, at_ms = read_state(publication.payload)
        if at_ms > self._clock.now_ms() + SKEW_S * 1000:
            raise BadMessageError("in_the_future")
        if self.ledger.take(f"{found[2]}/{found[3]}/{at_ms}", publication.payload):
            self.states.append(state)


def read_token(key: ec.EllipticCurvePublicKey, password: str, now_s: int) -> str:
    """Return the id of a good token; raises BadMessageError."""
    parts = password.split(".")
    try:
        header, payload, signature = (base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)) for part in parts)
        head, said = json.loads(header), json.loads(payload)
        r, s = int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:], "big")
        key.verify(encode_dss_signature(r, s), f"{parts[0]}.{parts[1]}".encode(), ec.ECDSA(SHA256()))
    except (ValueError, InvalidSignature):
        raise BadMessageError("bad_token") from None
    if "=" in password or len(signature) != 64 or head != {"alg": "ES256", "typ": "JWT", "device": SERIAL}:
        raise BadMessageError("bad_token_header")
    if said.keys() != {"iat", "exp", "jti"} or type(said["iat"]) is not int or type(said["exp"]) is not int:
        raise BadMessageError("bad_token_times")
    if not said["iat"] - SKEW_S <= now_s < said["exp"] <= said["iat"] + TTL_S_MAX:
        raise BadMessageError("token_not_in_force")
    if not isinstance(said["jti"], str) or not said["jti"]:
        raise BadMessageError("bad_token_id")
    return said["jti"]


def read_claim(body: dict[str, str], now_s: int) -> tuple[str, str]:
    """Return the serial and the claimer's id of a good claim; raises BadMessageError."""
    point, signature = bytes.fromhex(body["public_key"]), bytes.fromhex(body["signature"])
    r, s = int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:], "big")
    try:
        key = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), b"\x04" + point)
        key.verify(encode_dss_signature(r, s), body["message"].encode(), ec.ECDSA(SHA256()))
    except (ValueError, InvalidSignature):
        raise BadMessageError("bad_claim") from None
    claimer, nonce, at, serial = body["message"].split("|")
    if serial != body["gateway_serial"] or not nonce or abs(int(at) - now_s) > SKEW_S or not body["org_id"]:
        raise BadMessageError("bad_claim")
    return serial, claimer


def read_state(payload: bytes) -> tuple[dict[str, Any], int]:
    """Return a DER's state and its time; raises BadMessageError."""
    try:
        state = json.loads(payload)
    except ValueError:
        raise BadMessageError("bad_json") from None
    if not isinstance(state, dict):
        raise BadMessageError("bad_json")
    schema = "unified" if "ts_ms" in state else "legacy"
    known = KNOWN.get((schema, str(state.get("type"))))
    if known is None:
        raise BadMessageError("unknown_type")
    if not state.keys() <= COMMON[schema] | set(known.split()):
        raise BadMessageError("unknown_field")
    for name, value in state.items():
        wanted = (str,) if name in WORDS else (bool,) if name in FLAGS else (int, float)
        if type(value) not in wanted:
            raise BadMessageError("bad_value")
    watts = state.get("W" if schema == "legacy" else "w")
    if watts is None:
        raise BadMessageError("no_power")
    if state["type"] == "solar" and watts > 0:
        raise BadMessageError("solar_takes_power")
    return state, state["ts_ms"] if schema == "unified" else read_time(state.get("timestamp", ""))


def read_time(text: str) -> int:
    """Return an RFC 3339 time in UTC as unix ms; raises BadMessageError."""
    found = RFC3339.fullmatch(text)
    if found is None:
        raise BadMessageError("bad_time")
    whole = datetime.fromisoformat(found[1]).replace(tzinfo=UTC)
    return int(whole.timestamp()) * 1000 + int((found[2] or "0").ljust(9, "0")) // 1_000_000


def read_inventory(publication: Publication) -> dict[str, Any]:
    """Return an inventory; raises BadMessageError."""
    if not publication.retain or publication.qos != 1 or len(publication.payload) > INVENTORY_BYTES_MAX:
        raise BadMessageError("bad_inventory")
    try:
        value = json.loads(publication.payload)
    except ValueError:
        raise BadMessageError("bad_inventory") from None
    if not isinstance(value, dict) or not isinstance(value.get("drivers"), list):
        raise BadMessageError("bad_inventory")
    return value


@asynccontextmanager
async def serving(public_key: bytes, clock: Clock, faults: Faults) -> AsyncIterator[Served]:
    """Serve a Nova that has claimed one gateway."""
    async with serving_nova(Nova(public_key, clock, faults)) as served:
        yield served


@asynccontextmanager
async def serving_nova(nova: Nova) -> AsyncIterator[Served]:
    """Serve this Nova."""
    async with listening(nova.server) as url:
        yield Served(url, nova.ledger, {"serial": SERIAL, "ders": {"*": {}}})
