"""Where the edge's status pages are: never where strangers come, unless harmless."""

import aiohttp
import pytest

from tests.support.services import free_ports, running_stack

PAGES = ("/healthz", "/readyz", "/metrics")
KEYS = {"TANDEM_API_KEYS": "sk-of-the-status-pages"}


async def statuses(url: str) -> tuple[int, ...]:
    """Return how each of the pages is answered."""
    found = []
    async with aiohttp.ClientSession() as http:
        for path in PAGES:
            async with http.get(url + path) as response:
                found.append(response.status)
    return tuple(found)


@pytest.mark.asyncio
@pytest.mark.parametrize("workers", ["1", "2"])
async def test_metrics_move_to_the_port_of_the_status_pages(workers: str) -> None:
    (port,) = free_ports(1)
    given = {"TANDEM_STATUS_PORT": str(port), "TANDEM_WORKERS": workers}
    async with running_stack("echo", **given) as stack:
        assert await statuses(f"http://127.0.0.1:{port}") == (200, 200, 200)
        assert await statuses(stack.url) == (200, 200, 404)
    assert stack.stopped["transceiver"] == 0


@pytest.mark.asyncio
async def test_strangers_are_told_no_metrics() -> None:
    async with running_stack("echo", TANDEM_PUBLISHED_HOST="192.0.2.1", **KEYS) as one:
        assert await statuses(one.url) == (200, 200, 404)
