"""The vectors hold: for the code, and for the document read by another hand.

The functions under "By the document" use nothing of `proto`: only hashes, AES-GCM and a
few lines of msgpack.
"""

import contextlib
import hashlib
import hmac
import importlib.resources
import re
import struct
from collections.abc import Callable, Mapping
from typing import Any, cast

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from proto import messages, tunnel, wire
from proto.audio import Audio
from proto.channel import Channel, EdgeHandshake, RelayHandshake, tunnel_key
from proto.errors import CloseCode, RemoteError
from proto.frames import DownFrame
from proto.handshake import (
    DialerHandshake,
    Ends,
    LinkKey,
    ListenerHandshake,
    VersionMismatch,
)
from proto.messages import Kind
from proto.payload import Payload, decode_open, decode_opened
from proto.port import Port, Role
from proto.seal import Opener, Unauthentic
from tests.vectors import make
from tests.vectors.making import audio, flush, inputs, reliable
from tests.vectors.making.messages import elements, encoded
from tests.vectors.making.seal import opened

Json = Mapping[str, Any]
KEYS, HANDSHAKE = make.read("key_schedule"), make.read("handshake")
SEAL, MESSAGES, TUNNEL = make.read("seal"), make.read("messages"), make.read("tunnel")
PAYLOAD = make.read("payload")
AUDIO, RELIABLE, FLUSH = make.read("audio"), make.read("reliable"), make.read("flush")
STATES = make.read("states")["session"]
DOCUMENT = importlib.resources.files("proto").joinpath("PROTOCOL.md").read_text()


def raw(of: Json, name: str) -> bytes:
    return bytes.fromhex(of[name])


def named(cases: list[Any], name: str) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("case", cases, ids=[case[name] for case in cases])


@pytest.mark.parametrize("section", make.SECTIONS)
def test_the_files_are_what_the_generator_writes(section: str) -> None:
    assert (make.FOLDER / f"{section}.json").read_text() == make.text(section)


# By the document -----------------------------------------------------------------


def mac(key: bytes, text: bytes) -> bytes:
    return hmac.new(key, text, hashlib.sha256).digest()


def expand(secret: bytes, label: bytes, length: int = 32) -> bytes:
    """HKDF-Expand for up to one block (RFC 5869 section 2.3)."""
    return mac(secret, b"tandem link 1 " + label + b"\x01")[:length]


def unsealed(secret: bytes, number: int, sealed: bytes, aad: bytes = b"") -> bytes:
    iv = int.from_bytes(expand(secret, b"iv", 12), "big")
    nonce = (iv ^ number).to_bytes(12, "big")
    return AESGCM(expand(secret, b"key")).decrypt(nonce, sealed, aad)


def packed(value: Any) -> bytes:
    """The msgpack of what messages are made of, each in its shortest form."""
    match value:
        case bool():
            return b"\xc3" if value else b"\xc2"
        case int():
            return packed_integer(value)
        case {"bin": digits}:
            data = bytes.fromhex(digits)
            size = len(data)
            head = struct.pack(">BH", 0xC5, size) if size > 255 else bytes((0xC4, size))
            return head + data
        case _:
            count = len(value)
            head = (
                struct.pack(">BH", 0xDC, count)
                if count > 15
                else bytes((0x90 + count,))
            )
            return head + b"".join(map(packed, value))


def packed_integer(value: int) -> bytes:
    if value < 128:
        return bytes((value,))
    size = next(n for n in (1, 2, 4, 8) if value < 1 << 8 * n)
    return bytes((0xCB + size.bit_length(),)) + value.to_bytes(size, "big")


def test_the_key_schedule_is_the_documents() -> None:
    root = mac(b"tandem link 1", raw(KEYS, "psk"))
    assert root == raw(KEYS, "root")
    assert expand(root, b"key id", 4) == raw(KEYS, "key_id")
    assert expand(root, b"hello") == raw(KEYS, "hello_key")
    assert expand(root, b"welcome") == raw(KEYS, "welcome_key")
    master = mac(raw(KEYS, "offer") + raw(KEYS, "answer"), root)
    assert master == raw(KEYS, "master")
    assert expand(master, b"finish") == raw(KEYS, "finish_key")
    for direction in ("up", "down"):
        secret = expand(master, direction.encode())
        for epoch in KEYS[direction]:
            assert secret == raw(epoch, "secret")
            assert expand(secret, b"key") == raw(epoch, "key")
            assert expand(secret, b"iv", 12) == raw(epoch, "iv")
            secret = expand(secret, b"next")


