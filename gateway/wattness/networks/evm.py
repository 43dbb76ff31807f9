"""What an EVM chain takes: RLP, the ABI as far as we call contracts, and EIP-1559 transactions. Bytes in, bytes out."""

from collections.abc import Sequence
from typing import NamedTuple

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed, encode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256

from wattness.signing import DigestSigner

from .ethereum import ADDRESS_SIZE, keccak256

Rlp = bytes | Sequence["Rlp"]

TYPE_FEE_MARKET = b"\x02"  # EIP-1559
WORD = 32
TRANSACTION_BYTES_MAX = 131_072  # what nodes take of one
DEPTH_MAX = 8
_OF_DIGEST = ec.ECDSA(Prehashed(SHA256()))  # of any hash of 32 bytes
_ERROR_TEXT = bytes.fromhex("08c379a0")  # Error(string), what require() reverts with
_INTEGERS = {"uint8": 8, "uint256": 256}


class EvmError(ValueError):
    """These bytes or values are not what a chain would take."""


class Call(NamedTuple):
    """What a transaction does."""

    to: bytes  # 20 bytes; empty: makes a contract
    data: bytes
    value_wei: int = 0


class Fees(NamedTuple):
    """What a transaction may cost at most: the chain takes its base fee and the tip, never more than the cap."""

    gas: int
    gas_price_max_wei: int
    tip_max_wei: int


class Transaction(NamedTuple):
    """A signed EIP-1559 transaction."""

    chain_id: int
    nonce: int
    fees: Fees
    call: Call
    raw: bytes

    @property
    def hash(self) -> str:
        """What the chain knows it by."""
        return "0x" + keccak256(self.raw).hex()


def unsigned(chain_id: int, nonce: int, fees: Fees, call: Call) -> bytes:
    """Return the bytes whose hash is signed, without an access list."""
    numbers = (chain_id, nonce, fees.tip_max_wei, fees.gas_price_max_wei, fees.gas)
    items: list[Rlp] = [integer(number) for number in numbers]
    return TYPE_FEE_MARKET + rlp([*items, call.to, integer(call.value_wei), call.data, []])


async def signed(message: bytes, signer: DigestSigner) -> bytes:
    """Return the raw transaction that `unsigned` bytes become."""
    signature = await signer.sign_digest(keccak256(message))
    r, s, v = int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:64], "big"), signature[64]
    return TYPE_FEE_MARKET + rlp([*_fields(message, 9), integer(v), integer(r), integer(s)])


def signed_by(transaction: Transaction, public_key: bytes) -> bool:
    """Whether the key with this uncompressed point signed a transaction."""
    fields = _fields(transaction.raw, 12)
    digest = keccak256(TYPE_FEE_MARKET + rlp(fields[:9]))
    point = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256K1(), public_key)
    try:
        point.verify(encode_dss_signature(number(fields[10]), number(fields[11])), digest, _OF_DIGEST)
    except InvalidSignature:
        return False
    return True


def parse_transaction(raw: bytes) -> Transaction:
    """Return what a raw transaction says; raises EvmError. Its signature is not checked."""
    fields = _fields(raw, 12)
    if fields[8] or not all(isinstance(item, bytes) for item in (*fields[:8], *fields[9:])):
        raise EvmError("an EIP-1559 transaction without an access list has eleven byte strings")
    chain_id, nonce, tip, price, gas, value = (number(item) for item in (*fields[:5], fields[6]))
    to, data = bytes(_octets(fields[5])), bytes(_octets(fields[7]))
    if len(to) not in {0, ADDRESS_SIZE}:
        raise EvmError("an address has 20 bytes")
    return Transaction(chain_id, nonce, Fees(gas, price, tip), Call(to, data, value), raw)


def _fields(raw: bytes, count: int) -> list[Rlp]:
    if raw[:1] != TYPE_FEE_MARKET or len(raw) > TRANSACTION_BYTES_MAX:
        raise EvmError("not an EIP-1559 transaction")
    fields = parse_rlp(raw[1:])
    if isinstance(fields, bytes) or len(fields) != count:
        raise EvmError(f"an EIP-1559 transaction has {count} fields")
    return list(fields)


def selector(signature: str) -> bytes:
    """Return the four bytes that name a function, of its signature without spaces."""
    return keccak256(signature.encode())[:4]


def call_data(signature: str, *values: int | str | bytes | Sequence[bytes]) -> bytes:
    """Return the call of a function, `name(type,…)`, with these values."""
    return selector(signature) + abi(signature[signature.index("(") + 1 : -1].split(","), values)


