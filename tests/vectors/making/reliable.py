"""PROTOCOL.md 7: fragments to messages, and what is sent, again too, and when."""

from typing import Any

from proto.errors import RemoteError
from proto.messages import (
    MAX_FRAGMENT_BYTES,
    MAX_REQUEST_BYTES,
    Ack,
    Carried,
    Fragment,
)
from proto.stream import WINDOW, Inbox, Outbox

SESSION = 1
Json = dict[str, Any]


def received(trace: Json) -> list[Json]:
    """Return what a receiver answers to each fragment of a trace."""
    inbox = Inbox(SESSION)
    answers: list[Json] = []
    for it in trace["fragments"]:
        data = bytes.fromhex(it["data"]) if "data" in it else bytes(it["zeros"])
        fragment = Fragment(SESSION, it["seq"], it["carried"], it["is_last"], data)
        try:
            messages = inbox.receive(fragment)
        except RemoteError as error:
            answers.append({"refused": str(error)})
            break
        ack = inbox.ack()
        answers.append(
            {
                "next_seq": ack.next_seq,
                "limit": ack.limit,
                "ranges": list(ack.ranges),
                "messages": [
                    {"carried": int(carried), **_data(payload)}
                    for carried, payload in messages
                ],
            }
        )
    return answers


def sent(trace: Json) -> list[Json]:
    """Return the fragments that a sender sends in each step of a trace."""
    outbox, rto_s, outcome = Outbox(SESSION), trace["rto_us"] / 1e6, []
    for step in trace["steps"]:
        now = step["at_us"] / 1e6
        result: Json = {}
        if "put_bytes" in step:
            outbox.put(Carried.EVENT, bytes(step["put_bytes"]))
        if "ack" in step:
            ack = step["ack"]
            try:
                outbox.acknowledge(
                    Ack(SESSION, ack["next_seq"], ack["limit"], tuple(ack["ranges"])),
                    now,
                )
            except RemoteError as error:
                result["refused"] = str(error)
        outbox.expire(now, rto_s)
        result["sent"] = []
        while outbox.is_ready:
            result["sent"].append(outbox.take(now).seq)
        outcome.append(result)
    return outcome


def vectors() -> Json:
    return {
        "receiver": [{**it, "answers": received(it)} for it in _receivers()],
        "sender": [{**it, "outcome": sent(it)} for it in _senders()],
    }


def _data(payload: bytes) -> Json:
    if len(payload) > 16 and not any(payload):
        return {"zeros": len(payload)}
    return {"data": payload.hex()}


def _piece(seq: int, data: bytes, *, last: bool = True, carried: int = 3) -> Json:
    return {"seq": seq, "carried": carried, "is_last": last, **_data(data)}


def _receivers() -> list[Json]:
    full = bytes(MAX_FRAGMENT_BYTES)
    fits = MAX_REQUEST_BYTES // MAX_FRAGMENT_BYTES
    return [
        {"name": name, "fragments": fragments}
        for name, fragments in (
            ("one fragment", [_piece(1, b"{}")]),
            (
                "a message in three",
                [
                    _piece(1, b"a", last=False),
                    _piece(2, b"b", last=False),
                    _piece(3, b"c"),
                ],
            ),
            (
                "out of order, and twice",
                [_piece(3, b"c"), _piece(1, b"a"), _piece(1, b"x"), _piece(2, b"b")],
            ),
            ("an empty message", [_piece(1, b"", carried=3)]),
            (
                "every second one: 16 pairs at most",
                [_piece(seq, b"") for seq in range(2, 38, 2)],
            ),
            ("the last one within the window", [_piece(WINDOW, b"")]),
            ("past the window", [_piece(WINDOW + 1, b"")]),
            (
                "mixed kinds",
                [_piece(1, b"a", last=False), _piece(2, b"b", carried=4)],
            ),
            ("of no kind", [_piece(1, b"a", carried=5)]),
            ("OPENED of two bytes", [_piece(1, b"\0\0", carried=2)]),
            (
                "OPEN over 256 KiB",
                [
                    _piece(seq, full, last=False, carried=1)
                    for seq in range(1, fits + 2)
                ],
            ),
        )
    ]


def _senders() -> list[Json]:
    def ack(at_us: int, next_seq: int, *ranges: int, limit: int = 0) -> Json:
        limit = limit or next_seq + WINDOW
        return {
            "at_us": at_us,
            "ack": {"next_seq": next_seq, "limit": limit, "ranges": list(ranges)},
        }

    def put(at_us: int, fragments: int) -> Json:
        return {"at_us": at_us, "put_bytes": fragments * MAX_FRAGMENT_BYTES}

    def wait(at_us: int) -> Json:
        return {"at_us": at_us}

    return [
        {"name": name, "rto_us": 100_000, "steps": steps}
        for name, steps in (
            ("all at once, all acknowledged", [put(0, 3), ack(50_000, 4)]),
            ("at most 64 on the way", [put(0, 100), ack(50_000, 11)]),
            (
                "three later ones acknowledged: sent again",
                [put(0, 6), ack(50_000, 1, 2, 4), ack(51_000, 1, 2, 5), ack(90_000, 7)],
            ),
            (
                "timeout: one probe, doubled, until an acknowledgement",
                [
                    put(0, 4),
                    wait(99_999),
                    wait(100_000),
                    wait(299_999),
                    wait(300_001),
                    ack(350_000, 2),
                ],
            ),
            (
                "the limit holds, whatever is acknowledged",
                [
                    put(0, 300),
                    *(ack(1000 * n, 1, 2, 64 * n + 1, limit=2**40) for n in (1, 2, 3)),
                    ack(4000, 1, 2, 257),
                ],
            ),
            ("what was never sent", [put(0, 2), ack(1000, 4), ack(2000, 1, 2, 4)]),
            (
                "an older acknowledgement changes nothing",
                [put(0, 3), ack(1, 4), ack(2, 2)],
            ),
        )
    ]
