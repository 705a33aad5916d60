"""Who may call where no key is needed."""

import pytest
from aiohttp.test_utils import make_mocked_request

from transceiver.auth import OPEN_TENANT, KeyRing, tenants_of
from transceiver.client_secrets import ClientSecrets
from transceiver.http.callers import caller_of
from transceiver.http.errors import ApiError


def ring(*keys: str) -> KeyRing:
    return KeyRing(keys, ClientSecrets(bytes(32)), lambda: 0)


@pytest.mark.parametrize(
    "host", ["localhost", "LOCALHOST:8080", "127.0.0.1:8080", "[::1]:8080"]
)
def test_without_keys_this_machine_may_be_called_by_its_names(host: str) -> None:
    caller = caller_of(make_mocked_request("POST", "/v1/x", {"Host": host}), ring())
    assert caller.tenant == OPEN_TENANT


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "evil.example:8080",
        "localhost.evil.example",
        "192.0.2.1",
        "",
        "[",
    ],
)
def test_without_keys_a_name_made_to_lead_here_is_refused(host: str) -> None:
    with pytest.raises(ApiError) as refused:
        caller_of(make_mocked_request("POST", "/v1/x", {"Host": host}), ring())
    assert (refused.value.status, refused.value.code) == (403, "host_not_allowed")


def test_with_a_key_any_name_may_be_called() -> None:
    headers = {"Host": "edge.example", "Authorization": "Bearer sk"}
    caller = caller_of(make_mocked_request("POST", "/v1/x", headers), ring("sk"))
    assert (caller.tenant,) == tenants_of(("sk",))
