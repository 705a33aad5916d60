"""Who may call."""

import pytest

from transceiver.auth import Caller, KeyRing, Unauthorized, bearer


def test_an_empty_ring_is_open() -> None:
    assert KeyRing(()).identify(None) == Caller("open", None)


def test_a_known_key_names_its_tenant_without_telling_the_key() -> None:
    ring = KeyRing(("sk-one", "sk-two"))
    one, two = ring.identify("sk-one"), ring.identify("sk-two")
    assert one.secret is None
    assert one.tenant != two.tenant
    assert "sk-" not in one.tenant


@pytest.mark.parametrize(
    "key",
    [
        *(None, "", "sk", "sk-one ", "SK-ONE"),
        b"sk-\xff".decode(errors="surrogateescape"),  # as aiohttp reads it
    ],
)
def test_all_else_is_nobody(key: str | None) -> None:
    with pytest.raises(Unauthorized):
        KeyRing(("sk-one",)).identify(key)


@pytest.mark.parametrize(
    ("header", "key"),
    [
        ("Bearer sk-one", "sk-one"),
        ("bearer  sk-one ", "sk-one"),
        *(
            (header, None)
            for header in (None, "", "Bearer", "Bearer ", "Basic sk", "sk")
        ),
    ],
)
def test_a_key_is_what_follows_bearer(header: str | None, key: str | None) -> None:
    assert bearer(header) == key
