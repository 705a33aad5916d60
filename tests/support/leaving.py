"""WebSocket upgrades whose client leaves at once, without a network."""

from unittest import mock

from aiohttp import ClientConnectionResetError, web
from aiohttp.test_utils import make_mocked_request

UPGRADE = {
    "Host": "localhost",
    "Connection": "Upgrade",
    "Upgrade": "websocket",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
}


def left_during(path: str) -> web.Request:
    """Return an upgrade to whose client nothing can be written any more."""
    gone = mock.AsyncMock(side_effect=ClientConnectionResetError)
    writer = mock.Mock(write_headers=gone)
    return make_mocked_request("GET", path, UPGRADE, writer=writer)
