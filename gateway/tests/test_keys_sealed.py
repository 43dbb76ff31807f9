"""Keys at rest: sealed by a passphrase from a file, a credential or a person; backed up, restored, replaced."""

import base64
import json
import stat

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, PrivateFormat
from hypothesis import given, settings
from hypothesis import strategies as st

from wattness import atomic
from wattness.errors import ConfigError
from wattness.keys import new_key, open_signer, sealed
from wattness.keys.backup import keys_of, read_backup, restore, write_backup
from wattness.keys.looking import look, public_key
from wattness.keys.rotation import rotate

PASSPHRASE = "correct horse"
CURVES = ("P-256", "secp256k1", "Ed25519")


@pytest.fixture(autouse=True)
def cheap(monkeypatch):
    monkeypatch.setattr(sealed, "COST", 2)
    monkeypatch.delenv("CREDENTIALS_DIRECTORY", raising=False)


def private(file, content) -> None:
    file.write_bytes(content if isinstance(content, bytes) else content.encode())
    file.chmod(0o600)


def asked(_: str) -> str:
    return PASSPHRASE


@pytest.mark.parametrize("curve", CURVES)
def test_a_sealed_key_opens_with_its_passphrase_only(tmp_path, curve):
    made = new_key("file:a.key", tmp_path, curve, asked_for_new)
    content = (tmp_path / "a.key").read_bytes()
    assert stat.S_IMODE((tmp_path / "a.key").stat().st_mode) == 0o600
    assert b"PRIVATE" not in content
    assert open_signer("file:a.key", tmp_path, curve, asked).public_key == made.public_key
    with pytest.raises(ConfigError, match=r"does not open .*another one, or the file was changed"):
        open_signer("file:a.key", tmp_path, curve, lambda _: "incorrect horse")
    with pytest.raises(ConfigError, match=r"wattness\.passphrase.*passphrase-file="):
        open_signer("file:a.key", tmp_path, curve)
    found = look("file:a.key", tmp_path, curve)
    assert (found.public_key, found.kept, found.problem) == (made.public_key, "sealed", "")


def asked_for_new() -> str:
    return PASSPHRASE


def test_the_form_is_scrypt_and_aes_gcm_as_documented(tmp_path):
    new_key("file:a.key", tmp_path, "secp256k1", asked_for_new)
    held = json.loads((tmp_path / "a.key").read_text())
    salt, nonce, shut = (base64.b64decode(held[name]) for name in ("salt", "nonce", "sealed"))
    key = Scrypt(salt=salt, length=32, n=held["cost"], r=8, p=1).derive(PASSPHRASE.encode())
    bound = json.dumps([held["form"], held["about"], held["cost"]], separators=(",", ":")).encode()
    assert AESGCM(key).decrypt(nonce, shut, bound)[:1] == b"\x30"
    assert held["about"]["curve"] == "secp256k1"


@pytest.mark.parametrize(
    "change",
    [
        lambda held: held["about"].update(curve="Ed25519"),
        lambda held: held["about"].update(public_key="00"),
        lambda held: held.update(cost=4),
        lambda held: held.update(salt=base64.b64encode(bytes(16)).decode()),
        lambda held: held.update(sealed=base64.b64encode(bytes(200)).decode()),
    ],
)
def test_what_was_changed_beside_the_secret_does_not_open(tmp_path, change):
    new_key("file:a.key", tmp_path, "P-256", asked_for_new)
    held = json.loads((tmp_path / "a.key").read_text())
    change(held)
    private(tmp_path / "a.key", json.dumps(held))
    with pytest.raises(ConfigError, match="the file was changed"):
        open_signer("file:a.key", tmp_path, "P-256", asked)


@pytest.mark.parametrize("cost", [0, 3, 1 << 21, -1, "x"])
def test_a_file_that_asks_for_too_much_is_no_key(tmp_path, cost):
    new_key("file:a.key", tmp_path, "P-256", asked_for_new)
    held = json.loads((tmp_path / "a.key").read_text()) | {"cost": cost}
    private(tmp_path / "a.key", json.dumps(held))
    with pytest.raises(ConfigError, match="no PEM key and no sealed one"):
        open_signer("file:a.key", tmp_path, "P-256", asked)


@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=300) | st.text(max_size=100).map(str.encode))
def test_any_bytes_are_no_sealed_file(content):
    assert sealed.parse(content, "wattness key 1") is None


@settings(max_examples=20, deadline=None)
@given(st.binary(max_size=200), st.text(st.characters(exclude_categories=["Cs"]), min_size=8, max_size=40))
def test_seal_and_unseal(secret, passphrase):
    shut = sealed.parse(sealed.seal("form", {"a": 1}, secret, passphrase), "form")
    assert sealed.unseal(shut, passphrase) == secret
    assert sealed.unseal(shut, passphrase + "x") is None


