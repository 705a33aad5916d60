"""Who may call."""

from collections.abc import Callable

import pytest

from transceiver.auth import Caller, KeyRing, Unauthorized, bearer
from transceiver.client_secrets import ClientSecret, ClientSecrets

SECRETS = ClientSecrets(bytes(32))


def ring(*keys: str, wall_s: Callable[[], float] = lambda: 1_000.0) -> KeyRing:
    return KeyRing(keys, SECRETS, wall_s)


def minted(tenant: str, expires_at_s: int = 1_600) -> str:
    return SECRETS.mint(ClientSecret(tenant, expires_at_s, {}, locked=False))


def test_an_empty_ring_is_open() -> None:
    assert ring().identify(None) == Caller("open", None)
    assert ring().identify("whatever") == Caller("open", None)


def test_a_known_key_names_its_tenant_without_telling_the_key() -> None:
    keys = ring("sk-one", "sk-two")
    one, two = keys.identify("sk-one"), keys.identify("sk-two")
    assert one.secret is None
    assert one.tenant != two.tenant
    assert "sk-" not in one.tenant


@pytest.mark.parametrize(
    "key",
    [
        *(None, "", "sk", "sk-one ", "SK-ONE", "ek_", "ek_" + "A" * 64),
        b"sk-\xff".decode(errors="surrogateescape"),  # as aiohttp reads it
        b"ek_\xff".decode(errors="surrogateescape"),
    ],
)
def test_all_else_is_nobody(key: str | None) -> None:
    with pytest.raises(Unauthorized, match=r"^the API key is missing or wrong$"):
        ring("sk-one").identify(key)


def test_a_client_secret_stands_for_the_key_that_minted_it() -> None:
    tenant = ring("sk-one").identify("sk-one").tenant
    caller = ring("sk-one").identify(minted(tenant))
    assert caller.tenant == tenant
    assert caller.secret == ClientSecret(tenant, 1_600, {}, locked=False)


def test_a_client_secret_works_until_the_second_of_its_expiry() -> None:
    tenant = ring("sk-one").identify("sk-one").tenant
    ring("sk-one", wall_s=lambda: 1_599.9).identify(minted(tenant))
    with pytest.raises(Unauthorized, match="expired"):
        ring("sk-one", wall_s=lambda: 1_600.0).identify(minted(tenant))


@pytest.mark.parametrize("expires_at_s", [1_600, 900])
def test_a_revoked_keys_client_secret_is_like_any_wrong_key(expires_at_s: int) -> None:
    tenant = ring("sk-one").identify("sk-one").tenant
    with pytest.raises(Unauthorized, match=r"^the API key is missing or wrong$"):
        ring("sk-two").identify(minted(tenant, expires_at_s))


def test_an_open_ring_takes_its_own_client_secrets_only() -> None:
    assert ring().identify(minted("open")).secret is not None
    for key in ("ek_junk", minted("key-12345678"), minted("open", 900)):
        with pytest.raises(Unauthorized):
            ring().identify(key)


@pytest.mark.parametrize(
    ("header", "key"),
    [
        ("Bearer sk-one", "sk-one"),
        ("bearer  sk-one ", "sk-one"),
        *((text, None) for text in (None, "", "Bearer", "Bearer ", "Basic sk", "sk")),
    ],
)
def test_a_key_is_what_follows_bearer(header: str | None, key: str | None) -> None:
    assert bearer(header) == key
