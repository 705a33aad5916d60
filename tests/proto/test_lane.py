"""A lane seals and opens what the reference does, byte for byte."""

from contextlib import nullcontext
from typing import Any

import msgpack
import pytest
from hypothesis import given, settings, strategies as st

from proto import seal, wire
from proto.errors import RemoteError
from proto.frames import DownFrame, UpFrame
from proto.messages import MAX_INT, Down, Kind, Ping, Up
from proto.seal import REPLAY_WINDOW
from tests.proto.lanes import Ends, figures, without_lanes
from tests.proto.test_hostile_peer import plaintext, use
from tests.support.netem import Lab

pytest.importorskip("proto.lane", reason="the lanes were not compiled")

Frame = UpFrame | DownFrame

EDGES = (0, 1, 127, 128, 255, 256, 2**16 - 1, 2**16, 2**32 - 1, 2**32, MAX_INT)
"""Where msgpack's integers change their width."""

numbers = st.sampled_from(EDGES) | st.integers(0, MAX_INT)
sizes = st.sampled_from((0, 1, 255, 256, 960, 999, 1000, 1001, 1200, 65_536))
voices = sizes.map(bytes) | st.binary(max_size=300)
kinds = st.sampled_from((Kind.UP, Kind.DOWN))


def frame_of(kind: Kind, *fields: Any) -> Frame:
    frame_type = UpFrame if kind is Kind.UP else DownFrame
    return frame_type(*fields)


def both(kind: Kind) -> tuple[Ends, Ends]:
    return Ends(kind, lanes=True), Ends(kind, lanes=False)


@settings(max_examples=300, deadline=None)
@given(kinds, numbers, numbers, st.tuples(numbers, numbers, numbers, voices))
def test_a_frame_becomes_the_same_datagram(
    kind: Kind, session: int, seq: int, fields: tuple[Any, ...]
) -> None:
    ours, reference = both(kind)
    frame = frame_of(kind, *fields)
    for _ in range(2):
        datagram = ours.seal(session, seq, frame)
        assert datagram == reference.seal(session, seq, frame)
        assert ours.message(datagram) == reference.message(datagram)
    assert ours.state == reference.state


@pytest.mark.parametrize("kind", [Kind.UP, Kind.DOWN])
@pytest.mark.parametrize("field", range(5))
def test_a_negative_number_is_written_as_the_reference_does(
    kind: Kind, field: int
) -> None:
    ours, reference = both(kind)
    numbers = [1] * 5
    numbers[field] = -1
    session, seq, *places = numbers
    datagram = ours.seal(session, seq, frame_of(kind, *places, b"voice"))
    assert datagram == reference.seal(session, seq, frame_of(kind, *places, b"voice"))
    assert ours.message(datagram) is reference.message(datagram) is RemoteError


def test_a_frame_of_the_other_direction_is_refused() -> None:
    ours, _ = both(Kind.UP)
    with pytest.raises(TypeError):
        ours.seal(1, 1, DownFrame(1, 0, 0, b"voice"))
    assert ours.sealer.counter == 0


Act = tuple[str, int]
acts = st.lists(
    st.tuples(
        st.sampled_from(
            (
                "frame",
                "frame",
                "control",
                "old",
                "again",
                "forge",
                "skip",
                "other",
                "cut",
            )
        ),
        st.sampled_from((0, 1, 2, 5, 15, REPLAY_WINDOW - 1, REPLAY_WINDOW))
        | st.integers(0, 50),
    ),
    max_size=60,
)


def play(kind: Kind, acts: list[Act], *, lanes: bool) -> list[object]:
    """Seal and open as told; return all that came of it."""
    ends = Ends(kind, lanes=lanes)
    made: list[bytes] = []
    seen: list[object] = []
    for number, (act, value) in enumerate(acts):
        if act == "old":
            ends.sealer.rotate_if_old(ends.sealer._epoch_began + seal.EPOCH_S)
        elif act == "skip":
            ends.sealer.counter += value
        elif act == "control":
            made.append(ends.sealer.seal(wire.encode(Ping(number, value))))
        else:
            made.append(ends.seal(1, number + 1, frame_of(kind, 1, value, 0, b"pcm")))
        if act == "other":
            continue  # under way; `again` may bring it
        if made:
            datagram = made[-1 - value % len(made)] if act == "again" else made[-1]
            if act == "forge":
                changed = bytearray(datagram)
                changed[value % len(changed)] ^= 1 + value % 255
                seen += [ends.message(bytes(changed)), ends.state]
            if act == "cut":
                seen.append(ends.message(datagram[: 16 + value % len(datagram)]))
            seen.append(ends.message(datagram))
        seen.append(ends.state)
    return [*made, *seen]