def test_the_handshake_is_the_documents() -> None:
    it = HANDSHAKE
    offer = raw(KEYS, "key_id") + struct.pack(">I", it["dialer_link_id"])
    offer += raw(it, "dialer_nonce") + b"\x01\x01"
    answer = struct.pack(">I", it["listener_link_id"]) + raw(it, "listener_nonce")
    answer += bytes((it["version"],))
    assert (offer, answer) == (raw(KEYS, "offer"), raw(KEYS, "answer"))
    hello = bytes((1, 1)) + bytes(14) + offer
    assert raw(it, "hello") == hello + mac(raw(KEYS, "hello_key"), hello)
    welcome = bytes((1, 2, 0, 0)) + offer[4:8] + bytes(8) + answer
    assert raw(it, "welcome") == welcome + mac(
        raw(KEYS, "welcome_key"), offer + welcome
    )
    finish = bytes((1, 3, 0, 0)) + answer[:4] + bytes(8) + offer + answer
    assert raw(it, "finish") == finish + mac(raw(KEYS, "finish_key"), finish)


@named(SEAL["sealed"], "epoch")
def test_sealed_datagrams_are_the_documents(case: Json) -> None:
    datagram, secret = raw(case, "datagram"), raw(SEAL, "secret")
    header = struct.pack(
        ">BBHIQ", 1, 4, case["epoch"], SEAL["link_id"], case["counter"]
    )
    for _ in range(case["epoch"]):
        secret = expand(secret, b"next")
    assert datagram[:16] == header
    text = unsealed(secret, case["counter"], datagram[16:], header)
    assert text == raw(case, "plaintext")


@named(MESSAGES["messages"], "message")
def test_plaintexts_are_the_documents(case: Json) -> None:
    kind = Kind[case["message"]].value
    assert packed([kind, *case["elements"]]) == raw(case, "plaintext")


COLUMNS = ("OFFER", "ACCEPT", "CLOSE", "OPENED", "PEER_CLOSE", "RESET", "LOST", "DONE")
"""Of the document's table of a session's states, in its order."""


@pytest.mark.parametrize("state", [state for state in STATES if state != "CLOSED"])
def test_a_sessions_states_are_the_documents(state: str) -> None:
    (row,) = re.findall(rf"^\| {state}\b.*$", DOCUMENT, re.MULTILINE)
    _, _, *cells, _ = (cell.strip() for cell in row.split("|"))
    said = {how: cell for how, cell in zip(COLUMNS, cells, strict=True) if cell}
    assert said == STATES[state]


def test_the_tunnel_is_the_documents() -> None:
    it = TUNNEL
    secret = mac(b"tandem tunnel 1", raw(it, "psk"))
    assert secret == raw(it, "tunnel_secret")
    root = mac(b"tandem link 1", secret)
    offer = expand(root, b"key id", 4) + raw(it, "edge_nonce")
    assert raw(it, "hello") == offer + mac(expand(root, b"hello"), offer)
    transcript = offer + raw(it, "relay_nonce")
    proof = mac(expand(root, b"welcome"), transcript)
    assert raw(it, "welcome") == raw(it, "relay_nonce") + proof
    master = mac(transcript, root)
    assert expand(master, b"up") == raw(it, "up_secret")
    assert expand(master, b"down") == raw(it, "down_secret")
    for case in it["sealed"]:
        epoch, number = divmod(case["number"] - 1, 65_536)
        secret = raw(it, f"{case['secret']}_secret")
        for _ in range(epoch):
            secret = expand(secret, b"next")
        assert unsealed(secret, number + 1, raw(case, "sealed")) == raw(case, "message")


def test_waits_are_the_documents() -> None:
    """Worked out by hand: RTT 40 ms, so a wait of 60 ms and asks 10 ms apart."""
    outcomes = {trace["name"]: trace["outcome"] for trace in AUDIO["receiver"]}
    assert outcomes["the first of a session is lost"] == [
        *({"at_us": at_us, "nack": [1]} for at_us in (0, 10_000, 20_000)),
        {"at_us": 60_000, "given_up": 1},
        {"at_us": 60_000, "delivered": 2},
    ]
    assert {"at_us": 120_000, "given_up": 1} in outcomes[
        "far away: the wait is bounded"
    ]
    assert outcomes["next door: the wait is bounded below"] == [
        *({"at_us": at_us, "nack": [1]} for at_us in (0, 10_000, 20_000)),
        {"at_us": 30_000, "given_up": 1},
        {"at_us": 30_000, "delivered": 2},
    ]
    assert {"at_us": 100_000, "given_up": 1} in outcomes["jitter lengthens the wait"]


# By the code ---------------------------------------------------------------------


def dialer() -> DialerHandshake:
    key = LinkKey(raw(KEYS, "psk"))
    return DialerHandshake(
        key, HANDSHAKE["dialer_link_id"], raw(HANDSHAKE, "dialer_nonce")
    )


