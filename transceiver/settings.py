"""Settings of the transceiver: one frozen object, read once at start."""

import ipaddress
import ssl
from dataclasses import dataclass
from pathlib import Path

from proto.payload import Payload
from runtime import settings as env, shared
from runtime.logs import Form
from runtime.settings import Address, LinkKeys, SettingsError, setting
from transceiver.client_secrets import is_client_secret
from transceiver.profile import Profile
from transceiver.sound import SOUNDS
from transceiver.tls import server_context


def payload(value: str) -> Payload:
    """Accept the name of a payload that the edge speaks."""
    for known in SOUNDS:
        if value.lower() == known.name.lower():
            return known
    raise ValueError(
        f"{value!r} is not one of {', '.join(known.name.lower() for known in SOUNDS)}"
    )


def profile(value: str) -> Profile:
    """Accept the name of a profile."""
    try:
        return Profile(value.lower())
    except ValueError:
        names = ", ".join(known.value for known in Profile)
        raise ValueError(f"{value!r} is not one of {names}") from None


def api_keys(value: str) -> tuple[str, ...]:
    """Accept a comma-separated list of keys, or nothing; commas alone are neither."""
    keys = env.words(value)
    if value and not keys:
        raise ValueError("holds no key")
    return keys


def endpoints(value: str) -> tuple[Address, ...]:
    """Accept a comma-separated list of IP:port, or nothing."""
    return tuple(
        Address(env.ip_address(given.host), given.port)
        for given in (env.addresses(value) if value else ())
    )