def test_a_passphrase_typed_in_parts_is_the_same():
    shut = sealed.parse(sealed.seal("form", {}, b"x", "pass\u00e9phrase"), "form")
    assert sealed.unseal(shut, "passe\u0301phrase") == b"x"


@pytest.mark.parametrize("passphrase", ["", "short", "x" * 1025])
def test_a_passphrase_that_is_too_short_seals_nothing(tmp_path, passphrase):
    with pytest.raises(ConfigError, match="8 to 1024 characters"):
        new_key("file:a.key", tmp_path, "P-256", lambda: passphrase)
    assert list(tmp_path.iterdir()) == []


def test_a_passphrase_from_a_file_that_others_cannot_read(tmp_path):
    private(tmp_path / "secret", PASSPHRASE + "\n")
    uri = "file:a.key?passphrase-file=secret"
    made = new_key(uri, tmp_path)  # the URI says that it is sealed
    assert look(uri, tmp_path, "P-256").kept == "sealed"
    assert open_signer(uri, tmp_path).public_key == made.public_key
    (tmp_path / "secret").chmod(0o644)
    with pytest.raises(ConfigError, match="chmod 600"):
        open_signer(uri, tmp_path)
    private(tmp_path / "secret", "\n")
    with pytest.raises(ConfigError, match="no passphrase in secret"):
        open_signer(uri, tmp_path)
    (tmp_path / "secret").unlink()
    with pytest.raises(ConfigError, match="cannot be read"):
        open_signer(uri, tmp_path)


def test_a_passphrase_from_the_service_manager(tmp_path, monkeypatch):
    made = new_key("file:a.key", tmp_path, "Ed25519", asked_for_new)
    given = tmp_path / "credentials"
    given.mkdir()
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(given))
    (given / "wattness.passphrase").write_text(PASSPHRASE + "\n")
    assert open_signer("file:a.key", tmp_path, "Ed25519").public_key == made.public_key
    (given / "other").write_text(PASSPHRASE)
    (given / "wattness.passphrase").unlink()
    uri = "file:a.key?passphrase-credential=other"
    assert open_signer(uri, tmp_path, "Ed25519").public_key == made.public_key
    for name in ("absent", "../credentials/other"):
        with pytest.raises(ConfigError, match="credential"):
            open_signer(f"file:a.key?passphrase-credential={name}", tmp_path, "Ed25519")


def test_a_key_that_the_service_manager_holds(tmp_path, monkeypatch):
    made = new_key("file:a.key", tmp_path, "secp256k1")
    with pytest.raises(ConfigError, match="only a service of systemd"):
        open_signer("credential:wattness.key", tmp_path, "secp256k1")
    given = tmp_path / "credentials"
    given.mkdir()
    (tmp_path / "a.key").rename(given / "wattness.key")
    (given / "wattness.key").chmod(0o440)  # how systemd keeps them where access lists are on
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(given))
    assert public_key("credential:wattness.key", tmp_path, "secp256k1") == made.public_key


def test_an_encrypted_pem_of_others_opens_as_well(tmp_path):
    secret = ec.generate_private_key(ec.SECP256R1())
    pem = secret.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(PASSPHRASE.encode()))
    private(tmp_path / "a.key", pem)
    assert len(open_signer("file:a.key", tmp_path, ask=asked).public_key) == 65
    with pytest.raises(ConfigError, match="its passphrase is another"):
        open_signer("file:a.key", tmp_path, ask=lambda _: "incorrect horse")
    rotate("file:a.key", tmp_path, "P-256", asked)
    assert look("file:a.key", tmp_path, "P-256").kept == "sealed"


@pytest.mark.parametrize("option", ["?passphrase=secret", "?pin=1", "?passphrase-file=a&x=1"])
def test_a_passphrase_is_never_in_the_uri(tmp_path, option):
    with pytest.raises(ConfigError, match="is not known; there are"):
        open_signer(f"file:a.key{option}", tmp_path)