def listener() -> ListenerHandshake:
    return ListenerHandshake((LinkKey(raw(KEYS, "psk")),), inputs.LISTENER_SECRET)


def finished() -> tuple[Ends, Ends]:
    near, far = dialer(), listener()
    finish, ends = near.welcomed(raw(HANDSHAKE, "welcome"), inputs.NOW)
    assert finish == raw(HANDSHAKE, "finish")
    return ends, far.finished(raw(HANDSHAKE, "finish"), inputs.NOW)


def test_the_handshake_of_the_vectors_makes_a_link() -> None:
    assert dialer().hello() == raw(HANDSHAKE, "hello")
    assert listener().welcome(dialer().hello(), inputs.NOW) == raw(HANDSHAKE, "welcome")
    near, far = finished()
    assert far.link_id == HANDSHAKE["listener_link_id"]
    assert far.opener.open(near.sealer.seal(b"up")) == b"up"
    assert near.opener.open(far.sealer.seal(b"down")) == b"down"


def test_a_dialer_of_later_versions_only_is_told_so() -> None:
    case = HANDSHAKE["no_common_version"]
    assert listener().welcome(raw(case, "hello"), inputs.NOW) == raw(case, "welcome")
    near = dialer()
    near._offer = inputs.body(raw(case, "hello"))
    with pytest.raises(VersionMismatch):
        near.welcomed(raw(case, "welcome"), inputs.NOW)


@named(HANDSHAKE["malformed"], "why")
def test_malformed_handshakes_are_met_with_silence(case: Json) -> None:
    takes: Mapping[str, Callable[[bytes, float], object]] = {
        "hello": listener().welcome,
        "welcome": dialer().welcomed,
        "finish": listener().finished,
    }
    with pytest.raises(RemoteError):
        takes[case["takes"]](raw(case, "datagram"), inputs.NOW)


@named(SEAL["traces"], "name")
def test_receivers_say_to_sealed_datagrams_what_the_traces_say(case: Json) -> None:
    opener = Opener(raw(SEAL, "secret"))
    for step in case["steps"]:
        said = {key: value for key, value in step.items() if key != "datagram"}
        assert opened(opener, raw(step, "datagram")) == said


@named(MESSAGES["messages"], "message")
def test_messages_are_decoded_and_encoded_as_the_vectors_say(case: Json) -> None:
    message = wire.decode(raw(case, "plaintext"))
    assert type(message).__name__.upper() == case["message"]
    assert elements(message) == case["elements"]
    assert encoded(message) == raw(case, "plaintext")


def test_every_message_has_a_vector() -> None:
    assert {case["message"] for case in MESSAGES["messages"]} == {k.name for k in Kind}
    assert {it.carried for it in _fragments()} == set(messages.Carried)


def _fragments() -> list[messages.Fragment]:
    return [
        messages.Fragment(1, it["seq"], it["carried"], it["is_last"], b"")
        for trace in RELIABLE["receiver"]
        for it in trace["fragments"]
        if it["carried"] in set(messages.Carried)
    ]


@named(MESSAGES["malformed"], "why")
def test_malformed_messages_are_refused(case: Json) -> None:
    with pytest.raises(RemoteError):
        wire.decode(raw(case, "plaintext"))


def test_close_payloads_are_read_as_the_vectors_say() -> None:
    for case in MESSAGES["close_payloads"]:
        said = CloseCode(case["code"]), case["reason"]
        assert wire.decode_close(raw(case, "payload")) == said
        assert wire.encode_close(*said) == raw(case, "payload")


@named(MESSAGES["malformed_close_payloads"], "why")
def test_malformed_close_payloads_are_refused(case: Json) -> None:
    with pytest.raises(RemoteError):
        wire.decode_close(raw(case, "payload"))


@named(PAYLOAD["open"], "payload")
def test_offers_are_read_as_the_vectors_say(case: Json) -> None:
    known = tuple(Payload(code) for code in case["known"])
    assert decode_open(raw(case, "payload")) == (known, raw(case, "request"))


@named(PAYLOAD["malformed_open"], "why")
def test_malformed_offers_are_refused(case: Json) -> None:
    with pytest.raises(RemoteError):
        decode_open(raw(case, "payload"))


@pytest.mark.parametrize("case", PAYLOAD["opened"])
def test_what_is_chosen_must_have_been_offered(case: Json) -> None:
    offered = tuple(Payload(code) for code in case["offered"])
    if case["chosen"] is not None:
        assert decode_opened(raw(case, "payload"), offered) == case["chosen"]
        return
    with pytest.raises(RemoteError):
        decode_opened(raw(case, "payload"), offered)


