"""Whom the forwarder sends a datagram to, and what it knows afterwards."""

import aioice.stun

from transceiver.ingress.endpoint import Endpoint
from transceiver.ingress.envelope import LABEL_BYTES, Labels
from transceiver.ingress.flows import IDLE_S, MAX_OF_CALL, MAX_OWNERS
from transceiver.ingress.route import Routes
from transceiver.ingress.router import Router

KEY = bytes(range(32))
ROUTES, LABELS = Routes(KEY), Labels(KEY)
CLIENT = ("198.51.100.7", 40_000)
OWNER, OTHER = ("10.0.0.1", 3478), ("10.0.0.2", 3478)
MEDIA = bytes([128]) + bytes(40)
DTLS = bytes([22]) + bytes(40)
ANSWER = b"\x01\x01" + bytes(18)
NOBODY: tuple[Endpoint, ...] = ()


def check(ufrag: str) -> bytes:
    """Return a client's STUN request for a call."""
    message = aioice.stun.Message(
        message_method=aioice.stun.Method.BINDING,
        message_class=aioice.stun.Class.REQUEST,
    )
    message.attributes["USERNAME"] = f"{ufrag}:abcd"
    message.add_message_integrity(b"password")
    return bytes(message)


def client_at(number: int) -> Endpoint:
    """Return one of many clients."""
    return f"198.51.{number // 200}.{number % 200}", 40_000


def router(max_flows: int = 100) -> Router:
    return Router(ROUTES, LABELS, max_flows)


def answer(to: Endpoint) -> bytes:
    """Return an owner's success answer, in its envelope."""
    return LABELS.make(to) + ANSWER


def proven(forwarder: Router, client: Endpoint, call: str, now: float = 0.0) -> None:
    """Have a client's check answered by OWNER."""
    assert forwarder.from_client(check(call), client, now)[1] == (OWNER,)
    assert forwarder.from_owner(answer(client), OWNER, now)[1] == client


# --- routing ---


def test_the_first_check_finds_the_owner_by_its_ufrag_alone() -> None:
    request = check(ROUTES.mint(OWNER))
    sent, owners = router().from_client(request, CLIENT, 0.0)
    assert owners == (OWNER,)
    assert sent == LABELS.make(CLIENT) + request


def test_what_follows_finds_it_by_address() -> None:
    forwarder = router()
    forwarder.from_client(check(ROUTES.mint(OWNER)), CLIENT, 0.0)
    for datagram in (MEDIA, DTLS, ANSWER):
        sent, owners = forwarder.from_client(datagram, CLIENT, 0.0)
        assert owners == (OWNER,)
        assert sent[LABEL_BYTES:] == datagram


def test_an_owner_s_datagram_reaches_the_client_bare() -> None:
    forwarder = router()
    forwarder.from_client(check(ROUTES.mint(OWNER)), CLIENT, 0.0)
    answered = forwarder.from_owner(LABELS.make(CLIENT) + MEDIA, OWNER, 0.0)
    assert answered == (MEDIA, CLIENT)


def test_clients_are_kept_apart() -> None:
    forwarder = router()
    for number, owner in ((1, OWNER), (2, OTHER)):
        forwarder.from_client(check(ROUTES.mint(owner)), client_at(number), 0.0)
    assert forwarder.from_client(MEDIA, client_at(1), 0.0)[1] == (OWNER,)
    assert forwarder.from_client(MEDIA, client_at(2), 0.0)[1] == (OTHER,)


# --- strangers ---


def test_forged_and_unknown_ufrags_are_dropped_and_make_no_flow() -> None:
    forwarder = router()
    real = ROUTES.mint(OWNER)
    forged = ("A" if real[0] != "A" else "B") + real[1:]
    foreign = Routes(bytes(32)).mint(OWNER)
    for ufrag in (forged, foreign, "abcd", "A" * 256):
        assert forwarder.from_client(check(ufrag), CLIENT, 0.0)[1] == NOBODY
    assert forwarder.counters.unknown_route == 4
    assert not forwarder.flows.sources
    assert forwarder.from_client(MEDIA, CLIENT, 0.0)[1] == NOBODY
    assert forwarder.counters.unknown_client == 1


def test_nothing_comes_from_who_cannot_make_a_label() -> None:
    forwarder = router()
    forwarder.from_client(check(ROUTES.mint(OWNER)), CLIENT, 0.0)
    foreign = Labels(bytes(32)).make(CLIENT)
    for datagram in (b"", MEDIA, foreign + MEDIA, LABELS.make(CLIENT)):
        assert forwarder.from_owner(datagram, OWNER, 0.0)[1] is None
    assert forwarder.counters.unlabelled == 4


