"""TLS of the public door: one certificate and its key, TLS 1.2 and later."""

import ssl
from pathlib import Path

from cryptography import x509

from runtime.settings import SettingsError


def server_context(certificate: Path, key: Path) -> ssl.SSLContext:
    """Return the context of a server that shows a certificate.

    Args:
        certificate: PEM file, the server's own first, then the chain.
        key: PEM file of its private key, not encrypted.

    Raises:
        SettingsError: A file cannot be read or used, or they do not fit together.
    """
    for variable, path in (
        ("TANDEM_TLS_CERTIFICATE", certificate),
        ("TANDEM_TLS_KEY", key),
    ):
        try:
            path.read_bytes()
        except OSError as error:
            raise SettingsError(f"{variable}: {path}: {error.strerror}") from None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    try:
        context.load_cert_chain(certificate, key, password=_nobody_types_one)
    except ssl.SSLError as error:
        _check_certificate(certificate)
        reason = error.reason or "no PEM, or an encrypted key"
        raise SettingsError(
            f"TANDEM_TLS_KEY: {certificate} and {key} are no certificate and its key "
            f"({reason.lower().replace('_', ' ')})"
        ) from None
    return context


def _check_certificate(path: Path) -> None:
    try:
        x509.load_pem_x509_certificates(path.read_bytes())
    except ValueError:
        raise SettingsError(
            f"TANDEM_TLS_CERTIFICATE: {path} is no certificate in PEM"
        ) from None


def _nobody_types_one() -> str:
    """Stand where OpenSSL would ask the terminal for the password of a key."""
    return "\0"