def abi(types: Sequence[str], values: Sequence[int | str | bytes | Sequence[bytes]]) -> bytes:
    """Encode values as Solidity's ABI does: uint8, uint256, address, bytes32, bytes, string and bytes32[]."""
    if len(types) != len(values):
        raise EvmError(f"{len(types)} values are wanted, {len(values)} were given")
    heads, tails = b"", b""
    for kind, value in zip(types, values, strict=True):
        if kind in {"bytes", "string", "bytes32[]"}:
            heads += _word(len(types) * WORD + len(tails))
            tails += _dynamic(kind, value)
        else:
            heads += _static(kind, value)
    return heads + tails


def _static(kind: str, value: object) -> bytes:
    if kind in _INTEGERS and isinstance(value, int) and 0 <= value < 1 << _INTEGERS[kind]:
        return _word(value)
    if kind == "address" and isinstance(value, bytes) and len(value) == ADDRESS_SIZE:
        return value.rjust(WORD, b"\x00")
    if kind == "bytes32" and isinstance(value, bytes) and len(value) == WORD:
        return value
    raise EvmError(f"{value!r} is no {kind}")


def _dynamic(kind: str, value: object) -> bytes:
    if kind == "bytes32[]" and isinstance(value, list | tuple):
        return _word(len(value)) + b"".join(_static("bytes32", item) for item in value)
    octets = value.encode() if kind == "string" and isinstance(value, str) else value if kind == "bytes" else None
    if isinstance(octets, bytes):
        return _word(len(octets)) + octets + bytes(-len(octets) % WORD)
    raise EvmError(f"{value!r} is no {kind}")


def _word(value: int) -> bytes:
    return value.to_bytes(WORD, "big")


def revert_text(data: bytes) -> str:
    """Return why a call was reverted: the text of require(), else the bytes of an error of the contract's own."""
    if data[:4] != _ERROR_TEXT or len(data) < 4 + 2 * WORD:
        return "0x" + data[:100].hex() if data else ""
    length = int.from_bytes(data[4 + WORD : 4 + 2 * WORD], "big")
    return data[4 + 2 * WORD :][: min(length, 200)].decode(errors="replace")


def integer(value: int) -> bytes:
    """Return an integer as RLP holds it: big endian, without leading zeros."""
    if not 0 <= value < 1 << 256:
        raise EvmError(f"{value} does not fit 256 bits")
    return value.to_bytes((value.bit_length() + 7) // 8, "big")


def number(item: Rlp) -> int:
    """Return the integer of an RLP item; raises EvmError."""
    octets = _octets(item)
    if octets[:1] == b"\x00" or len(octets) > WORD:
        raise EvmError("an integer has no leading zeros and at most 256 bits")
    return int.from_bytes(octets, "big")


def _octets(item: Rlp) -> bytes:
    if not isinstance(item, bytes):
        raise EvmError("a list stands where bytes are wanted")
    return item


def rlp(item: Rlp) -> bytes:
    """Encode bytes and lists of them."""
    if isinstance(item, bytes):
        return item if len(item) == 1 and item[0] < 0x80 else _length(len(item), 0x80) + item
    body = b"".join(rlp(part) for part in item)
    return _length(len(body), 0xC0) + body


def _length(size: int, base: int) -> bytes:
    if size < 56:
        return bytes((base + size,))
    octets = integer(size)
    return bytes((base + 55 + len(octets),)) + octets


def parse_rlp(data: bytes) -> Rlp:
    """Decode RLP that is the shortest of its kind and ends where the bytes do; raises EvmError."""
    item, end = _parse(data, 0, 0)
    if end != len(data):
        raise EvmError("bytes follow the RLP item")
    return item


def _parse(data: bytes, start: int, depth: int) -> tuple[Rlp, int]:
    if start >= len(data) or depth > DEPTH_MAX:
        raise EvmError("RLP is cut short or too deep")
    first = data[start]
    if first < 0x80:
        return data[start : start + 1], start + 1
    is_list = first >= 0xC0
    begin, end = _extent(data, start, first - (0xC0 if is_list else 0x80))
    if not is_list:
        item = data[begin:end]
        if len(item) == 1 and item[0] < 0x80:
            raise EvmError("RLP is longer than need be")
        return item, end
    items: list[Rlp] = []
    while begin < end:
        part, begin = _parse(data[:end], begin, depth + 1)
        items.append(part)
    return items, end


def _extent(data: bytes, start: int, code: int) -> tuple[int, int]:
    """Return where the content of the item at `start` begins and ends."""
    begin, size = start + 1, code
    if code > 55:
        begin = start + 1 + code - 55
        octets = data[start + 1 : begin]
        size = int.from_bytes(octets, "big")
        if len(octets) != code - 55 or octets[0] == 0 or size < 56:
            raise EvmError("RLP is longer than need be")
    if begin + size > len(data):
        raise EvmError("RLP is cut short")
    return begin, begin + size
