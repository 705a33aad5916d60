"""Who may call."""

import pytest

from transceiver.auth import KeyRing


def test_an_empty_ring_is_open() -> None:
    assert KeyRing(()).tenant(None) == "open"


def test_a_known_key_names_its_tenant_without_telling_the_key() -> None:
    ring = KeyRing(("sk-one", "sk-two"))
    one, two = ring.tenant("Bearer sk-one"), ring.tenant("bearer sk-two")
    assert one is not None
    assert two is not None
    assert one != two
    assert "sk-" not in one


@pytest.mark.parametrize(
    "header",
    [
        *(None, "", "Bearer", "Bearer ", "Bearer sk", "Basic sk-one", "sk-one"),
        b"Bearer sk-\xff".decode(errors="surrogateescape"),  # as aiohttp reads it
    ],
)
def test_all_else_is_nobody(header: str | None) -> None:
    assert KeyRing(("sk-one",)).tenant(header) is None
