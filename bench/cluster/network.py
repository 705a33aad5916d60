"""The network: a namespace for each host, all at one switch, none of it outside.

    client ── switch ─┬─ ingress-1, ingress-2     both have the media address, on lo
                      ├─ edge-1, edge-2
                      └─ relay-1, relay-2

The switch is the load balancer too: its route to the media address has one hop for each
forwarder that takes part, and the kernel hashes addresses and ports over them. Answers
go past that, straight to the client.
"""

import asyncio
import contextlib
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterable, Iterator

CLIENT = "client"
INGRESSES = ("ingress-1", "ingress-2")
EDGES = ("edge-1", "edge-2")
RELAYS = ("relay-1", "relay-2")
HOSTS = (CLIENT, *INGRESSES, *EDGES, *RELAYS)
SWITCH = "switch"
SWITCH_ADDRESS = "10.201.0.254"
BALANCING = (
    "net.ipv4.ip_forward=1",
    "net.ipv4.fib_multipath_hash_policy=3",  # as packets say: 1 believes the socket's
    "net.ipv4.fib_multipath_hash_fields=55",  # hash; addresses, ports and protocol
    "net.ipv4.conf.all.send_redirects=0",  # or the client would go past it
    "net.ipv4.conf.default.send_redirects=0",
)

MEDIA_ADDRESS = "10.201.1.1"
"""What callers are told for media; in nobody's subnet: a route leads there, no ARP."""


class NetworkError(Exception):
    """The network cannot be made here; the message says why."""


def address(host: str) -> str:
    """Return the IPv4 address of a host."""
    return f"10.201.0.{HOSTS.index(host) + 1}"


class Network:
    """The namespaces of one run, told from those of others by a prefix."""

    def __init__(self, prefix: str) -> None:
        self.prefix = prefix

    def namespace(self, host: str) -> str:
        """Return the name of a host's namespace."""
        return f"{self.prefix}-{host}"

    def on(self, host: str) -> tuple[str, ...]:
        """Return the command that runs another one at a host."""
        return ("ip", "netns", "exec", self.namespace(host))

    async def balance(self, ingresses: Iterable[str]) -> None:
        """Spread callers' media over these forwarders from now on."""
        process = await asyncio.create_subprocess_exec(
            *("ip", "-n", self.namespace(SWITCH), *_route(ingresses))
        )
        if await process.wait():
            raise NetworkError("the route to the forwarders cannot be changed")

    def make(self) -> None:
        """Make all of it.

        Raises:
            NetworkError: A command of it was refused.
        """
        switch = self.namespace(SWITCH)
        _run("ip", "netns", "add", switch)
        _run(*self.on(SWITCH), "sysctl", "-qw", *BALANCING)
        _run("ip", "-n", switch, "link", "add", "bridge", "type", "bridge")
        _run("ip", "-n", switch, "link", "set", "bridge", "up")
        own = ("address", "add", f"{SWITCH_ADDRESS}/24", "dev", "bridge")
        _run("ip", "-n", switch, *own)
        for host in HOSTS:
            self._plug_in(host)
        for host in INGRESSES:
            here = self.namespace(host)
            _run("ip", "-n", here, "address", "add", f"{MEDIA_ADDRESS}/32", "dev", "lo")
        _run("ip", "-n", switch, *_route(INGRESSES))
        to_media = ("route", "add", f"{MEDIA_ADDRESS}/32", "via", SWITCH_ADDRESS)
        _run("ip", "-n", self.namespace(CLIENT), *to_media)

    def remove(self) -> None:
        """Remove what there is of it, and end what still runs in it."""
        for host in (*HOSTS, SWITCH):
            found = subprocess.run(
                ("ip", "netns", "pids", self.namespace(host)),
                capture_output=True,
                text=True,
                check=False,  # it may not have been made
            )
            for pid in found.stdout.split():
                with contextlib.suppress(ProcessLookupError):
                    os.kill(int(pid), signal.SIGKILL)
        for host in (*HOSTS, SWITCH):
            subprocess.run(
                ("ip", "netns", "delete", self.namespace(host)),
                capture_output=True,
                check=False,  # as above
            )

    def _plug_in(self, host: str) -> None:
        here, switch = self.namespace(host), self.namespace(SWITCH)
        _run("ip", "netns", "add", here)
        link = ("link", "add", "eth0", "type", "veth", "peer", "name", host)
        _run("ip", "-n", here, *link, "netns", switch)
        _run("ip", "-n", switch, "link", "set", host, "master", "bridge", "up")
        _run("ip", "-n", here, "address", "add", f"{address(host)}/24", "dev", "eth0")
        for name in ("lo", "eth0"):
            _run("ip", "-n", here, "link", "set", name, "up")


@contextlib.contextmanager
def network() -> Iterator[Network]:
    """Have a network for the length of a block.

    Raises:
        NetworkError: It cannot be made here.
    """
    if not sys.platform.startswith("linux"):
        raise NetworkError("network namespaces are Linux's")
    if os.geteuid() != 0:
        raise NetworkError("only root may make network namespaces")
    if shutil.which("ip") is None or shutil.which("sysctl") is None:
        raise NetworkError("`ip` (iproute2) and `sysctl` (procps) are needed")
    made = Network(f"tandem-{os.getpid()}")
    try:
        made.make()
        yield made
    finally:
        made.remove()


def _route(ingresses: Iterable[str]) -> list[str]:
    hops = [hop for host in ingresses for hop in ("nexthop", "via", address(host))]
    return ["route", "replace", f"{MEDIA_ADDRESS}/32", *hops]


def _run(*command: str) -> None:
    try:
        subprocess.run(command, check=True, capture_output=True, text=True)
    except subprocess.CalledProcessError as error:
        raise NetworkError(f"{' '.join(command)}: {error.stderr.strip()}") from error
