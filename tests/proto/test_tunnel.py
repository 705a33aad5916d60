"""The tunnel's words, proofs and seal."""

import importlib.resources
import json
import re
from dataclasses import replace
from typing import Any

import orjson
import pytest
from hypothesis import given, strategies as st

from proto import channel, tunnel
from proto.channel import Channel, EdgeHandshake, RelayHandshake, tunnel_key
from proto.errors import LocalError, RemoteError
from proto.handshake import LinkKey
from proto.request import SessionRequest
from proto.seal import Unauthentic
from proto.tunnel import (
    Admitted,
    Attach,
    Converse,
    Describe,
    Facts,
    HangUp,
    Refused,
    TunnelAnswer,
    TunnelRequest,
)

KEY = tunnel_key(b"k" * 32)
FORMER = tunnel_key(b"f" * 32)
FOREIGN = tunnel_key(b"x" * 32)
EDGE_NONCE = b"e" * 32
RELAY_NONCE = b"r" * 32

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
NAMES = TEXT.filter(bool)
CALLS = {"call_id": TEXT, "tenant": TEXT}
WISHES = SessionRequest(call_id="sess_1", tenant="t")
REQUESTS = st.one_of(
    st.builds(
        Converse,
        st.builds(
            SessionRequest,
            call_id=NAMES,
            tenant=NAMES,
            session=st.none() | st.dictionaries(NAMES, st.integers(0, 9), max_size=2),
        ).filter(lambda request: request.session != {"model": 0}),
    ),
    st.builds(Attach, speaks_beta=st.booleans(), **CALLS),
    st.builds(HangUp, **CALLS),
    st.builds(Describe, **CALLS),
)
ANSWERS = st.one_of(
    st.just(Admitted()),
    st.builds(Facts, st.dictionaries(TEXT, TEXT | st.none(), max_size=3)),
    st.builds(Refused, st.integers(400, 599), TEXT, TEXT),
)


def ends(
    edge_nonce: bytes = EDGE_NONCE, relay_nonce: bytes = RELAY_NONCE
) -> tuple[Channel, Channel]:
    """Return both ends of a new tunnel: the edge's, the relay's."""
    edge = EdgeHandshake(KEY, edge_nonce)
    welcome, relay = RelayHandshake((KEY,)).verified(edge.hello()).welcome(relay_nonce)
    return edge.welcomed(welcome), relay


# --- words ---


@given(REQUESTS)
def test_a_request_arrives_as_it_was_sent(request: TunnelRequest) -> None:
    assert tunnel.decode_request(tunnel.encode_request(request)) == request


@given(ANSWERS)
def test_an_answer_arrives_as_it_was_sent(answer: TunnelAnswer) -> None:
    assert tunnel.decode_answer(tunnel.encode_answer(answer)) == answer


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 999) | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner),
    max_leaves=8,
)
NEARLY = st.fixed_dictionaries(
    {"type": st.sampled_from(["converse", "attach", "facts", "refused"])},
    optional=dict.fromkeys(("request", "call_id", "tenant", "status"), JSON),
)


@given(st.binary(max_size=100) | (JSON | NEARLY).map(orjson.dumps))
def test_any_bytes_are_words_or_refused(data: bytes) -> None:
    for decode in (tunnel.decode_request, tunnel.decode_answer):
        try:
            assert isinstance(decode(data), tuple)
        except ValueError:
            continue


@pytest.mark.parametrize("status", [399, 600, "404", 404.0])
def test_a_refusal_without_a_refusals_status_is_none(status: Any) -> None:
    fields = {"type": "refused", "status": status, "code": "c", "message": "m"}
    with pytest.raises(ValueError, match="not an answer"):
        tunnel.decode_answer(orjson.dumps(fields))


def test_words_longer_than_the_limit_are_refused_at_both_ends() -> None:
    session = {"instructions": "x" * tunnel.MAX_OPENING_BYTES}
    request = SessionRequest(call_id="c", tenant="t", session=session)
    with pytest.raises(LocalError, match="longer"):
        tunnel.encode_request(Converse(request))
    with pytest.raises(ValueError, match="too long"):
        tunnel.decode_request(b" " * (tunnel.MAX_OPENING_BYTES + 1))


