"""What the forwarder and a transceiver behind it may be told."""

import base64

import pytest

from runtime import settings as environment
from runtime.settings import Address, SettingsError
from transceiver.ingress.settings import IngressSettings
from transceiver.settings import TransceiverSettings

KEY = {"TANDEM_LINK_KEY": base64.b64encode(bytes(32)).decode()}


def test_callers_are_told_of_one_forwarder_or_several() -> None:
    told = KEY | {"TANDEM_INGRESS_ADDRESS": "203.0.113.1:3478, [2001:db8::1]:3479"}
    assert environment.load(TransceiverSettings, told).ingress_addresses == (
        Address("203.0.113.1", 3478),
        Address("2001:db8::1", 3479),
    )
    assert environment.load(TransceiverSettings, KEY).ingress_addresses == ()


@pytest.mark.parametrize(
    "address", ["203.0.113.1", "media.example:3478", "203.0.113.1:0", ","]
)
def test_a_candidate_is_an_ip_address_with_a_port(address: str) -> None:
    with pytest.raises(SettingsError, match="TANDEM_INGRESS_ADDRESS"):
        environment.load(TransceiverSettings, KEY | {"TANDEM_INGRESS_ADDRESS": address})


def test_callers_and_transceivers_reach_different_ports() -> None:
    with pytest.raises(SettingsError, match="TANDEM_INGRESS_INNER_PORT"):
        environment.load(IngressSettings, KEY | {"TANDEM_INGRESS_INNER_PORT": "3478"})


def test_the_link_key_is_not_in_the_repr() -> None:
    assert "link_keys" not in repr(environment.load(IngressSettings, KEY))
