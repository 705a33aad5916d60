"""The forwarder as a real process in front of a running stack."""

import contextlib
from collections.abc import AsyncIterator

from tests.support.services import Process, Stack, free_ports, running_stack


class Ingress:
    """A forwarder that can be replaced by another one at the same public port."""

    def __init__(self, public: int, drain_s: int = 0) -> None:
        self.environ: dict[str, str] = {}
        self.process: Process | None = None
        self._drain_s = drain_s
        self._public = public
        self._inner, self._http = free_ports(2)

    async def start(self) -> None:
        """Start it, and wait until it is ready."""
        self.process = Process("transceiver.ingress", self.url)
        await self.process.start(
            self.environ
            | {
                "TANDEM_INGRESS_HOST": "127.0.0.1",
                "TANDEM_INGRESS_PORT": str(self._public),
                "TANDEM_INGRESS_INNER_HOST": "127.0.0.1",
                "TANDEM_INGRESS_INNER_PORT": str(self._inner),
                "TANDEM_INGRESS_HTTP_PORT": str(self._http),
                "TANDEM_DRAIN_S": str(self._drain_s),
            }
        )
        await self.process.wait_ready()

    async def replace(self, *, elsewhere: bool = False) -> None:
        """Have it crash, and start another.

        Args:
            elsewhere: The new one is reached at another address inside the cluster.
        """
        assert self.process is not None
        await self.process.kill()
        await self.process.stop()
        if elsewhere:
            (self._inner,) = free_ports(1)
        await self.start()

    @property
    def addresses(self) -> tuple[tuple[str, int], tuple[str, int]]:
        """Where clients reach it, and where transceivers do."""
        return ("127.0.0.1", self._public), ("127.0.0.1", self._inner)

    @property
    def url(self) -> str:
        """Base URL of the status pages."""
        return f"http://127.0.0.1:{self._http}"


@contextlib.asynccontextmanager
async def forwarded_stack(
    drain_s: int = 0, **settings: str
) -> AsyncIterator[tuple[Stack, Ingress]]:
    """Run a stack whose callers are told the forwarder's address only.

    Args:
        drain_s: TANDEM_DRAIN_S of the forwarder.
        settings: Further environment variables.
    """
    (public,) = free_ports(1)
    ingress = Ingress(public, drain_s)
    async with running_stack(
        "echo", TANDEM_INGRESS_ADDRESS=f"127.0.0.1:{public}", **settings
    ) as stack:
        ingress.environ = stack.environ
        try:
            await ingress.start()
            yield stack, ingress
        finally:
            assert ingress.process is not None
            code = await ingress.process.stop()
            assert "Traceback" not in ingress.process.log, ingress.process.log
        assert code == 0, ingress.process.log