@pytest.mark.parametrize("case", PAYLOAD["frames"])
def test_frames_are_as_long_as_their_payload_may_be(case: Json) -> None:
    receiver = Audio(1, Role.DIALER, cast(Port, None))
    receiver.is_open = True
    receiver.carry(Payload(case["carried_as"]))
    frame = DownFrame(1, 0, 0, bytes(case["bytes"]))
    with contextlib.nullcontext() if case["fits"] else pytest.raises(RemoteError):
        assert not receiver.receive_frame(1, frame, 0.0)


@named(AUDIO["receiver"], "name")
def test_receivers_order_and_ask_as_the_traces_say(case: dict[str, Any]) -> None:
    assert audio.received(case) == case["outcome"]


@named(AUDIO["sender"], "name")
def test_senders_send_again_what_the_traces_say(case: dict[str, Any]) -> None:
    assert audio.resent(case) == case["outcome"]


@named(RELIABLE["receiver"], "name")
def test_fragments_are_answered_as_the_traces_say(case: dict[str, Any]) -> None:
    assert reliable.received(case) == case["answers"]


@named(RELIABLE["sender"], "name")
def test_fragments_are_sent_as_the_traces_say(case: dict[str, Any]) -> None:
    assert reliable.sent(case) == case["outcome"]


@named(FLUSH["listener"], "name")
def test_flushes_are_sent_as_the_traces_say(case: dict[str, Any]) -> None:
    assert flush.asked(case) == case["outcome"]


@named(FLUSH["dialer"], "name")
def test_flushes_are_answered_as_the_traces_say(case: dict[str, Any]) -> None:
    assert flush.answered(case) == case["outcome"]


def test_the_tunnel_of_the_vectors_is_made() -> None:
    key = tunnel_key(raw(TUNNEL, "psk"))
    edge = EdgeHandshake(key, raw(TUNNEL, "edge_nonce"))
    assert edge.hello() == raw(TUNNEL, "hello")
    verified = RelayHandshake((key,)).verified(edge.hello())
    welcome, relay = verified.welcome(raw(TUNNEL, "relay_nonce"))
    assert welcome == raw(TUNNEL, "welcome")
    ours = edge.welcomed(welcome)
    first, second, third, _ = TUNNEL["sealed"]
    for case, near, far in (
        (first, ours, relay),
        (second, ours, relay),
        (third, relay, ours),
    ):
        sealed = near.seal(raw(case, "message"))
        assert sealed == raw(case, "sealed")
        assert far.open(sealed) == raw(case, "message")


def test_a_tunnel_changes_keys_after_65536_messages() -> None:
    channel = Channel(bytes(32), raw(TUNNEL, "up_secret"))
    sender = Channel(raw(TUNNEL, "up_secret"), bytes(32))
    case = TUNNEL["sealed"][3]
    for _ in range(case["number"] - 1):
        channel.open(sender.seal(b""))
    assert channel.open(raw(case, "sealed")) == raw(case, "message")


@named(TUNNEL["traces"], "name")
def test_a_tunnel_opens_what_the_traces_say_and_no_more(case: Json) -> None:
    channel = Channel(bytes(32), raw(TUNNEL, f"{case['secret']}_secret"))
    steps = [bytes.fromhex(sealed) for sealed in case["sealed"]]
    for sealed in steps[: case["opened"]]:
        channel.open(sealed)
    for sealed in steps[case["opened"] :]:
        with pytest.raises(Unauthentic):
            channel.open(sealed)


@named(TUNNEL["malformed"], "why")
def test_malformed_tunnel_proofs_are_refused(case: Json) -> None:
    key = tunnel_key(raw(TUNNEL, "psk"))
    edge = EdgeHandshake(key, raw(TUNNEL, "edge_nonce"))
    takes: Mapping[str, Callable[[bytes], object]] = {
        "hello": RelayHandshake((key,)).verified,
        "welcome": edge.welcomed,
    }
    with pytest.raises(RemoteError):
        takes[case["takes"]](raw(case, "bytes"))


@named(TUNNEL["messages"], "json")
def test_requests_and_answers_are_read_and_written_again(case: Json) -> None:
    data = case["json"].encode()
    if case["from"] == "edge":
        assert tunnel.encode_request(tunnel.decode_request(data)) == data
    else:
        assert tunnel.encode_answer(tunnel.decode_answer(data)) == data


@named(TUNNEL["malformed_messages"], "why")
def test_malformed_requests_and_answers_are_refused(case: Json) -> None:
    decode = tunnel.decode_request if case["from"] == "edge" else tunnel.decode_answer
    with pytest.raises(ValueError):  # noqa: PT011  # its text is for people
        decode(case["json"].encode())
