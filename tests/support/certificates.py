"""Certificates made for a test: of nobody that anyone trusts, for loopback."""

import datetime
import ipaddress
from pathlib import Path
from typing import NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

LIFE = datetime.timedelta(days=1)


class Certificate(NamedTuple):
    """PEM files of a self-signed certificate and of its key."""

    certificate: Path
    key: Path

    @property
    def settings(self) -> dict[str, str]:
        """The environment that has the transceiver show it."""
        return {
            "TANDEM_TLS_CERTIFICATE": str(self.certificate),
            "TANDEM_TLS_KEY": str(self.key),
        }


def self_signed(folder: Path, name: str = "edge") -> Certificate:
    """Make a certificate for 127.0.0.1 and localhost."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.datetime.now(datetime.UTC)  # noqa: TID251  # TLS reads real time
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - LIFE)
        .not_valid_after(now + LIFE)
        .add_extension(
            x509.SubjectAlternativeName(
                [
                    x509.DNSName("localhost"),
                    x509.IPAddress(ipaddress.ip_address("127.0.0.1")),
                ]
            ),
            critical=False,
        )
        .sign(key, hashes.SHA256())
    )
    made = Certificate(folder / f"{name}.pem", folder / f"{name}.key")
    made.certificate.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    made.key.write_bytes(_pem(key, serialization.NoEncryption()))
    return made


def encrypted(made: Certificate, password: bytes) -> Certificate:
    """Return the certificate with its key under a password."""
    key = serialization.load_pem_private_key(made.key.read_bytes(), None)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    path = made.key.with_suffix(".encrypted")
    path.write_bytes(_pem(key, serialization.BestAvailableEncryption(password)))
    return made._replace(key=path)


def _pem(
    key: ec.EllipticCurvePrivateKey,
    encryption: serialization.KeySerializationEncryption,
) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, encryption
    )
