"""Settings of what keeps the pod-deletion cost, from the environment."""

from dataclasses import dataclass
from pathlib import Path

from deploy.deletion_cost.account import VARIABLE, Account
from runtime import settings as env, shared
from runtime.logs import Form
from runtime.settings import Address, setting


@dataclass(frozen=True, slots=True)
class DeletionCostSettings:
    """What it reads once, at start; the first three are given to every pod."""

    api_host: str = setting(
        "KUBERNETES_SERVICE_HOST", "kubernetes.default.svc", env.host, "the API server"
    )
    api_port: int = setting(
        "KUBERNETES_SERVICE_PORT", "443", env.port, "port of the API server"
    )
    account_folder: Path = setting(  # noqa: RUF009  # Path is immutable
        VARIABLE,
        "/var/run/secrets/kubernetes.io/serviceaccount",
        Path,
        "folder with the files token, ca.crt and namespace",
    )
    http_host: str = setting(
        "TANDEM_DELETION_COST_HTTP_HOST",
        "127.0.0.1",
        env.host,
        "where its own status pages listen",
    )
    http_port: int = setting(
        "TANDEM_DELETION_COST_HTTP_PORT", "8085", env.port, "port of the status pages"
    )
    log_level: str = shared.log_level()
    log_format: Form = shared.log_format()  # noqa: RUF009  # an enum's member is immutable

    def __post_init__(self) -> None:
        """Refuse to run where no service account is.

        Raises:
            SettingsError: A file of the service account's is missing or unusable.
        """
        self.account()

    def account(self) -> Account:
        """Return the service account.

        Raises:
            SettingsError: One of its files is missing or unusable.
        """
        return Account(self.account_folder)

    @property
    def api(self) -> Address:
        """Where the API server is."""
        return Address(self.api_host, self.api_port)

    @property
    def http(self) -> Address:
        """Where the status pages listen."""
        return Address(self.http_host, self.http_port)
