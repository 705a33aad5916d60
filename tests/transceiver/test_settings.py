"""The transceiver's settings."""

import base64

import pytest

from proto.payload import Payload
from runtime.settings import Address, SettingsError, load
from transceiver.profile import Profile
from transceiver.settings import TransceiverSettings

KEY = {"TANDEM_LINK_KEY": base64.b64encode(bytes(32)).decode()}


def test_defaults_serve_one_machine() -> None:
    settings = load(TransceiverSettings, KEY)
    assert (settings.http_host, settings.http_port) == ("127.0.0.1", 8080)
    assert (settings.udp_host, settings.udp_port) == ("0.0.0.0", 3478)
    assert settings.relays == ((Address("127.0.0.1", 7000),),)


@pytest.mark.parametrize(
    ("given", "public"),
    [
        ({}, True),
        ({"TANDEM_STATUS_PORT": "8084"}, False),
        ({"TANDEM_HTTP_HOST": "0.0.0.0", "TANDEM_API_KEYS": "sk"}, False),
        ({"TANDEM_PUBLISHED_HOST": "192.0.2.1", "TANDEM_API_KEYS": "sk"}, False),
        ({"TANDEM_HTTP_HOST": "0.0.0.0", "TANDEM_PUBLISHED_HOST": "127.0.0.1"}, True),
    ],
)
def test_metrics_are_never_told_to_the_world(
    given: dict[str, str], public: bool
) -> None:
    assert load(TransceiverSettings, KEY | given).has_public_metrics is public


def test_status_pages_have_a_port_of_their_own_if_told_so() -> None:
    assert load(TransceiverSettings, KEY).status is None
    given = {"TANDEM_STATUS_HOST": "10.0.0.1", "TANDEM_STATUS_PORT": "8084"}
    settings = load(TransceiverSettings, KEY | given)
    assert settings.status == Address("10.0.0.1", 8084)


def test_relays_are_given_by_region_the_nearest_first() -> None:
    given = "a:1, [::1]:2 ; b.example:3"
    settings = load(TransceiverSettings, KEY | {"TANDEM_RELAYS": given})
    near = (Address("a", 1), Address("::1", 2))
    assert settings.relays == (near, (Address("b.example", 3),))


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("TANDEM_HTTP_PORT", "http"),
        ("TANDEM_UDP_PORT", "70000"),
        ("TANDEM_UDP_HOST", "localhost"),
        ("TANDEM_PUBLIC_ADDRESS", "edge.example"),
        ("TANDEM_RELAYS", "relay"),
        ("TANDEM_RELAYS", ","),
        ("TANDEM_RELAYS", "relay:7000;"),
        ("TANDEM_LINK_KEY", "c2hvcnQ="),
        ("TANDEM_LINK_KEY", "not base64!"),
        ("TANDEM_API_KEYS", ", ,"),
        ("TANDEM_MAX_CALLS", "0"),
        ("TANDEM_MAX_CALLS_PER_KEY", "-1"),
        ("TANDEM_LOG_LEVEL", "loud"),
        ("TANDEM_PROFILE", "best"),
    ],
)
def test_a_wrong_value_is_refused_by_name(variable: str, value: str) -> None:
    with pytest.raises(SettingsError, match=f"^{variable}: "):
        load(TransceiverSettings, KEY | {variable: value})


@pytest.mark.parametrize("profile", Profile)
def test_a_profile_is_given_by_its_name(profile: Profile) -> None:
    named = load(TransceiverSettings, KEY | {"TANDEM_PROFILE": profile.value.upper()})
    assert named.profile is profile


def test_a_missing_link_key_is_refused_by_name() -> None:
    with pytest.raises(SettingsError, match=r"^TANDEM_LINK_KEY: is not set"):
        load(TransceiverSettings, {})


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "edge.example"])
def test_an_open_door_to_the_world_is_refused(host: str) -> None:
    with pytest.raises(SettingsError, match=r"^TANDEM_API_KEYS: "):
        load(TransceiverSettings, KEY | {"TANDEM_HTTP_HOST": host})
    load(TransceiverSettings, KEY | {"TANDEM_HTTP_HOST": host, "TANDEM_API_KEYS": "k"})


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.2", "::1", "localhost"])
def test_loopback_may_be_open(host: str) -> None:
    load(TransceiverSettings, KEY | {"TANDEM_HTTP_HOST": host})


def test_a_container_is_open_where_its_ports_are_published_on_loopback() -> None:
    inside = KEY | {"TANDEM_HTTP_HOST": "0.0.0.0"}
    here = load(TransceiverSettings, inside | {"TANDEM_PUBLISHED_HOST": "127.0.0.1"})
    assert here.is_local
    keyed = load(TransceiverSettings, inside | {"TANDEM_API_KEYS": "k"})
    assert not keyed.is_local


def test_a_container_published_to_the_world_needs_keys() -> None:
    published = KEY | {"TANDEM_PUBLISHED_HOST": "0.0.0.0"}
    with pytest.raises(SettingsError, match=r"^TANDEM_API_KEYS: .*PUBLISHED_HOST"):
        load(TransceiverSettings, published)


def test_an_api_key_that_looks_like_a_client_secret_is_refused() -> None:
    with pytest.raises(SettingsError, match=r"^TANDEM_API_KEYS: .*ek_"):
        load(TransceiverSettings, KEY | {"TANDEM_API_KEYS": "sk-one,ek_two"})


@pytest.mark.parametrize("payload", Payload)
def test_the_payload_of_the_link_is_asked_for_by_name(payload: Payload) -> None:
    named = load(TransceiverSettings, KEY | {"TANDEM_LINK_PAYLOAD": payload.name})
    assert named.link_payload is payload
    assert load(TransceiverSettings, KEY).link_payload is Payload.PCM
    with pytest.raises(SettingsError, match=r"^TANDEM_LINK_PAYLOAD: .*pcma"):
        load(TransceiverSettings, KEY | {"TANDEM_LINK_PAYLOAD": "mp3"})


@pytest.mark.parametrize("port", ["0", "65534"])
def test_each_worker_needs_a_port(port: str) -> None:
    environ = KEY | {"TANDEM_UDP_PORT": port}
    assert load(TransceiverSettings, environ).workers == 1
    with pytest.raises(SettingsError, match=r"^TANDEM_UDP_PORT: .*workers"):
        load(TransceiverSettings, environ | {"TANDEM_WORKERS": "3"})


def test_relays_with_workers_are_given_by_a_range_of_ports() -> None:
    settings = load(TransceiverSettings, KEY | {"TANDEM_RELAYS": "a:1-2;b:3"})
    near = (Address("a", 1), Address("a", 2))
    assert settings.relays == (near, (Address("b", 3),))
