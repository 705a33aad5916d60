"""Sessions send and hear with lanes what they do without."""

from collections.abc import Callable
from contextlib import nullcontext
from typing import Any

import pytest
from hypothesis import given, settings, strategies as st

from proto.errors import CloseCode, LocalError, NotConnected
from proto.frames import DownFrame, UpFrame
from proto.messages import MAX_INT, Nack
from proto.payload import Payload
from proto.port import Role
from runtime.udp import UdpAddress
from tests.proto.lanes import figures, without_lanes
from tests.support.netem import Lab, talk

pytest.importorskip("proto.lane", reason="the lanes were not compiled")


def conversation(seed: int, *, lanes: bool) -> list[object]:
    """Have two ends speak over a bad path; return all that comes of it."""
    with nullcontext() if lanes else without_lanes():
        lab = Lab(seed, delay_s=0.03, jitter_s=0.03, loss=0.05, duplicate=0.05)
        lab.connect()
    sessions = lab.open(4)
    for session in sessions:
        talk(lab, session, 6.0, lead_ms=80)
    ending = sessions[0]
    lab.at(lab.now + 2.0, lambda: ending.close(CloseCode.NORMAL, "", lab.edge.now))
    lab.at(lab.now + 4.0, lambda: sessions[1].audio.carry(Payload.PCMU))
    seen: list[object] = []
    for _ in range(80):
        lab.run(0.1)
        for end in (lab.edge, lab.relay):
            heard_at = end.link._liveness.heard_at
            seen += [figures(end.link), end.link.deadline, heard_at, end.path.sent]
    for end in (lab.edge, lab.relay):
        seen += [*end.told, *(ear.frames for ear in end.ears.values())]
    return seen


@pytest.mark.parametrize("seed", range(4))
def test_a_conversation_with_lanes_is_one_without(seed: int) -> None:
    ours, theirs = (conversation(seed, lanes=lanes) for lanes in (True, False))
    for ours_seen, theirs_seen in zip(ours, theirs, strict=True):
        assert ours_seen == theirs_seen


class Mouth:
    """A session's sender, its link, and the wire."""

    def __init__(self, role: Role, *, lanes: bool) -> None:
        self.lab = Lab(1)
        with nullcontext() if lanes else without_lanes():
            self.lab.connect()
        (session,) = self.lab.open()
        end = self.lab.edge if role is Role.DIALER else self.lab.relay
        self.link = end.link
        self.session = self.link.sessions[session.id]
        self.address = ("127.0.0.1", 1)
        self.wire: list[object] = []
        shell: Any = self
        self.sender = self.link.frame_sealer.sender(self.session.audio, shell)
        self.is_up = role is Role.DIALER
        self.position = 0

    def now(self) -> float:
        return self.lab.now

    def send(self, datagram: bytes, address: UdpAddress) -> None:
        self.wire.append((datagram, address))

    def transmit(self, datagram: bytes) -> None:
        self.wire.append((datagram, self.address))
        self.wire += self.link.take_datagrams()

    def frame(self, seconds: float) -> None:
        """Send a frame of this end's, after a while."""
        self.lab.now += seconds
        self.position += 480
        self._send(is_up=self.is_up)

    def misdirected(self, seconds: float) -> None:
        """Try to send one of the other end's."""
        self.lab.now += seconds
        self._send(is_up=not self.is_up)

    def turn(self, seconds: float) -> None:
        """Begin another talkspurt."""
        self.lab.now += seconds
        self.position = 0

    def quiet(self, seconds: float) -> None:
        """Say what is due: that no frame follows, or a frame a second time."""
        self.lab.now += seconds
        self.link.handle_timeout(self.lab.now)
        self.wire += self.link.take_datagrams()

    def asked(self, seconds: float) -> None:
        """Be asked for the newest frames."""
        seq = self.session.audio._history.seq
        seqs = tuple(range(max(1, seq - 20), seq + 1))
        self.session.audio.receive_nack(Nack(self.session.id, seqs), self.lab.now)
        self.quiet(seconds)

    def moved(self, seconds: float) -> None:
        """Have the peer somewhere else."""
        del seconds
        self.address = ("127.0.0.1", self.address[1] + 1)

    def renewed(self, seconds: float) -> None:
        """Come near the end of a key's life."""
        del seconds
        assert self.link._ends is not None
        self.link._ends.sealer._left = 2

    def ended(self, seconds: float) -> None:
        """Close the session."""
        self.session.close(CloseCode.NORMAL, "", self.lab.now)
        self.link.settle(self.session, self.lab.now)
        self.quiet(seconds)

    def _send(self, *, is_up: bool) -> None:
        frame: UpFrame | DownFrame = UpFrame(self.position, 1, 2, b"\0\1")
        if not is_up:
            frame = DownFrame(1, self.position, 30, b"\0\1")
        try:
            self.sender.send(frame)
        except (LocalError, NotConnected) as error:
            self.wire.append(type(error))

    @property
    def state(self) -> object:
        audio, history = self.session.audio, self.session.audio._history
        return (
            *(self.sender.unsent, history.seq, history._frames, audio.sent_at),
            *(self.wire, self.link.deadline, figures(self.link)),
        )


