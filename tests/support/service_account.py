"""A pod's service account, in a cluster that is none."""

from pathlib import Path

from tests.support.certificates import Certificate, self_signed

TOKEN = "a-token-of-the-service-account"


def service_account(folder: Path) -> Certificate:
    """Put what the kubelet does into a folder; return what the API server shows."""
    shown = self_signed(folder)
    (folder / "ca.crt").write_bytes(shown.certificate.read_bytes())
    (folder / "namespace").write_text("tandem")
    (folder / "token").write_text(f"{TOKEN}\n")
    return shown
