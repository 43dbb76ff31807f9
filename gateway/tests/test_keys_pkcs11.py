"""Keys in tokens, with SoftHSM."""

import shutil
import subprocess
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256
from eth_keys import keys as eth_keys

from wattness.errors import ConfigError, UnavailableError
from wattness.keys import hsm, looking, open_signer, recovery
from wattness.signing import ORDER

pkcs11 = pytest.importorskip("pkcs11", reason="python-pkcs11 is not installed: pip install 'wattness[pkcs11]'")
MODULE = "/usr/lib/softhsm/libsofthsm2.so"
if shutil.which("softhsm2-util") is None or not Path(MODULE).exists():
    pytest.skip("SoftHSM is missing: apt-get install softhsm2", allow_module_level=True)

PIN = "9182"
TAIL = f"module-path={MODULE}&pin-source=file:token.pin"


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """A home whose token holds a key of each curve, and one of another."""
    home = tmp_path_factory.mktemp("hsm")
    (home / "tokens").mkdir()
    (home / "softhsm2.conf").write_text(f"directories.tokendir = {home}/tokens\nlog.level = ERROR\n")
    (home / "token.pin").write_text(PIN + "\n")
    (home / "token.pin").chmod(0o600)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SOFTHSM2_CONF", str(home / "softhsm2.conf"))
        for label in ("meter", "empty", "locked"):
            made = ["softhsm2-util", "--init-token", "--free", "--label", label, "--so-pin", "11223344", "--pin", PIN]
            subprocess.run(made, check=True, capture_output=True)
        pkcs11.unload(MODULE)
        curves = {name: group.parameters for name, group in hsm.GROUPS.items()}
        curves["P-384"] = bytes.fromhex("06052b81040022")
        with pkcs11.lib(MODULE).get_token(token_label="meter").open(rw=True, user_pin=PIN) as session:
            for number, (name, parameters) in enumerate(curves.items()):
                domain = session.create_domain_parameters(
                    pkcs11.KeyType.EC, {pkcs11.Attribute.EC_PARAMS: parameters}, local=True
                )
                domain.generate_keypair(store=True, label=f"{name} key", id=bytes((255, number)))
        yield home


def uri(object_name, where="meter"):
    return f"pkcs11:token={where};object={object_name.replace(' ', '%20')};type=private?{TAIL}"


async def test_p256_signs_for_others_to_verify(home):
    signer = open_signer(uri("P-256 key"), home)
    point = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), signer.public_key)
    for number in range(8):
        raw = await signer.sign(b"report %d" % number)
        r, s = int.from_bytes(raw[:32], "big"), int.from_bytes(raw[32:], "big")
        assert s <= ORDER // 2
        point.verify(encode_dss_signature(r, s), b"report %d" % number, ec.ECDSA(SHA256()))


async def test_secp256k1_is_recovered_by_others(home):
    signer = open_signer(uri("secp256k1 key"), home, "secp256k1")
    for number in range(8):
        digest = bytes((number,)) * 32
        signature = await signer.sign_digest(digest)
        found = eth_keys.Signature(signature).recover_public_key_from_msg_hash(digest)
        assert b"\x04" + found.to_bytes() == signer.public_key
        assert int.from_bytes(signature[32:64], "big") <= recovery.ORDER // 2


def test_by_id_and_by_serial(home):
    by_name = open_signer(uri("secp256k1 key"), home, "secp256k1")
    serial = bytes(pkcs11.lib(MODULE).get_token(token_label="meter").serial).decode().strip()
    for path in ("token=meter;id=%FF%01", f"serial={serial};id=%ff%01"):
        assert open_signer(f"pkcs11:{path}?{TAIL}", home, "secp256k1").public_key == by_name.public_key
    assert looking.look(uri("secp256k1 key"), home, "secp256k1").kept == "token"


@pytest.mark.parametrize(
    ("named", "curve", "words"),
    [
        (uri("P-256 key"), "secp256k1", "another kind there; secp256k1 is needed"),
        (uri("P-384 key"), "P-256", "another kind there; P-256 is needed"),
        (uri("P-256 key"), "Ed25519", "not taken from tokens"),
        (uri("absent"), "P-256", "has no private EC key"),
        (uri("P-256 key", "absent"), "P-256", "0 tokens are called absent"),
        (uri("P-256 key", "empty"), "P-256", "has no private EC key"),
        (f"pkcs11:token=meter;object=x?module-path={MODULE}", "P-256", "nowhere to be had.*pin-source"),
        ("pkcs11:token=meter;object=x?module-path=/nowhere.so", "P-256", "cannot be loaded"),
        ("pkcs11:token=meter;object=x", "P-256", "module-path"),
        (f"pkcs11:token=meter?{TAIL}", "P-256", "needs token= .* and object="),
        (f"pkcs11:object=x?{TAIL}", "P-256", "needs token= .* and object="),
        (f"pkcs11:token=meter;object=x;type=cert?{TAIL}", "P-256", "type=private"),
        (f"pkcs11:token=meter;object=x;shape=round?{TAIL}", "P-256", "'shape=round' is no part"),
        (f"pkcs11:token=meter;token=meter;object=x?{TAIL}", "P-256", "no part of a pkcs11: URI"),
        (f"pkcs11:token=meter;object=%FF?{TAIL}", "P-256", "UTF-8"),
        (f"pkcs11:token=meter;object=x?{TAIL}&pin-value=9182", "P-256", "holds no PIN"),
        (f"pkcs11:token=meter;object=x?module-path={MODULE}&pin-source=absent", "P-256", "cannot be read"),
    ],
)
def test_what_is_wrong_is_said(home, named, curve, words):
    with pytest.raises(ConfigError, match=words):
        open_signer(named, home, curve)


def test_the_pin_is_asked_for_or_comes_from_the_service_manager(home, tmp_path, monkeypatch):
    wanted = f"pkcs11:token=locked;object=x?module-path={MODULE}"  # nobody else logs in there
    with pytest.raises(ConfigError, match="PIN does not open the token locked"):
        open_signer(wanted, home, ask=lambda _: "0000")
    with pytest.raises(ConfigError, match="has no private EC key"):
        open_signer(wanted, home, ask=lambda _: PIN)
    (tmp_path / "wattness.pin").write_text(PIN)
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    with pytest.raises(ConfigError, match="has no private EC key"):
        open_signer(wanted, home)


async def test_a_token_that_went_comes_back(home):
    signer = open_signer(uri("P-256 key"), home)
    signer._key._private.session.close()
    with pytest.raises(UnavailableError, match="does not sign"):
        await signer.sign(b"x")
    assert len(await signer.sign(b"x")) == 64


def test_without_the_library_its_installation_is_named(home, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "pkcs11", None)
    with pytest.raises(ConfigError, match=r"pip install 'wattness\[pkcs11\]'"):
        open_signer(uri("P-256 key"), home)
