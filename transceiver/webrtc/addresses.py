"""Where callers are told to send to: host addresses, and candidates made of them."""

from typing import Final, cast

import aioice
import ifaddr
from aioice.candidate import candidate_foundation, candidate_priority

MAX_ADVERTISED: Final = 4
"""Host addresses advertised at most, so that an answer stays small."""

BRIDGES: Final = ("docker", "br-", "veth", "virbr", "cni", "flannel", "cali")
"""Names of interfaces that callers cannot reach: container and machine bridges."""


def advertised_addresses(
    host: str, public_address: str | None, *, with_loopback: bool
) -> list[str]:
    """Choose the addresses told to callers, best first; never empty."""
    if public_address is not None:
        return [public_address]
    if host not in {"0.0.0.0", "::"}:
        return [host]
    own = [
        cast(str, ip.ip)
        for adapter in ifaddr.get_adapters()
        if not adapter.name.startswith(BRIDGES)
        for ip in adapter.ips
        if ip.is_IPv4 and ip.ip != "127.0.0.1"
    ][:MAX_ADVERTISED]
    return [*own, "127.0.0.1"] if with_loopback or not own else own


def host_candidate(address: str, port: int, preference: int) -> aioice.Candidate:
    """Return a candidate; the least preference is the first."""
    return aioice.Candidate(
        foundation=candidate_foundation("host", "udp", address),
        component=1,
        transport="udp",
        priority=candidate_priority(1, "host", 65535 - preference),
        host=address,
        port=port,
        type="host",
    )
