"""The service account of a pod, as the kubelet puts it into a folder."""

import ssl
from pathlib import Path

from runtime.settings import SettingsError

VARIABLE = "TANDEM_SERVICE_ACCOUNT"
"""The setting that names the folder."""


class Account:
    """What the API server is known by, and shown.

    Args:
        folder: With the files token, ca.crt and namespace.

    Raises:
        SettingsError: A file cannot be read or used.

    Attributes:
        namespace: The pod's.
        tls: Trusts the cluster's authority only.
    """

    def __init__(self, folder: Path) -> None:
        self._token, authority = folder / "token", folder / "ca.crt"
        _read(self._token)
        _read(authority)
        self.namespace = _read(folder / "namespace")
        try:
            self.tls = ssl.create_default_context(cafile=authority)
        except ssl.SSLError:
            raise SettingsError(
                f"{VARIABLE}: {authority} is no certificate in PEM"
            ) from None

    def token(self) -> str:
        """Return what it shows; read each time, since the kubelet renews it.

        Raises:
            OSError: The file is not there any more.
        """
        return self._token.read_text().strip()


def _read(path: Path) -> str:
    try:
        text = path.read_text(errors="replace").strip()
    except OSError as error:
        raise SettingsError(f"{VARIABLE}: {path}: {error.strerror}") from None
    if not text:
        raise SettingsError(f"{VARIABLE}: {path} is empty")
    return text
