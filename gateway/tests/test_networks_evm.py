"""RLP, ABI and transactions of ours against the ecosystem's own libraries."""

import eth_abi
import pytest
import rlp as their_rlp
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed, decode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from eth_account import Account
from eth_keys import keys
from hypothesis import given
from hypothesis import strategies as st

from wattness.networks import evm
from wattness.networks.ethereum import address

SECRET = (4662).to_bytes(32, "big")
REGISTRY = bytes.fromhex("A1e7F1d7B24dAb55Dc92491e6d9B89F6E925Ad1e")
RLP = st.recursive(st.binary(max_size=70), lambda inner: st.lists(inner, max_size=5), max_leaves=20)
WORDS = st.integers(0, 2**256 - 1)


class KeySigner:
    """Really signs: deterministic, low S, with the recovery bit, by the ecosystem's own library."""

    def __init__(self, secret: bytes = SECRET) -> None:
        self.key = keys.PrivateKey(secret)

    @property
    def public_key(self) -> bytes:
        return b"\x04" + self.key.public_key.to_bytes()

    async def sign_digest(self, digest: bytes) -> bytes:
        return self.key.sign_msg_hash(digest).to_bytes()


def depth(item) -> int:
    return 0 if isinstance(item, bytes) else 1 + max(map(depth, item), default=0)


@given(RLP)
def test_rlp_is_the_ecosystems_both_ways(item):
    encoded = evm.rlp(item)
    assert encoded == their_rlp.encode(item)
    if depth(item) <= evm.DEPTH_MAX:
        assert evm.parse_rlp(encoded) == item


@given(st.binary(max_size=80))
def test_any_bytes_give_an_item_or_an_evm_error(data):
    try:
        item = evm.parse_rlp(data)
    except evm.EvmError:
        return
    assert evm.rlp(item) == data  # one form each, so nothing else can be resent as the same


@given(st.binary(max_size=300))
def test_any_bytes_give_a_transaction_or_an_evm_error(data):
    try:
        made = evm.parse_transaction(b"\x02" + data)
    except evm.EvmError:
        return
    assert made.raw == b"\x02" + data


VALUES = {
    "uint8": st.integers(0, 255),
    "uint256": WORDS,
    "address": st.binary(min_size=20, max_size=20),
    "bytes32": st.binary(min_size=32, max_size=32),
    "bytes": st.binary(max_size=100),
    "string": st.text(max_size=50),
    "bytes32[]": st.lists(st.binary(min_size=32, max_size=32), max_size=5),
}


@given(st.lists(st.sampled_from(sorted(VALUES)), max_size=8), st.data())
def test_abi_is_the_ecosystems(types, data):
    values = [data.draw(VALUES[kind]) for kind in types]
    theirs = ["0x" + value.hex() if kind == "address" else value for kind, value in zip(types, values, strict=True)]
    assert evm.abi(types, values) == eth_abi.encode(types, theirs)


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        *(("uint8", 256), ("uint256", -1), ("uint256", 1 << 256), ("uint256", "1"), ("address", b"1")),
        *(("bytes32", b""), ("bytes", "text"), ("string", b""), ("bytes32[]", [b""]), ("bytes32[]", b""), ("int8", 1)),
    ],
)
def test_a_value_that_does_not_fit_is_refused(kind, value):
    with pytest.raises(evm.EvmError):
        evm.abi([kind], [value])


def test_a_call_needs_every_value():
    with pytest.raises(evm.EvmError):
        evm.call_data("f(uint256,bytes)", 1)


CALLS = st.builds(evm.Call, st.sampled_from([b"", REGISTRY]), st.binary(max_size=200), st.integers(0, 2**100))
FEES = st.integers(0, 2**63).flatmap(
    lambda tip: st.builds(evm.Fees, st.integers(0, 2**40), st.just(2 * tip), st.just(tip))
)


@given(st.integers(1, 2**64 - 1), st.integers(0, 2**64 - 1), FEES, CALLS)
async def test_a_transaction_is_the_ecosystems(chain_id, nonce, fees, call):
    raw = await evm.signed(evm.unsigned(chain_id, nonce, fees, call), KeySigner())
    caps = {"gas": fees.gas, "maxFeePerGas": fees.gas_price_max_wei, "maxPriorityFeePerGas": fees.tip_max_wei}
    doing = {"to": call.to, "value": call.value_wei, "data": call.data}
    theirs = Account.from_key(SECRET).sign_transaction({"type": 2, "chainId": chain_id, "nonce": nonce} | caps | doing)
    assert raw == theirs.raw_transaction
    made = evm.parse_transaction(raw)
    assert made == evm.Transaction(chain_id, nonce, fees, call, raw)
    assert bytes.fromhex(made.hash[2:]) == theirs.hash
    assert Account.recover_transaction(raw) == address(KeySigner().public_key)


async def test_a_changed_transaction_is_another_ones():
    raw = await evm.signed(evm.unsigned(1, 0, evm.Fees(1, 1, 1), evm.Call(REGISTRY, b"one")), KeySigner())
    forged = raw.replace(b"one", b"two")
    assert Account.recover_transaction(forged) != address(KeySigner().public_key)
    assert evm.signed_by(evm.parse_transaction(raw), KeySigner().public_key)
    assert not evm.signed_by(evm.parse_transaction(forged), KeySigner().public_key)
    assert not evm.signed_by(evm.parse_transaction(raw), KeySigner((4663).to_bytes(32, "big")).public_key)


def test_what_a_chain_reverts_with_is_read():
    text = evm.selector("Error(string)") + eth_abi.encode(["string"], ["not the owner"])
    assert evm.revert_text(text) == "not the owner"
    assert evm.revert_text(b"\x01\x02\x03\x04") == "0x01020304"
    assert not evm.revert_text(b"")


def test_a_selector_is_the_known_one():
    assert evm.selector("transfer(address,uint256)").hex() == "a9059cbb"  # ERC-20's, known to everybody


def test_the_facts_test_key_has_the_facts_address():
    secret = ec.derive_private_key(4662, ec.SECP256K1())
    point = secret.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
    assert address(point) == "0x499F455FEd78a78fD462a617974Fa494Fa31D000"
    der = secret.sign(bytes(32), ec.ECDSA(Prehashed(SHA256()), deterministic_signing=True))
    assert decode_dss_signature(der)[0] == keys.PrivateKey(SECRET).sign_msg_hash(bytes(32)).r
