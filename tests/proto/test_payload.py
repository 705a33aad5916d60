"""What audio is carried as: agreed for each session, and held to."""

import itertools

import pytest

from proto import wire
from proto.errors import LocalError
from proto.events import Event, Offered, Opened
from proto.frames import DownFrame, UpFrame
from proto.link import Link
from proto.messages import MAX_INT, MAX_LEAD_MS, MAX_SESSION
from proto.payload import BOUNDS, MAX_PAYLOAD_BYTES, Payload
from proto.session import Session
from tests.support.netem import Lab

OFFERS = [
    offered
    for count in range(len(Payload) + 1)
    for offered in itertools.permutations(Payload, count)
]


def opened(
    offered: tuple[Payload, ...], chosen: Payload
) -> tuple[Lab, Session, Session]:
    """Return a lab and the two ends of a session that was negotiated over it."""
    lab = Lab(1)
    link = lab.connect()

    def accept(link: Link, event: Event, now: float) -> None:
        if type(event) is Offered:
            assert event.payloads == offered
            session = link.sessions[event.session]
            session.accept(chosen)
            link.settle(session, now)

    lab.relay.on_event = accept
    session = link.open_session(b"{}", lab.now, offered)
    lab.edge.listen(session)
    lab.run(0.5)
    peer = lab.peer(session)
    lab.relay.listen(peer)
    return lab, session, peer


@pytest.mark.parametrize("offered", OFFERS)
def test_any_payload_offered_can_be_chosen_and_pcm_always(
    offered: tuple[Payload, ...],
) -> None:
    for chosen in {*offered, Payload.PCM}:
        lab, session, peer = opened(offered, chosen)
        assert session.payload is peer.payload is chosen
        told = [event for _, event in lab.edge.told if type(event) is Opened]
        assert told == [Opened(session.id, chosen)]
        for end, one, frame in (
            (lab.edge, session, UpFrame(0, 0, 0, b"ab")),
            (lab.relay, peer, DownFrame(1, 0, 100, b"ab")),
        ):
            end.say(one, frame)
        lab.run(0.1)
        assert [frame.payload for _, frame in lab.edge.ears[1].frames] == [b"ab"]
        assert [frame.payload for _, frame in lab.relay.ears[1].frames] == [b"ab"]


@pytest.mark.parametrize("chosen", [Payload.OPUS, Payload.PCMU, Payload.PCMA])
def test_what_was_not_offered_cannot_be_chosen(chosen: Payload) -> None:
    with pytest.raises(LocalError):
        opened((), chosen)


@pytest.mark.parametrize("payload", Payload)
@pytest.mark.parametrize("sender", ["edge", "relay"])
def test_frames_past_the_bounds_of_their_payload_are_counted_and_dropped(
    payload: Payload, sender: str
) -> None:
    lab, session, peer = opened((payload,), payload)
    bounds = BOUNDS[payload]
    sizes = range(1, MAX_PAYLOAD_BYTES + 1)
    fitting = [
        size
        for size in sizes
        if size <= bounds.max_bytes and size % bounds.grain_bytes == 0
    ]
    end, other = (lab.edge, lab.relay) if sender == "edge" else (lab.relay, lab.edge)
    for size in sizes:
        frame = UpFrame(0, 0, 0, bytes(size))
        if sender == "edge":
            lab.edge.say(session, frame)
        else:
            lab.relay.say(peer, DownFrame(1, 0, 0, bytes(size)))
    lab.run(2.0)
    heard = [len(frame.payload) for _, frame in other.ears[1].frames]
    assert set(heard) <= set(fitting)
    assert heard == sorted(set(heard))
    assert other.link.stats.malformed >= len(sizes) - len(fitting)
    assert end.link.stats.malformed == 0


def test_the_longest_frame_of_the_longest_numbers_fits_a_datagram() -> None:
    up = UpFrame(MAX_INT, MAX_INT, MAX_INT, bytes(MAX_PAYLOAD_BYTES))
    down = DownFrame(MAX_INT, MAX_INT, MAX_LEAD_MS, bytes(MAX_PAYLOAD_BYTES))
    for plaintext in (
        wire.encode_up(MAX_SESSION, MAX_INT, up),
        wire.encode_down(MAX_SESSION, MAX_INT, down),
    ):
        wire.decode(plaintext)
        sealed = wire.HEADER_BYTES + len(plaintext) + wire.TAG_BYTES
        assert sealed <= wire.MAX_DATAGRAM_BYTES