@settings(max_examples=100, deadline=None)
@given(kinds, acts, st.sampled_from((3, 7, seal.EPOCH_DATAGRAMS)))
def test_keys_replays_and_forgeries_are_met_alike(
    kind: Kind, acts: list[Act], epoch_datagrams: int
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(seal, "EPOCH_DATAGRAMS", epoch_datagrams)
        ours, theirs = (play(kind, acts, lanes=lanes) for lanes in (True, False))
    for ours_seen, theirs_seen in zip(ours, theirs, strict=True):
        assert ours_seen == theirs_seen


@pytest.mark.parametrize("back", [1, 2, REPLAY_WINDOW - 1, REPLAY_WINDOW])
def test_the_replay_window_ends_where_the_reference_s_does(back: int) -> None:
    ours, reference = both(Kind.UP)
    early = ours.seal(1, 1, UpFrame(0, 0, 0, b"pcm"))
    ours.sealer.counter = back
    late = ours.seal(1, 2, UpFrame(0, 0, 0, b"pcm"))
    for datagram in (late, early, late, early):
        assert ours.message(datagram) == reference.message(datagram)
        assert ours.received == reference.received


def forms(number: int) -> st.SearchStrategy[bytes]:
    """Write an integer in any width that holds it."""
    widths = [
        bytes([0xCC + power]) + number.to_bytes(1 << power)
        for power in range(4)
        if number < 1 << (8 << power)
    ]
    signed = [
        bytes([0xD0 + power]) + number.to_bytes(1 << power)
        for power in range(4)
        if number < 1 << ((8 << power) - 1)
    ]
    return st.sampled_from([msgpack.packb(number), *widths, *signed])


anything = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**63), 2**64 - 1),
    st.floats(),
    st.text(max_size=5),
    st.binary(max_size=5),
    st.lists(st.integers(0, 9), max_size=3),
)
lengths = st.sampled_from((0, 1, 2, 255, 256, 999, 1000, 1001, 1100))


@st.composite
def bins(draw: st.DrawFn) -> bytes:
    """Write a payload in any form, whose length may not be true."""
    size = draw(lengths)
    told = max(0, size + draw(st.sampled_from((0, 0, 0, 1, -1, 300))))
    width = draw(st.sampled_from((1, 2, 4)))
    head = bytes([{1: 0xC4, 2: 0xC5, 4: 0xC6}[width]])
    told %= 1 << 8 * width
    return head + told.to_bytes(width) + bytes(size)


@st.composite
def plaintexts(draw: st.DrawFn) -> bytes:
    """Write what is a frame, or nearly."""
    small = st.integers(0, 3)
    edges = st.sampled_from((*EDGES, 59_999, 60_000, 60_001, 2**63, 2**64 - 1))
    fields = [draw((small | edges).flatmap(forms)) for _ in range(5)]
    fields.append(draw(bins()))
    fields.insert(0, draw(st.sampled_from((b"\4", b"\5", b"\xcc\4", b"\1", b"\xff"))))
    if draw(st.booleans()) and draw(st.booleans()):
        fields[draw(st.integers(0, 6))] = msgpack.packb(draw(anything))
    count = draw(st.sampled_from((7, 7, 7, 7, 6, 8)))
    head = draw(st.sampled_from((b"", b"", b"", b"\xdc\0"))) + bytes([0x90 | count])
    if len(head) == 3:
        head = b"\xdc\0" + bytes([count])
    body = head + b"".join(fields) + draw(st.sampled_from((b"", b"", b"", b"\0")))
    return body[: len(body) - draw(st.sampled_from((0, 0, 0, 0, 1, 3)))]


@settings(max_examples=500, deadline=None)
@given(kinds, plaintexts() | st.binary(max_size=60))
def test_any_plaintext_is_the_message_that_wire_reads(
    kind: Kind, plaintext: bytes
) -> None:
    ours, reference = both(kind)
    datagram = ours.sealer.seal(plaintext)
    opened, expected = ours.message(datagram), reference.message(datagram)
    assert opened == expected
    assert type(opened) is type(expected)
    if isinstance(opened, Up | Down):
        fields = opened.session, opened.seq, *opened.frame
        theirs = expected.session, expected.seq, *expected.frame  # type: ignore[attr-defined]  # of the same type
        assert list(map(type, fields)) == list(map(type, theirs))


@pytest.mark.parametrize("field", range(5))
@pytest.mark.parametrize("value", [0, 60_000, 60_001, 2**32 - 1, 2**32, MAX_INT, 2**63])
@pytest.mark.parametrize("kind", [Kind.UP, Kind.DOWN])
def test_each_limit_is_where_wire_has_it(kind: Kind, value: int, field: int) -> None:
    ours, reference = both(kind)
    fields = [1] * 5
    fields[field] = value
    datagram = ours.sealer.seal(msgpack.packb((kind, *fields, b"voice")))
    assert ours.message(datagram) == reference.message(datagram)


def told(seed: int, victim: str, *, lanes: bool) -> list[object]:
    """Have a link take what a hostile peer says; return all that comes of it."""
    with nullcontext() if lanes else without_lanes():
        lab = Lab(seed)
        lab.connect()
    lab.open(3)
    attacked, attacker = lab.edge.link, lab.relay.link
    if victim == "relay":
        attacked, attacker = attacker, attacked
    seen: list[object] = []
    datagram = b""
    for _ in range(1000):
        lab.now += lab.rng.choice((0.0, 0.001, 0.02))
        if not datagram or lab.rng.random() < 0.9:
            datagram = attacker.seal(plaintext(lab.rng))
        is_newest = attacked.receive_datagram(datagram, lab.now)
        if attacked.deadline <= lab.now:
            attacked.handle_timeout(lab.now)
        for session in tuple(attacked.sessions.values()):
            use(attacked, session, lab)
        events = attacked.take_events()
        seen += [is_newest, figures(attacked), events, attacked.take_datagrams()]
    ears = (lab.edge if victim == "edge" else lab.relay).ears
    return [*seen, *(ear.frames for ear in ears.values())]


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("victim", ["edge", "relay"])
def test_a_link_with_lanes_is_one_without(seed: int, victim: str) -> None:
    ours, theirs = (told(seed, victim, lanes=lanes) for lanes in (True, False))
    for ours_seen, theirs_seen in zip(ours, theirs, strict=True):
        assert ours_seen == theirs_seen
