"""How the page may be reached: the certificate and its key, and who may listen without them."""

import ipaddress
import logging
import ssl
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes, PublicKeyTypes

from wattness.config import Config, split_address
from wattness.errors import ConfigError
from wattness.private import read_private

log = logging.getLogger(__name__)

LOCAL_NAMES = {"localhost", "localhost."}


def check_web(config: Config) -> ssl.SSLContext | None:
    """Return the TLS context, if TLS is wanted; raises ConfigError for what would fail or be read by strangers."""
    web = config.web
    host, _ = split_address(web.listen, "$.web.listen")
    if bool(web.tls_cert) != bool(web.tls_key):
        raise ConfigError("$.web: tls_cert and tls_key belong together: set both, or neither.")
    if web.tls_cert:
        certificate, key = config.path(web.tls_cert), config.path(web.tls_key)
        context = _context(certificate, key)
        context.sni_callback = _Renewal(context, certificate, key).look
        return context
    if not is_local(host):
        if not web.public:
            raise ConfigError(
                f"$.web.listen: {host!r} would send the token and all that the page shows unencrypted: set tls_cert "
                "and tls_key, or keep it on 127.0.0.1 and use an SSH tunnel (`ssh -L 8080:127.0.0.1:8080 gateway`); "
                "`public = true` allows it all the same."
            )
        log.warning("page without TLS listen=%s: whoever is on the way reads the token; set web.tls_cert", web.listen)
    return None


def is_local(host: str) -> bool:
    """Whether a host's name can only mean this machine."""
    try:
        return host.lower() in LOCAL_NAMES or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


class _Renewal:
    """Takes a renewed certificate without a restart: it looks at the files before each handshake."""

    def __init__(self, context: ssl.SSLContext, certificate: Path, key: Path) -> None:
        self._context, self._files = context, (certificate, key)
        self._seen = self._stamps()

    def look(self, connection: ssl.SSLObject, _name: str | None, _old: ssl.SSLContext) -> None:
        """Give a connection the newest context; what is wrong with new files is said once, and the old ones go on."""
        found = self._stamps()
        if found != self._seen:
            self._seen = found
            try:
                self._context = _context(*self._files)
            except ConfigError as error:
                log.warning("renewed certificate not taken error=%s", error)
            else:
                log.info("renewed certificate taken")
        connection.context = self._context

    def _stamps(self) -> list[tuple[int, int] | None]:
        return [_stamp(file) for file in self._files]


def _stamp(file: Path) -> tuple[int, int] | None:
    try:
        stat = file.stat()
    except OSError:
        return None
    return stat.st_mtime_ns, stat.st_ino


def _context(certificate: Path, key: Path) -> ssl.SSLContext:
    own, secret = _read_certificate(certificate), _read_key(key)
    if _raw(own.public_key()) != _raw(secret.public_key()):
        raise ConfigError(f"$.web: {certificate} and {key} do not match: the certificate is of another key.")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        context.load_cert_chain(certificate, key, password=lambda: b"")
    except (OSError, ValueError) as error:  # ssl.SSLError is an OSError
        raise ConfigError(f"$.web: {certificate} and {key} cannot be used for TLS: {error}.") from None
    return context


def _read_certificate(file: Path) -> x509.Certificate:
    try:
        return x509.load_pem_x509_certificates(file.read_bytes())[0]
    except OSError as error:
        raise ConfigError(f"$.web.tls_cert: {file} cannot be read: {error.strerror}.") from None
    except ValueError:
        raise ConfigError(f"$.web.tls_cert: {file} holds no certificate in PEM form.") from None


def _read_key(file: Path) -> PrivateKeyTypes:
    try:
        return serialization.load_pem_private_key(read_private(file).encode(), None)
    except ConfigError as error:
        raise ConfigError(f"$.web.tls_key: {error}") from None
    except TypeError:
        raise ConfigError(f"$.web.tls_key: {file} is encrypted; the gateway has no password for it.") from None
    except ValueError:
        raise ConfigError(f"$.web.tls_key: {file} holds no private key in PEM form.") from None


def _raw(key: PublicKeyTypes) -> bytes:
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    return key.public_bytes(serialization.Encoding.DER, form)
