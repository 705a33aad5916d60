"""PROTOCOL.md says what the code does, where a machine can tell."""

import importlib.resources
import re

import pytest

from proto import handshake, wire
from proto.errors import CloseCode
from proto.messages import Carried, Kind
from proto.payload import BOUNDS, Payload

DOCUMENT = importlib.resources.files("proto").joinpath("PROTOCOL.md").read_text()


@pytest.mark.parametrize("kind", [*Kind, *Carried])
def test_messages_have_the_numbers_of_the_document(kind: Kind | Carried) -> None:
    assert re.search(rf"^\| {kind.value} \| {kind.name} \|", DOCUMENT, re.MULTILINE)


@pytest.mark.parametrize("payload", Payload)
def test_payloads_have_the_codes_and_bounds_of_the_document(payload: Payload) -> None:
    row = rf"^\| {payload.value} \| {payload.name} \|.*\| \d to ([\d,]+)(, even)? \|$"
    found = re.search(row, DOCUMENT, re.MULTILINE)
    assert found
    bounds = BOUNDS[payload]
    assert int(found[1].replace(",", "")) == bounds.max_bytes
    assert bool(found[2]) is (bounds.grain_bytes == 2)


@pytest.mark.parametrize("code", CloseCode)
def test_close_codes_have_the_numbers_of_the_document(code: CloseCode) -> None:
    assert f"{code.value} {code.name}" in DOCUMENT


@pytest.mark.parametrize(
    ("datagram", "size"),
    [
        (wire.DatagramType.HELLO, handshake.HELLO_BYTES),
        (wire.DatagramType.WELCOME, handshake.WELCOME_BYTES),
        (wire.DatagramType.FINISH, handshake.FINISH_BYTES),
    ],
)
def test_handshake_datagrams_have_the_sizes_of_the_document(
    datagram: wire.DatagramType, size: int
) -> None:
    row = rf"^\| {datagram.value} \| {datagram.name} \| \w+ \| {size} \|"
    assert re.search(row, DOCUMENT, re.MULTILINE)