utterances = st.lists(
    st.tuples(
        st.sampled_from(
            (Mouth.frame,) * 5
            + (Mouth.misdirected, Mouth.turn, Mouth.quiet, Mouth.asked)
            + (Mouth.moved, Mouth.renewed)
        ),
        st.sampled_from((0.0, 0.02, 0.02, 0.035, 0.1)),
    ),
    max_size=50,
)


@settings(max_examples=100, deadline=None)
@given(st.sampled_from(Role), utterances, st.booleans())
def test_a_session_sends_with_lanes_what_it_does_without(
    role: Role, script: list[tuple[Callable[..., None], float]], ends: bool
) -> None:
    if ends:
        script = [*script, (Mouth.ended, 0.02), (Mouth.frame, 0.02)]
    ours, theirs = (Mouth(role, lanes=lanes) for lanes in (True, False))
    for act, seconds in script:
        act(ours, seconds)
        act(theirs, seconds)
        assert ours.state == theirs.state


class Hearing:
    """A link that hears two sessions, and the peer that seals for them."""

    def __init__(self, role: Role, *, lanes: bool) -> None:
        self.lab = lab = Lab(1)
        with nullcontext() if lanes else without_lanes():
            lab.connect()
        lab.open(2)
        own, peer = lab.edge, lab.relay
        if role is Role.LISTENER:
            own, peer = peer, own
        self.link, self.peer, self.is_up = own.link, peer.link, role is Role.LISTENER
        self.kept: list[bytes] = []
        self.seen: list[object] = []
        for session in self.link.sessions.values():
            session.audio.sink = self

    def frame_received(self, frame: UpFrame | DownFrame) -> None:
        self.seen.append(frame)
        if frame.position_samples % 480:
            raise ValueError(frame.position_samples)

    def failed(self, error: Exception) -> None:
        self.seen.append(repr(error))

    def frames_lost(self, count: int) -> None:
        self.seen.append(count)

    def take(self, number: int, size: int, position: int, keep: bool) -> None:
        """Get a frame, or keep it until one was got that is not kept."""
        payload = bytes(size)
        frame: UpFrame | DownFrame = UpFrame(position, 1, 2, payload)
        if not self.is_up:
            frame = DownFrame(1, position, 80, payload)
        audio = self.peer.sessions[number].audio
        self.kept.append(audio.seal_frame(frame, self.lab.now) or b"")
        if keep:
            return
        for datagram in reversed(self.kept):
            self.seen.append(self.link.receive_datagram(datagram, self.lab.now))
        self.kept.clear()
        for session in self.link.sessions.values():
            order = session.audio._order
            self.seen += [order.next_seq, order._newest, order.deadline]
        self.seen += [figures(self.link), self.link.take_datagrams()]


heard = st.tuples(
    st.sampled_from((1, 2)),
    st.sampled_from((2, 960, 960, 0, 1, 161, 961, 962, 1000)),
    st.sampled_from((0, 480, 480, 481)),
    st.sampled_from((False, False, True)),
)


@settings(max_examples=200, deadline=None)
@given(st.sampled_from(Role), st.sampled_from(Payload), st.lists(heard, max_size=30))
def test_a_session_hears_with_lanes_what_it_does_without(
    role: Role, payload: Payload, script: list[tuple[int, int, int, bool]]
) -> None:
    ours, theirs = (Hearing(role, lanes=lanes) for lanes in (True, False))
    for hearing in (ours, theirs):
        hearing.link.sessions[1].audio.carry(payload)
    for told in script:
        ours.take(*told)
        theirs.take(*told)
        assert ours.seen == theirs.seen


@pytest.mark.parametrize("role", Role)
def test_nothing_follows_the_last_number_there_is(role: Role) -> None:
    ours, theirs = (Hearing(role, lanes=lanes) for lanes in (True, False))
    for hearing in (ours, theirs):
        hearing.link.sessions[1].audio._order.next_seq = MAX_INT
        hearing.peer.sessions[1].audio._history.seq = MAX_INT - 1
        hearing.take(1, 960, 0, keep=False)
        assert hearing.link.sessions[1].audio._order.next_seq == MAX_INT + 1
    assert ours.seen == theirs.seen


def test_of_frames_in_order_the_older_datagram_does_not_tell_where_the_peer_is() -> (
    None
):
    for lanes in (True, False):
        hearing = Hearing(Role.LISTENER, lanes=lanes)
        hearing.take(1, 960, 0, keep=True)
        hearing.take(2, 960, 0, keep=False)
        told = [it for it in hearing.seen if isinstance(it, bool)]
        assert told == [True, False]