@dataclass(frozen=True, slots=True)
class TransceiverSettings:
    """What the environment says; see `--help` for the meanings."""

    workers: int = setting(
        "TANDEM_WORKERS",
        "1",
        env.workers,
        "processes that share HTTP and bounds, each with a UDP port of its own from "
        "TANDEM_UDP_PORT on; 0: one a core",
    )
    http_host: str = setting(
        "TANDEM_HTTP_HOST", "127.0.0.1", env.host, "address the public HTTP listens on"
    )
    http_port: int = setting(
        "TANDEM_HTTP_PORT", "8080", env.port, "port the public HTTP listens on"
    )
    published_host: str = setting(
        "TANDEM_PUBLISHED_HOST",
        "",
        env.host,
        "in a container: host address its ports are published on; "
        "empty: TANDEM_HTTP_HOST",
    )
    tls_certificate: str = setting(
        "TANDEM_TLS_CERTIFICATE",
        "",
        env.text,
        "PEM file: certificate of the public HTTP, then its chain; empty: no TLS",
    )
    tls_key: str = setting(
        "TANDEM_TLS_KEY",
        "",
        env.text,
        "PEM file: the certificate's private key, not encrypted",
        secret=True,
    )
    udp_host: str = setting(
        "TANDEM_UDP_HOST", "0.0.0.0", env.ip_address, "address media listens on"
    )
    udp_port: int = setting(
        "TANDEM_UDP_PORT",
        "3478",
        env.port,
        "the one UDP port that carries every call; of several workers, the first's",
    )
    public_address: str | None = setting(
        "TANDEM_PUBLIC_ADDRESS",
        "",
        env.optional_ip_address,
        "address told to callers for media; empty: the host's own",
    )
    ingress_addresses: tuple[Address, ...] = setting(
        "TANDEM_INGRESS_ADDRESS",
        "",
        endpoints,
        "comma-separated IP:port of the forwarders in front, told to callers instead of"
        " our own; empty: none",
    )
    ingress_route: str | None = setting(
        "TANDEM_INGRESS_ROUTE",
        "",
        env.optional_ip_address,
        "address that forwarders reach us at; empty: the host's own",
    )
    api_keys: tuple[str, ...] = setting(
        "TANDEM_API_KEYS",
        "",
        api_keys,
        "comma-separated keys that callers present; empty: open, on loopback only",
        secret=True,
    )
    max_calls: int = setting(
        "TANDEM_MAX_CALLS",
        "100",
        env.positive,
        "calls and WebSocket sessions at a time; more get 503",
    )
    max_calls_per_key: int = setting(
        "TANDEM_MAX_CALLS_PER_KEY",
        "0",
        env.whole,
        "of them, those of one key; more get 429; 0: no bound of its own",
    )
    relays: tuple[tuple[Address, ...], ...] = setting(
        "TANDEM_RELAYS",
        "127.0.0.1:7000",
        env.regions,
        "comma-separated host:port of the relays' links, or host:first-last where they "
        "have workers, a name for all its addresses; "
        "after a semicolon those of the next region, for when none before takes calls",
    )
    link_keys: LinkKeys = shared.link_keys()  # noqa: RUF009  # LinkKeys is immutable
    link_payload: Payload = setting(  # noqa: RUF009  # an enum's member is immutable
        "TANDEM_LINK_PAYLOAD",
        "pcm",
        payload,
        "what relays are asked to carry audio as: pcm; opus, a seventh of the bytes,"
        " for links across regions; pcmu or pcma, a quarter, and narrow band",
    )
    profile: Profile = setting(  # noqa: RUF009  # as above
        "TANDEM_PROFILE",
        "auto",
        profile,
        "how the model's voice is encoded: low_delay; voip, with in-band FEC; quality, "
        "voip at twice the CPU; auto, low_delay for callers that offer RED, "
        "voip for others",
    )
    status_host: str = setting(
        "TANDEM_STATUS_HOST",
        "127.0.0.1",
        env.host,
        "where the edge's status pages listen, if TANDEM_STATUS_PORT is set",
    )
    status_port: int | None = setting(
        "TANDEM_STATUS_PORT",
        "",
        env.optional_port,
        "port of the edge's status pages; empty: none, and /metrics is on the public "
        "HTTP as long as that is for this machine only",
    )
    admin_port: int | None = setting(
        "TANDEM_ADMIN_PORT",
        "",
        env.optional_port,
        "port on 127.0.0.1 for POST /admin/drain and the status pages; empty: none",
    )
    drain_s: int = shared.drain_s()
    log_level: str = shared.log_level()
    log_format: Form = shared.log_format()  # noqa: RUF009  # an enum's member is immutable

    def __post_init__(self) -> None:
        """Refuse an open door to the world, and keys that cannot work.

        Raises:
            SettingsError: Workers want for ports; no keys are set and HTTP listens
                beyond loopback; a key would be taken for a client secret; the
                certificate or its key is unusable.
        """
        self.tls_context()
        env.check_ports("TANDEM_UDP_PORT", self.udp_port, self.workers)
        if any(is_client_secret(key) for key in self.api_keys):
            raise SettingsError(
                "TANDEM_API_KEYS: a key may not begin as client secrets do (ek_)"
            )
        if not self.api_keys and not self.is_local:
            variable = "PUBLISHED" if self.published_host else "HTTP"
            raise SettingsError(
                f"TANDEM_API_KEYS: is empty while TANDEM_{variable}_HOST is "
                f"{self.published_host or self.http_host}; "
                "set keys, or listen on 127.0.0.1"
            )

    @property
    def http(self) -> Address:
        """Where the public HTTP listens."""
        return Address(self.http_host, self.http_port)

    @property
    def status(self) -> Address | None:
        """Where the status pages listen, if anywhere."""
        if self.status_port is None:
            return None
        return Address(self.status_host, self.status_port)

    @property
    def has_public_metrics(self) -> bool:
        """Whether /metrics is on the public HTTP: nowhere else, and for nobody else."""
        return self.status_port is None and self.is_local

    @property
    def is_local(self) -> bool:
        """Whether callers are on this machine only, however a container sees them."""
        return is_loopback(self.published_host or self.http_host)

    def tls_context(self) -> ssl.SSLContext | None:
        """Return how the public HTTP is encrypted, None if it is not.

        Raises:
            SettingsError: The certificate or its key is missing or unusable.
        """
        if not self.tls_certificate and not self.tls_key:
            return None
        if not self.tls_key:
            raise SettingsError("TANDEM_TLS_KEY: is not set; the certificate needs it")
        if not self.tls_certificate:
            raise SettingsError("TANDEM_TLS_CERTIFICATE: is not set; the key needs it")
        return server_context(Path(self.tls_certificate), Path(self.tls_key))


def is_loopback(host: str) -> bool:
    """Tell whether a listening address is reachable from this machine only."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
