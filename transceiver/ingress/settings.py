"""The forwarder's settings, from the environment."""

from dataclasses import dataclass

from runtime import settings as env, shared
from runtime.logs import Form
from runtime.settings import Address, LinkKeys, SettingsError, setting


@dataclass(frozen=True, slots=True)
class IngressSettings:
    """What the forwarder reads once, at start."""

    host: str = setting(
        "TANDEM_INGRESS_HOST",
        "0.0.0.0",
        env.ip_address,
        "address that callers' media reaches; set it where the host has several",
    )
    port: int = setting(
        "TANDEM_INGRESS_PORT", "3478", env.port, "the one UDP port for all callers"
    )
    inner_host: str = setting(
        "TANDEM_INGRESS_INNER_HOST",
        "0.0.0.0",
        env.ip_address,
        "address that transceivers answer to, inside the cluster",
    )
    inner_port: int = setting(
        "TANDEM_INGRESS_INNER_PORT",
        "3479",
        env.port,
        "UDP port that transceivers answer to; the same after a restart",
    )
    max_flows: int = setting(
        "TANDEM_INGRESS_FLOWS",
        "65536",
        env.positive,
        "clients' addresses known at a time, about 1 kB each; the oldest that no "
        "transceiver has answered makes room",
    )
    link_keys: LinkKeys = shared.link_keys()  # noqa: RUF009  # LinkKeys is immutable
    http_host: str = setting(
        "TANDEM_INGRESS_HTTP_HOST",
        "127.0.0.1",
        env.host,
        "where the forwarder's status pages listen",
    )
    http_port: int = setting(
        "TANDEM_INGRESS_HTTP_PORT", "8083", env.port, "port of the status pages"
    )
    drain_s: int = shared.drain_s()
    log_level: str = shared.log_level()
    log_format: Form = shared.log_format()  # noqa: RUF009  # an enum's member is immutable

    def __post_init__(self) -> None:
        """Refuse one port for both sides.

        Raises:
            SettingsError: Callers and transceivers would reach the same port.
        """
        if self.port and self.port == self.inner_port:
            raise SettingsError(
                f"TANDEM_INGRESS_INNER_PORT: {self.inner_port} is the callers' port too"
            )

    @property
    def http(self) -> Address:
        """Where the status pages listen."""
        return Address(self.http_host, self.http_port)
