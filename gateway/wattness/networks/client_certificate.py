"""What a gateway shows a server that asks who it is: a certificate and its key, read again when they were renewed."""

import ssl
from pathlib import Path

from cryptography import x509
from cryptography.x509.oid import NameOID

from wattness.errors import ConfigError
from wattness.private import read_private


class ClientCertificate:
    """Two PEM files and the TLS context that uses them."""

    def __init__(self, chain: Path, key: Path, ca: Path | None) -> None:
        """`ca` is for a server whose certificate the system does not know; raises ConfigError."""
        self.chain, self.key = chain, key
        try:
            self.context = ssl.create_default_context(cafile=None if ca is None else str(ca))
        except (OSError, ssl.SSLError) as error:
            raise ConfigError(f"{ca} cannot be used as a list of authorities: {error}.") from None
        self.common_name = ""
        self.ends_unix_s = 0.0
        self._read_ns = (0, 0)
        self.refresh()

    def refresh(self) -> None:
        """Use the files as they are now; raises ConfigError with the remedy."""
        try:
            changed = (self.chain.stat().st_mtime_ns, self.key.stat().st_mtime_ns)
            if changed == self._read_ns:
                return
            certificate = x509.load_pem_x509_certificate(self.chain.read_bytes())
            read_private(self.key)
            self.context.load_cert_chain(self.chain, self.key)
        except (OSError, ssl.SSLError, ValueError) as error:
            raise ConfigError(
                f"{self.chain} with {self.key} is no certificate with its key: {error}; get a new one."
            ) from None
        names = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
        self.common_name = str(names[0].value) if names else ""
        self.ends_unix_s = certificate.not_valid_after_utc.timestamp()
        self._read_ns = changed
