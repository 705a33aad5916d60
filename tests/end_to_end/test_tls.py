"""With a certificate the whole public door speaks TLS, and nothing else."""

import asyncio
import ssl
from pathlib import Path

import aiohttp
import pytest

from tests.support.caller import Caller
from tests.support.certificates import self_signed
from tests.support.services import running_stack

pytestmark = pytest.mark.interop


def trusting(certificate: Path) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=certificate)


@pytest.mark.asyncio
async def test_page_status_and_calls_are_served_under_tls_only(tmp_path: Path) -> None:
    made = self_signed(tmp_path)
    async with running_stack("echo", **made.settings) as stack:
        assert stack.url.startswith("https://")
        connector = aiohttp.TCPConnector(ssl=trusting(made.certificate))
        caller = Caller()
        async with aiohttp.ClientSession(connector=connector) as http:
            for path in ("/", "/healthz", "/metrics"):
                async with http.get(stack.url + path) as response:
                    assert response.status == 200
            async with http.post(
                f"{stack.url}/v1/realtime/calls",
                data=await caller.offer(),
                headers={"Content-Type": "application/sdp"},
            ) as response:
                assert response.status == 201
                await caller.take_answer(await response.text())
            async with http.ws_connect(f"{stack.url}/v1/realtime") as websocket:
                assert "session.created" in await websocket.receive_str()
        await caller.wait_for("session.created")
        await caller.close()
        port = int(stack.environ["TANDEM_HTTP_PORT"])
        assert await said_in_the_clear(port) == b""
        await shake_hands(port, trusting(made.certificate), ssl.TLSVersion.TLSv1_2)
        with (
            pytest.warns(DeprecationWarning, match=r"TLSv1_1 is deprecated"),
            pytest.raises(OSError, match=r"^$|handshake|alert|closed"),
        ):
            await shake_hands(port, trusting(made.certificate), ssl.TLSVersion.TLSv1_1)


async def said_in_the_clear(port: int) -> bytes:
    """Return what the port answers to HTTP without TLS."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
    answer = await reader.read()
    writer.close()
    await writer.wait_closed()
    return answer if answer.startswith(b"HTTP") else b""


async def shake_hands(
    port: int, context: ssl.SSLContext, newest: ssl.TLSVersion
) -> None:
    """Connect as a client that knows no newer TLS."""
    context.set_ciphers("DEFAULT@SECLEVEL=0")  # or OpenSSL itself would not dare
    context.minimum_version = ssl.TLSVersion.MINIMUM_SUPPORTED
    context.maximum_version = newest
    _, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context)
    writer.close()
    await writer.wait_closed()
