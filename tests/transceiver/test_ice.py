"""Finding the call that a datagram is for."""

import aioice
import aioice.stun
import pytest
from hypothesis import given, strategies as st

from runtime.udp import UdpAddress
from tests.transceiver.edge import unbound_port
from transceiver.stun import local_ufrag
from transceiver.webrtc.ice import IceLeg, UdpPort

CALLER, STRANGER = ("198.51.100.7", 5000), ("198.51.100.8", 5000)
PASSWORD = "p" * 22


def request(username: str | None) -> bytes:
    message = aioice.stun.Message(
        message_method=aioice.stun.Method.BINDING,
        message_class=aioice.stun.Class.REQUEST,
    )
    message.attributes["PRIORITY"] = 1
    if username is not None:
        message.attributes["USERNAME"] = username
    message.add_message_integrity(b"password")
    return bytes(message)


@given(st.text("abcXYZ019+/", min_size=4, max_size=32), st.text("abc", min_size=4))
def test_the_ufrag_is_the_part_before_the_colon(ours: str, theirs: str) -> None:
    assert local_ufrag(request(f"{ours}:{theirs}")) == ours


def test_a_request_without_a_usable_name_is_for_nobody() -> None:
    assert local_ufrag(request(None)) is None
    assert local_ufrag(request("nocolon")) is None


@given(st.binary(max_size=200))
def test_any_bytes_give_a_name_or_none(datagram: bytes) -> None:
    found = local_ufrag(datagram)
    assert found is None or isinstance(found, str)


def leg_of(port: UdpPort) -> IceLeg:
    agent = aioice.Connection(ice_controlling=False)
    agent.remote_username, agent.remote_password = "theirs", PASSWORD
    return port.attach(agent)


def checked(leg: IceLeg, address: UdpAddress) -> bytes:
    """Have a leg check an address, and return what would answer it."""
    asked = aioice.stun.Message(
        message_method=aioice.stun.Method.BINDING,
        message_class=aioice.stun.Class.REQUEST,
    )
    transaction = aioice.stun.Transaction(asked, address, leg.protocol)
    leg.protocol.transactions[asked.transaction_id] = transaction
    leg.protocol.transport.sendto(bytes(asked), address)
    answer = aioice.stun.Message(
        message_method=aioice.stun.Method.BINDING,
        message_class=aioice.stun.Class.RESPONSE,
        transaction_id=asked.transaction_id,
    )
    answer.add_message_integrity(PASSWORD.encode())
    return bytes(answer)


@pytest.mark.asyncio
async def test_an_answer_from_elsewhere_takes_nobodys_address(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    port = unbound_port(monkeypatch)
    held, other = leg_of(port), leg_of(port)
    port._datagram_received(checked(held, CALLER), CALLER)
    answer = checked(other, STRANGER)
    port._datagram_received(answer, CALLER)  # who sends it forges its address
    assert port._by_address == {CALLER: held}
    assert port.counters.unknown_transaction == 1
    port._datagram_received(answer, STRANGER)
    assert port._by_address == {CALLER: held, STRANGER: other}


@pytest.mark.asyncio
async def test_an_address_is_taken_over_by_whose_check_it_answers(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    port = unbound_port(monkeypatch)
    before, now = leg_of(port), leg_of(port)
    port._datagram_received(checked(before, CALLER), CALLER)
    port._datagram_received(checked(now, CALLER), CALLER)
    assert port._by_address == {CALLER: now}
    assert CALLER not in before.addresses
