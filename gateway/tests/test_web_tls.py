"""How the page may be reached: a certificate that fits its key, and no listening to others without one."""

import asyncio
import datetime as dt
import logging
import runpy
import ssl
from pathlib import Path

import aiohttp
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from wattness.config import Config, Web
from wattness.errors import ConfigError
from wattness.web.tls import check_web, is_local

_world = runpy.run_path(str(Path(__file__).with_name("web_world.py")))
House, running, sources, make_home, get = (_world[n] for n in ("House", "running", "sources", "make_home", "get"))

KINDS = {
    "p256": lambda: ec.generate_private_key(ec.SECP256R1()),
    "rsa": lambda: rsa.generate_private_key(65537, 2048),
    "ed25519": ed25519.Ed25519PrivateKey.generate,
}


def write_pair(folder, kind="p256", password=None):
    """Write page.pem and page.key for `localhost`."""
    key = KINDS[kind]()
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = dt.datetime.now(dt.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .sign(key, None if kind == "ed25519" else hashes.SHA256())
    )
    sealed = serialization.BestAvailableEncryption(password) if password else serialization.NoEncryption()
    (folder / "page.pem").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    form = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, sealed)
    (folder / "page.key").write_bytes(key.private_bytes(*form))
    (folder / "page.key").chmod(0o600)


def config(folder, listen="127.0.0.1:0", **web):
    return Config(web=Web(listen=listen, **web), home=str(folder))


def check(folder, **web):
    return check_web(config(folder, tls_cert="page.pem", tls_key="page.key", **web))


@pytest.mark.parametrize("kind", KINDS)
async def test_page_under_tls(tmp_path, kind):
    write_pair(tmp_path, kind)
    token = make_home(tmp_path)
    trust = ssl.create_default_context(cafile=str(tmp_path / "page.pem"))
    given = sources(House(), tmp_path, tls_cert="page.pem", tls_key="page.key")
    async with running(given) as numeric:
        assert numeric.startswith("https://127.0.0.1:")
        address = numeric.replace("127.0.0.1", "localhost")
        async with aiohttp.ClientSession(address, connector=aiohttp.TCPConnector(ssl=trust)) as session:
            async with session.post("/api/v1/login", json={"token": token}) as response:
                assert response.status == 204
                cookie = response.headers["Set-Cookie"]
            assert cookie.startswith("__Host-wattness-44444444=")
            assert "; Secure" in cookie
            assert (await get(session, "/api/v1/status"))[0] == 200
        old = ssl.create_default_context(cafile=str(tmp_path / "page.pem"))
        old.maximum_version = ssl.TLSVersion.TLSv1_2
        old.minimum_version = ssl.TLSVersion.TLSv1_2
        connector = aiohttp.TCPConnector(ssl=old)
        async with aiohttp.ClientSession(address, connector=connector) as session, session.get("/") as response:
            assert response.status == 200


async def test_renewed_certificate_is_taken_without_a_restart(tmp_path, caplog):
    caplog.set_level(logging.INFO, "wattness")
    write_pair(tmp_path)
    make_home(tmp_path)

    async def served_certificate(port):
        trust = ssl.create_default_context()
        trust.check_hostname, trust.verify_mode = False, ssl.CERT_NONE
        _, writer = await asyncio.open_connection("127.0.0.1", port, ssl=trust)
        shown = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
        writer.close()
        return ssl.DER_cert_to_PEM_cert(shown)

    given = sources(House(), tmp_path, tls_cert="page.pem", tls_key="page.key")
    async with running(given) as address:
        port = int(address.rstrip("/").rpartition(":")[2])
        first = (tmp_path / "page.pem").read_text()
        assert await served_certificate(port) == first
        write_pair(tmp_path)
        second = (tmp_path / "page.pem").read_text()
        assert await served_certificate(port) == second != first
        (tmp_path / "page.key").chmod(0o644)
        (tmp_path / "page.key").touch()
        assert await served_certificate(port) == second
    assert "renewed certificate taken" in caplog.text
    assert "chmod 600" in caplog.text


def test_key_of_another_certificate_is_refused(tmp_path):
    (tmp_path / "other").mkdir()
    write_pair(tmp_path)
    write_pair(tmp_path / "other")
    (tmp_path / "other" / "page.key").replace(tmp_path / "page.key")
    with pytest.raises(ConfigError, match=r"page\.pem and .*page\.key do not match"):
        check(tmp_path)


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o644, 0o620])
def test_key_that_others_can_read_is_refused(tmp_path, mode):
    write_pair(tmp_path)
    (tmp_path / "page.key").chmod(mode)
    with pytest.raises(ConfigError, match=r"\$\.web\.tls_key: .*chmod 600"):
        check(tmp_path)


@pytest.mark.parametrize(
    ("name", "text", "sentence"),
    [
        ("page.key", "nonsense", r"\$\.web\.tls_key: .* holds no private key"),
        ("page.key", "", r"\$\.web\.tls_key: .* holds no private key"),
        ("page.key", None, r"\$\.web\.tls_key: .* cannot be read"),
        ("page.pem", "nonsense", r"\$\.web\.tls_cert: .* holds no certificate"),
        ("page.pem", None, r"\$\.web\.tls_cert: .* cannot be read"),
    ],
)
def test_files_that_are_none_are_named(tmp_path, name, text, sentence):
    write_pair(tmp_path)
    (tmp_path / name).unlink()
    if text is not None:
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(0o600)
    with pytest.raises(ConfigError, match=sentence):
        check(tmp_path)


def test_encrypted_key_is_refused(tmp_path):
    write_pair(tmp_path, password=b"secret")
    with pytest.raises(ConfigError, match="is encrypted"):
        check(tmp_path)


@pytest.mark.parametrize("web", [{"tls_cert": "page.pem"}, {"tls_key": "page.key"}])
def test_half_a_pair_is_refused(tmp_path, web):
    with pytest.raises(ConfigError, match="belong together"):
        check_web(config(tmp_path, **web))


@pytest.mark.parametrize("host", ["0.0.0.0", "[::]", "192.168.1.5", "gateway.lan"])
def test_strangers_are_kept_out_without_tls(tmp_path, host, caplog):
    assert not is_local(host.strip("[]"))
    with pytest.raises(ConfigError, match=r"\$\.web\.listen: .* unencrypted: set tls_cert .*SSH tunnel.*public = true"):
        check_web(config(tmp_path, listen=f"{host}:8080"))
    assert not caplog.records
    with caplog.at_level(logging.WARNING):
        assert check_web(config(tmp_path, listen=f"{host}:8080", public=True)) is None
    assert "page without TLS" in caplog.text
    write_pair(tmp_path)
    assert check(tmp_path, listen=f"{host}:8080") is not None


async def test_public_page_answers_by_any_name_but_only_after_the_log_in(tmp_path):
    token = make_home(tmp_path)
    async with (
        running(sources(House(), tmp_path, listen="0.0.0.0:0", public=True)) as address,
        aiohttp.ClientSession(address.replace("0.0.0.0", "127.0.0.1")) as session,
    ):
        named = {"Host": "gateway.lan:8080"}
        assert (await get(session, "/api/v1/status", headers=named))[0] == 401
        assert (await get(session, "/api/v1/status", headers=named | {"Authorization": f"Bearer {token}"}))[0] == 200