# --- the document ---

DOCUMENT = importlib.resources.files("proto").joinpath("PROTOCOL.md").read_text()
SECTION = DOCUMENT.partition("## 14 The tunnel")[2]


@pytest.mark.parametrize(
    "words",
    [
        json.loads(tunnel.encode_request(Converse(WISHES))),
        json.loads(tunnel.encode_request(Attach("rtc_1", "t", False))),
        json.loads(tunnel.encode_request(HangUp("rtc_1", "t"))),
        json.loads(tunnel.encode_request(Describe("rtc_1", "t"))),
        json.loads(tunnel.encode_answer(Admitted())),
        json.loads(tunnel.encode_answer(Facts({}))),
        json.loads(tunnel.encode_answer(Refused(404, "c", "m"))),
    ],
)
def test_words_have_the_names_of_the_document(words: dict[str, Any]) -> None:
    (row,) = re.findall(rf"^\| `{words.pop('type')}` \|.*$", SECTION, re.MULTILINE)
    assert set(re.findall("`(\\w+)`", row.split("|")[2])) == set(words)


def test_a_session_request_has_the_fields_of_the_document() -> None:
    table = SECTION.partition("A **session request**")[2].partition("\n\nA call")[0]
    sent = json.loads(replace(WISHES, traceparent="00-1").encode())
    assert re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE) == list(sent)


@pytest.mark.parametrize(
    "limit",
    [
        f"GET {tunnel.PATH},",
        f"{channel.HELLO_BYTES} bytes",
        f"{channel.WELCOME_BYTES} bytes",
        f"last {channel.MAX_HELLOS:,}",
        f"After {channel.KEY_MESSAGES:,} messages",
        f"within {tunnel.OPENING_S:.0f} s",
        f"{tunnel.MAX_OPENING_BYTES >> 10} KiB",
        f"{channel.MAX_MESSAGE_BYTES >> 20} MiB",
    ],
)
def test_limits_are_the_document_s(limit: str) -> None:
    assert limit in SECTION


# --- proofs ---


def test_both_ends_of_a_tunnel_understand_each_other() -> None:
    edge, relay = ends()
    for number in range(3):
        message = b"up %d" % number
        assert relay.open(edge.seal(message)) == message
        assert edge.open(relay.seal(b"")) == b""


def test_a_relay_takes_the_former_key_while_keys_are_changed() -> None:
    relay = RelayHandshake((KEY, FORMER))
    for key in (KEY, FORMER):
        edge = EdgeHandshake(key, EDGE_NONCE)
        welcome, far = relay.verified(edge.hello()).welcome(RELAY_NONCE)
        assert far.open(edge.welcomed(welcome).seal(b"hi")) == b"hi"


def test_an_edge_with_a_foreign_key_is_refused() -> None:
    with pytest.raises(RemoteError):
        RelayHandshake((KEY,)).verified(EdgeHandshake(FOREIGN, EDGE_NONCE).hello())


def test_a_link_s_own_key_makes_no_tunnel() -> None:
    link = LinkKey(b"k" * 32)
    with pytest.raises(RemoteError):
        RelayHandshake((KEY,)).verified(EdgeHandshake(link, EDGE_NONCE).hello())


def test_a_hello_is_good_once() -> None:
    relay = RelayHandshake((KEY,))
    hello = EdgeHandshake(KEY, EDGE_NONCE).hello()
    relay.verified(hello)
    with pytest.raises(RemoteError, match="before"):
        relay.verified(hello)


def test_so_many_hellos_are_remembered_and_no_more() -> None:
    relay = RelayHandshake((KEY,))
    hellos = [
        EdgeHandshake(KEY, number.to_bytes(32, "big")).hello()
        for number in range(channel.MAX_HELLOS + 1)
    ]
    for hello in hellos:
        relay.verified(hello)
    with pytest.raises(RemoteError, match="before"):
        relay.verified(hellos[1])
    relay.verified(hellos[0])


def test_a_replayed_hello_gets_other_keys() -> None:
    edge, _ = ends()
    _, later = ends(relay_nonce=b"s" * 32)
    with pytest.raises(Unauthentic):
        later.open(edge.seal(b"recorded"))


