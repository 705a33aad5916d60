"""The listener that was written from the document, held against the test vectors."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.second import layout
from tests.second.keys import Key, Opener, Sealer, expand, mac
from tests.second.pieces import BrokenError, Incoming
from tests.second.sound import Downlink, Rtt, Uplink

VECTORS = Path(__file__).parents[1] / "vectors"
FROM_LISTENER = ("DOWN", "FLUSH")


def vectors(name: str) -> Any:
    return json.loads((VECTORS / f"{name}.json").read_text())


def named(traces: list[dict[str, Any]]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("trace", traces, ids=[t["name"] for t in traces])


def test_the_key_schedule_is_that_of_the_vectors() -> None:
    schedule = vectors("key_schedule")
    root = mac(b"tandem link 1", bytes.fromhex(schedule["psk"]))
    transcript = bytes.fromhex(schedule["offer"] + schedule["answer"])
    master = mac(transcript, root)
    assert expand(root, "key id", 4).hex() == schedule["key_id"]
    assert expand(root, "hello").hex() == schedule["hello_key"]
    assert expand(root, "welcome").hex() == schedule["welcome_key"]
    assert expand(master, "finish").hex() == schedule["finish_key"]
    for direction in ("up", "down"):
        secret = expand(master, direction)
        for epoch in schedule[direction]:
            assert secret.hex() == epoch["secret"]
            assert Key(secret).nonce(0).hex() == epoch["iv"]
            secret = expand(secret, "next")


def test_what_is_sealed_is_that_of_the_vectors() -> None:
    sealing = vectors("seal")
    sealer = Sealer(bytes.fromhex(sealing["secret"]), sealing["link_id"], 0.0)
    for sealed in sealing["sealed"][:2]:
        datagram = sealer.seal(bytes.fromhex(sealed["plaintext"]), 0.0)
        assert datagram.hex() == sealed["datagram"]


@named(vectors("seal")["traces"])
def test_what_opens_is_that_of_the_vectors(trace: dict[str, Any]) -> None:
    opener = Opener(bytes.fromhex(vectors("seal")["secret"]))
    for step in trace["steps"]:
        datagram = bytes.fromhex(step["datagram"])
        plaintext = opener.open(datagram) if layout.well_formed(datagram) else None
        expected = step.get("plaintext")
        assert plaintext == (None if expected is None else bytes.fromhex(expected))


def test_messages_are_read_as_the_vectors_have_them() -> None:
    for case in vectors("messages")["messages"]:
        message = layout.message(bytes.fromhex(case["plaintext"]))
        if case["message"] in FROM_LISTENER:
            assert message is None
        else:
            assert message is not None
            assert message[1:] == [_plain(element) for element in case["elements"]]


def test_malformed_messages_are_refused() -> None:
    for case in vectors("messages")["malformed"]:
        assert layout.message(bytes.fromhex(case["plaintext"])) is None, case["why"]


def test_the_payload_of_close_is_read_as_the_vectors_have_it() -> None:
    for case in vectors("messages")["close_payloads"]:
        closing = layout.closing(bytes.fromhex(case["payload"]))
        assert closing == (layout.known(case["code"]), case["reason"])
    for case in vectors("messages")["malformed_close_payloads"]:
        assert layout.closing(bytes.fromhex(case["payload"])) is None, case["why"]


@named([t for t in vectors("audio")["receiver"] if t["direction"] == "uplink"])
def test_uplink_frames_are_ordered_as_in_the_vectors(trace: dict[str, Any]) -> None:
    rtt = Rtt(trace["rtt_us"] / 1e6, trace["rtt_variation_us"] / 1e6)
    uplink = Uplink(rtt)
    delivered: list[dict[str, int]] = []

    def hand_over(items: list[Any], now: float) -> None:
        for item in items:
            kind, what = ("delivered", item[0]) if type(item) is tuple else _lost(item)
            delivered.append({"at_us": round(now * 1e6), kind: what})
        asked = uplink.asks(now)
        if asked:
            delivered.append({"at_us": round(now * 1e6), "nack": asked})  # type: ignore[dict-item]  # as the vectors have it

    for arrival in [*trace["arrivals"], {"at_us": 10_000_000, "message": ""}]:
        while (now := uplink.deadline) <= arrival["at_us"] / 1e6:
            hand_over(uplink.give_up(now), now)
        now = arrival["at_us"] / 1e6
        if arrival["message"] == "LAST":
            hand_over(uplink.shown(arrival["seq"], now), now)
        elif arrival["message"]:
            seq = arrival["seq"]
            hand_over(uplink.frame(seq, (seq,), now), now)
    assert delivered == trace["outcome"]


def _lost(count: int) -> tuple[str, int]:
    return "given_up", count


@named([t for t in vectors("audio")["sender"] if t["direction"] == "downlink"])
def test_downlink_frames_are_sent_again_as_in_the_vectors(
    trace: dict[str, Any],
) -> None:
    downlink = Downlink(1)
    again = []
    for step in trace["steps"]:
        now = step["at_us"] / 1e6
        for _ in step.get("frames", []):
            downlink.frame(1, 0, step["lead_ms"], b"\0\0", now)
        for message in downlink.again(step.get("nack", []), now):
            _, _, seq, _, _, lead_ms, _ = message
            again.append({"at_us": step["at_us"], "frame": seq, "lead_ms": lead_ms})
    assert again == trace["outcome"]


@named(vectors("reliable")["receiver"])
def test_fragments_are_acknowledged_as_in_the_vectors(trace: dict[str, Any]) -> None:
    incoming = Incoming()
    for fragment, answer in zip(trace["fragments"], trace["answers"], strict=True):
        pieces = _plain_data(fragment)
        arguments = fragment["seq"], fragment["carried"], fragment["is_last"], pieces
        if "refused" in answer:
            with pytest.raises(BrokenError):
                incoming.fragment(*arguments)
            return
        messages = incoming.fragment(*arguments)
        next_seq, limit, ranges = incoming.acknowledgement()
        assert (next_seq, limit) == (answer["next_seq"], answer["limit"])
        assert ranges == answer["ranges"]
        assert messages == [
            (message["carried"], _plain_data(message)) for message in answer["messages"]
        ]


def _plain(element: Any) -> Any:
    return bytes.fromhex(element["bin"]) if isinstance(element, dict) else element


def _plain_data(piece: dict[str, Any]) -> bytes:
    return bytes(piece["zeros"]) if "zeros" in piece else bytes.fromhex(piece["data"])