def test_an_empty_datagram_is_dropped() -> None:
    forwarder = router()
    forwarder.from_client(check(ROUTES.mint(OWNER)), CLIENT, 0.0)
    assert forwarder.from_client(b"", CLIENT, 0.0)[1] == NOBODY


# --- a restart ---


def test_after_a_restart_the_next_check_makes_the_flow_again() -> None:
    call = ROUTES.mint(OWNER)
    proven(router(), CLIENT, call)
    restarted = router()
    assert restarted.from_client(MEDIA, CLIENT, 1.0)[1] == NOBODY
    assert restarted.from_client(check(call), CLIENT, 2.0)[1] == (OWNER,)
    assert restarted.from_client(MEDIA, CLIENT, 2.0)[1] == (OWNER,)


def test_after_a_restart_the_owner_s_next_datagram_makes_the_flow_again() -> None:
    call = ROUTES.mint(OWNER)
    restarted = router()
    labelled = LABELS.make(CLIENT) + MEDIA
    assert restarted.from_owner(labelled, OWNER, 1.0) == (MEDIA, CLIENT)
    assert restarted.from_client(MEDIA, CLIENT, 1.0)[1] == (OWNER,)
    assert restarted.from_client(check(call), CLIENT, 2.0)[1] == (OWNER,)
    assert (restarted.flows.proven, restarted.flows.unproven) == (1, 0)


# --- who holds an address ---


def test_a_second_claim_to_an_address_takes_nothing_from_the_first() -> None:
    forwarder = router()
    proven(forwarder, CLIENT, ROUTES.mint(OWNER))
    assert forwarder.from_client(check(ROUTES.mint(OTHER)), CLIENT, 1.0)[1] == (OTHER,)
    assert forwarder.from_client(MEDIA, CLIENT, 1.0)[1] == (OWNER, OTHER)


def test_an_address_has_few_owners_and_the_proven_ones_stay() -> None:
    forwarder = router()
    proven(forwarder, CLIENT, ROUTES.mint(OWNER))
    for number in range(10):
        rival = (f"10.1.0.{number}", 3478)
        forwarder.from_client(check(ROUTES.mint(rival)), CLIENT, 1.0)
    _, owners = forwarder.from_client(MEDIA, CLIENT, 1.0)
    assert len(owners) == MAX_OWNERS
    assert owners[0] == OWNER


def test_a_new_call_from_the_same_address_at_the_same_owner_shares_its_flow() -> None:
    forwarder = router()
    for _ in range(2 * MAX_OF_CALL):
        proven(forwarder, CLIENT, ROUTES.mint(OWNER))
    assert forwarder.flows.proven == 1


# --- bounds ---


def test_a_full_table_drops_the_oldest_unproven_first() -> None:
    forwarder = router(max_flows=3)
    proven(forwarder, client_at(1), ROUTES.mint(OWNER))
    for number in (2, 3, 4):
        forwarder.from_client(check(ROUTES.mint(OWNER)), client_at(number), 1.0)
    assert set(forwarder.flows.sources) == {client_at(1), client_at(3), client_at(4)}


def test_a_table_full_of_proven_flows_refuses_newcomers() -> None:
    forwarder = router(max_flows=2)
    for number in (1, 2):
        proven(forwarder, client_at(number), ROUTES.mint(OWNER))
    stranger = forwarder.from_client(check(ROUTES.mint(OWNER)), client_at(3), 1.0)
    assert stranger[1] == NOBODY
    assert forwarder.counters.no_room == 1
    assert set(forwarder.flows.sources) == {client_at(1), client_at(2)}


def test_one_call_takes_few_of_the_flows_there_are() -> None:
    forwarder = router(max_flows=1000)
    call = ROUTES.mint(OWNER)
    for number in range(200):
        forwarder.from_client(check(call), client_at(number), 0.0)
    assert forwarder.flows.unproven == MAX_OF_CALL
    proven(forwarder, client_at(200), call)
    for number in range(200):
        forwarder.from_client(check(call), client_at(number), 0.0)
    assert client_at(200) in forwarder.flows.sources


def test_a_flow_lives_as_long_as_the_client_sends_stun() -> None:
    forwarder = router()
    call = ROUTES.mint(OWNER)
    proven(forwarder, CLIENT, call, 0.0)
    forwarder.from_client(check(call), CLIENT, IDLE_S - 1)
    forwarder.from_client(ANSWER, CLIENT, 2 * IDLE_S - 2)
    forwarder.flows.expire(3 * IDLE_S - 3)
    assert forwarder.from_client(MEDIA, CLIENT, 3 * IDLE_S - 3)[1] == (OWNER,)
    forwarder.flows.expire(3 * IDLE_S)
    assert forwarder.from_client(MEDIA, CLIENT, 3 * IDLE_S)[1] == NOBODY
    assert not forwarder.flows.sources