def test_a_welcome_to_another_hello_is_refused() -> None:
    mine, other = EdgeHandshake(KEY, EDGE_NONCE), EdgeHandshake(KEY, b"o" * 32)
    welcome, _ = RelayHandshake((KEY,)).verified(other.hello()).welcome(RELAY_NONCE)
    with pytest.raises(RemoteError):
        mine.welcomed(welcome)


@given(st.integers(0, channel.HELLO_BYTES - 1), st.integers(1, 255))
def test_a_hello_changed_anywhere_is_refused(place: int, change: int) -> None:
    hello = bytearray(EdgeHandshake(KEY, EDGE_NONCE).hello())
    hello[place] ^= change
    with pytest.raises(RemoteError):
        RelayHandshake((KEY,)).verified(bytes(hello))


@given(st.integers(0, channel.WELCOME_BYTES - 1), st.integers(1, 255))
def test_a_welcome_changed_anywhere_is_refused(place: int, change: int) -> None:
    edge = EdgeHandshake(KEY, EDGE_NONCE)
    answer, _ = RelayHandshake((KEY,)).verified(edge.hello()).welcome(RELAY_NONCE)
    welcome = bytearray(answer)
    welcome[place] ^= change
    with pytest.raises(RemoteError):
        edge.welcomed(bytes(welcome))


@given(st.binary(max_size=2 * channel.HELLO_BYTES))
def test_any_other_bytes_prove_nothing(data: bytes) -> None:
    with pytest.raises(RemoteError):
        RelayHandshake((KEY,)).verified(data)
    with pytest.raises(RemoteError):
        EdgeHandshake(KEY, EDGE_NONCE).welcomed(data)


# --- seal ---


@given(st.data(), st.binary(max_size=60))
def test_a_message_changed_anywhere_does_not_open(
    data: st.DataObject, message: bytes
) -> None:
    edge, relay = ends()
    sealed = bytearray(edge.seal(message))
    sealed[data.draw(st.integers(0, len(sealed) - 1))] ^= data.draw(st.integers(1, 255))
    with pytest.raises(Unauthentic):
        relay.open(bytes(sealed))


@given(st.binary(max_size=60))
def test_any_bytes_open_or_are_refused(data: bytes) -> None:
    _, relay = ends()
    with pytest.raises(Unauthentic):
        relay.open(data)


def test_a_message_opens_once() -> None:
    edge, relay = ends()
    sealed = edge.seal(b"once")
    relay.open(sealed)
    with pytest.raises(Unauthentic):
        relay.open(sealed)


def test_messages_open_in_their_order_only() -> None:
    edge, relay = ends()
    edge.seal(b"first")
    with pytest.raises(Unauthentic):
        relay.open(edge.seal(b"second"))


def test_a_message_sent_back_does_not_open() -> None:
    edge, _ = ends()
    with pytest.raises(Unauthentic):
        edge.open(edge.seal(b"mine"))


def test_nothing_opens_after_what_did_not() -> None:
    edge, relay = ends()
    with pytest.raises(Unauthentic):
        relay.open(b"forged")
    with pytest.raises(Unauthentic):
        relay.open(edge.seal(b"good"))


def test_a_key_is_changed_after_so_many_messages_at_both_ends(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    keeping, _ = ends()
    under_one_key = [keeping.seal(b"same") for _ in range(5)]
    monkeypatch.setattr(channel, "KEY_MESSAGES", 2)
    edge, relay = ends()
    sealed = [edge.seal(b"same") for _ in range(5)]
    assert len(set(sealed)) == 5
    assert sealed[:2] == under_one_key[:2]
    assert set(sealed[2:]).isdisjoint(under_one_key)
    assert [relay.open(one) for one in sealed] == [b"same"] * 5


def test_a_message_over_the_limit_is_not_sealed() -> None:
    edge, relay = ends()
    with pytest.raises(LocalError):
        edge.seal(bytes(channel.MAX_MESSAGE_BYTES + 1))
    assert relay.open(edge.seal(b"next")) == b"next"