def test_a_key_is_whole_or_not_there(tmp_path, monkeypatch):
    def full(file, content, mode):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(atomic, "_written", full)
    with pytest.raises(ConfigError, match="No space left"):
        new_key("file:a.key", tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_backup_and_restore(tmp_path):
    home, other = tmp_path / "home", tmp_path / "other"
    (home / "keys").mkdir(parents=True)
    other.mkdir()
    new_key("file:gateway.key", home)
    new_key("file:keys/glow.key", home, "secp256k1", asked_for_new)
    rotate("file:keys/glow.key", home, "secp256k1", asked)
    private(home / "notes.keynote", "no key")
    found = keys_of(home)
    assert len(found) == 3
    file = tmp_path / "backup"
    write_backup(file, found, asked_for_new)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert b"PRIVATE" not in file.read_bytes()
    file.chmod(0o644)  # a stick formatted for everybody
    assert read_backup(file, asked_for_new) == found
    assert restore(other, found) == list(found)
    assert keys_of(other) == found
    assert restore(other, found) == []
    with pytest.raises(ConfigError, match="exists already"):
        write_backup(file, found, asked_for_new)
    with pytest.raises(ConfigError, match="does not open"):
        read_backup(file, lambda: "incorrect horse")
    for damaged in (b"", b"{}", file.read_bytes()[:-9], (home / "keys/glow.key").read_bytes()):
        (tmp_path / "damaged").write_bytes(damaged)
        with pytest.raises(ConfigError, match="no backup of keys"):
            read_backup(tmp_path / "damaged", asked_for_new)
    with pytest.raises(ConfigError, match="cannot be read"):
        read_backup(tmp_path / "absent", asked_for_new)
    with pytest.raises(ConfigError, match="no keys to back up"):
        write_backup(tmp_path / "nothing", {}, asked_for_new)


def test_restore_touches_nothing_when_one_key_is_another(tmp_path):
    new_key("file:b.key", tmp_path)
    content = (tmp_path / "b.key").read_bytes()
    with pytest.raises(ConfigError, match="another key than the backup's"):
        restore(tmp_path, {"a.key": b"a", "b.key": b"b"})
    for name in ("/etc/x.key", "../x.key", ""):
        with pytest.raises(ConfigError, match="no file of the home"):
            restore(tmp_path, {"a.key": b"a", name: b"b"})
    assert [file.name for file in tmp_path.iterdir()] == ["b.key"]
    assert (tmp_path / "b.key").read_bytes() == content


@pytest.mark.parametrize("curve", CURVES)
@pytest.mark.parametrize("passphrase", [None, asked_for_new])
def test_rotation_keeps_the_old_key(tmp_path, curve, passphrase):
    old = new_key("file:a.key", tmp_path, curve, passphrase)
    before = (tmp_path / "a.key").read_bytes()
    done = rotate("file:a.key", tmp_path, curve, asked)
    assert done.old == old.public_key != done.new
    assert public_key("file:a.key", tmp_path, curve) == done.new
    assert open_signer("file:a.key", tmp_path, curve, asked).public_key == done.new
    assert look("file:a.key", tmp_path, curve).kept == ("sealed" if passphrase else "plain")
    assert done.kept.read_bytes() == before
    assert stat.S_IMODE(done.kept.stat().st_mode) == stat.S_IMODE((tmp_path / "a.key").stat().st_mode) == 0o600
    again = rotate("file:a.key", tmp_path, curve, asked)
    assert again.kept != done.kept
    assert again.old == done.new


def test_a_rotation_cut_short_is_done_again(tmp_path, monkeypatch):
    old = new_key("file:a.key", tmp_path)

    def cut(*_):
        raise OSError(5, "Input/output error")

    with monkeypatch.context() as patch:
        patch.setattr(atomic, "replace", cut)
        with pytest.raises(ConfigError, match="still the old one"):
            rotate("file:a.key", tmp_path, "P-256", None)
    assert public_key("file:a.key", tmp_path) == old.public_key
    assert rotate("file:a.key", tmp_path, "P-256", None).old == old.public_key


def test_what_is_kept_elsewhere_is_not_rotated_here(tmp_path):
    with pytest.raises(ConfigError, match="not kept by the gateway"):
        rotate("pkcs11:token=a;object=b", tmp_path, "P-256", None)


@pytest.mark.parametrize("where", ["plain", "linkless"])
def test_files_are_made_once(tmp_path, monkeypatch, where):
    if where == "linkless":

        def refuse(*_):
            raise PermissionError(1, "Operation not permitted")

        monkeypatch.setattr(atomic.Path, "hardlink_to", refuse)
    file = tmp_path / "a"
    atomic.create(file, b"one")
    with pytest.raises(FileExistsError):
        atomic.create(file, b"two")
    file.chmod(0o640)
    atomic.replace(file, b"three")
    assert stat.S_IMODE(file.stat().st_mode) == 0o640
    atomic.replace(file, b"four", atomic.PRIVATE)
    assert (file.read_bytes(), stat.S_IMODE(file.stat().st_mode)) == (b"four", 0o600)
    assert [each.name for each in tmp_path.iterdir()] == ["a"]
