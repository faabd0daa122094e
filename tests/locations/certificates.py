"""An authority of our own, and certificates that it signs."""

from __future__ import annotations

import ipaddress
import ssl
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec


@dataclass(frozen=True)
class Certificate:
    """Files of a certificate, its key, and the authority that signed it."""

    chain: Path
    key: Path
    authority: Path

    def context(self) -> ssl.SSLContext:
        """Return the context of a server."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.chain, self.key)
        return context


class Authority:
    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, f"An authority in {folder.name}")])
        usage = x509.KeyUsage(*[True] * 3, *[False] * 2, *[True] * 2, *[False] * 2)  # it signs certificates
        extensions = [(x509.BasicConstraints(ca=True, path_length=None), True), (usage, True)]
        self.path = folder / "authority.pem"
        self.path.write_bytes(self._sign(self._name, self._key, extensions))

    def certify(self, host: str, *, age_days: int = 1) -> Certificate:
        """Sign a certificate for a host name or address, which is valid for 30 days."""
        try:
            name: x509.GeneralName = x509.IPAddress(ipaddress.ip_address(host))
        except ValueError:
            name = x509.DNSName(host)
        key = ec.generate_private_key(ec.SECP256R1())
        chain, key_path = self._folder / f"{host}-{age_days}.pem", self._folder / f"{host}-{age_days}.key"
        subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, host)])
        chain.write_bytes(self._sign(subject, key, [(x509.SubjectAlternativeName([name]), False)], age_days))
        key_path.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
        )
        return Certificate(chain, key_path, self.path)

    def _sign(
        self,
        subject: x509.Name,
        key: ec.EllipticCurvePrivateKey,
        extensions: list[tuple[x509.ExtensionType, bool]],
        age_days: int = 1,
    ) -> bytes:
        start = datetime.now(UTC) - timedelta(days=age_days)
        made = x509.CertificateBuilder().subject_name(subject).issuer_name(self._name).public_key(key.public_key())
        made = made.serial_number(x509.random_serial_number())
        made = made.not_valid_before(start).not_valid_after(start + timedelta(days=30))
        issuer = x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key())
        for extension, is_critical in [
            *extensions,
            (x509.SubjectKeyIdentifier.from_public_key(key.public_key()), False),
            (issuer, False),
        ]:
            made = made.add_extension(extension, is_critical)
        return made.sign(self._key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)
