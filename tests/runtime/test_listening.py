"""What is said of an address that cannot be listened on."""

import socket

import pytest

from runtime import listening
from runtime.settings import Address


def test_a_host_that_nobody_knows_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(*_: object, **__: object) -> list[object]:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    with pytest.raises(socket.gaierror, match="TCP nohost port 8080: Name or"):
        listening.bound(Address("nohost", 8080))
