import math

import pytest

from proto import wire
from proto.errors import Backlogged, CloseCode, LocalError, NotConnected, RemoteError
from proto.events import (
    Closed,
    Event,
    EventReceived,
    FlushDone,
    FlushRequested,
    Offered,
    Opened,
)
from proto.frames import DownFrame, UpFrame
from proto.messages import (
    MAX_MESSAGE_BYTES,
    MAX_REQUEST_BYTES,
    Ack,
    Carried,
    Control,
    Flush,
    Flushed,
    Fragment,
    Reset,
)
from proto.payload import Payload
from proto.port import Role
from proto.session import (
    LINGER_S,
    OPEN_TIMEOUT_S,
    SUCCESSORS,
    Session,
    SessionInput as I,
    SessionState as S,
)
from proto.sharing import Sharing
from proto.stats import Rtt


class Wire:
    """A port that keeps what the session sends and tells."""

    def __init__(self) -> None:
        self.rtt = Rtt()
        self.sharing = Sharing()
        self.asked_at = -math.inf
        self.sent: list[Control] = []
        self.told: list[Event] = []

    def seal_frame(self, session: int, seq: int, frame: UpFrame | DownFrame) -> bytes:
        return f"{session} {seq} {frame}".encode()

    def send(self, message: Control) -> None:
        self.sent.append(message)

    def transmit(self, datagram: bytes) -> None:
        """Nothing is asked for again here."""

    def spoke(self, audio: object, now: float) -> None:
        """Nobody goes quiet here."""

    def emit(self, event: Event) -> None:
        self.told.append(event)


NO_WISH = b"\0"
"""An OPEN that offers nothing but PCM, and an empty request."""

PCM = bytes((Payload.PCM,))
"""An OPENED."""


def message(seq: int, carried: Carried, payload: bytes = b"") -> Fragment:
    return Fragment(1, seq, carried, True, payload)


def in_state(state: S) -> tuple[Session, Wire]:
    """Return a session brought to a state by its own methods."""
    port = Wire()
    role = Role.LISTENER if state in (S.AWAITED, S.OFFERED) else Role.DIALER
    session = Session(1, role, port, 0.0)
    if state is S.OFFERED:
        session.receive_fragment(message(1, Carried.OPEN, NO_WISH))
    if state in (S.OPEN, S.CLOSING):
        session.receive_fragment(message(1, Carried.OPENED, PCM))
    if state is S.CLOSING:
        session.close(CloseCode.NORMAL, "", 0.0)
    if state is S.CLOSED:
        session.receive_reset(Reset(1, 0))
    port.sent.clear()
    port.told.clear()
    assert session.state is state
    return session, port


@pytest.mark.parametrize("state", S)
@pytest.mark.parametrize("how", I)
def test_every_pair_of_state_and_input_follows_the_table(state: S, how: I) -> None:
    session, _ = in_state(state)
    local = how in (I.ACCEPT, I.CLOSE)
    fault = LocalError if local else RemoteError
    successor = SUCCESSORS[state].get(how)
    if successor is None:
        with pytest.raises(fault):
            session._step(how, fault)
        assert session.state is state
    else:
        session._step(how, fault)
        assert session.state is successor
        assert session.audio.is_open is (successor is S.OPEN)


def test_an_offer_is_told_and_accepted() -> None:
    session, port = in_state(S.AWAITED)
    session.receive_fragment(message(1, Carried.OPEN, b"\x02\x01\x63request"))
    assert port.told == [Offered(1, b"request", (Payload.OPUS,))]
    session.accept()
    assert session.state is S.OPEN
    assert [f.carried for f in port.sharing.take(0.0)] == [Carried.OPENED]
    with pytest.raises(LocalError):
        session.accept()


def test_an_offer_may_be_refused() -> None:
    session, port = in_state(S.OFFERED)
    session.close(CloseCode.REFUSED_CAPACITY, "full", 0.0)
    (close,) = port.sharing.take(0.0)
    assert wire.decode_close(close.data) == (CloseCode.REFUSED_CAPACITY, "full")
    session.receive_ack(Ack(1, 2, 300, ()), 0.0)
    assert session.state is S.CLOSED
    assert port.told == []


@pytest.mark.parametrize("state", [S.OFFERED, S.OPENING, S.OPEN])
def test_a_close_by_the_peer_is_told_once(state: S) -> None:
    session, port = in_state(state)
    close = wire.encode_close(CloseCode.UPSTREAM_LOST, "gone")
    seq = 1 if state is S.OPENING else 2
    session.receive_fragment(message(seq, Carried.CLOSE, close))
    session.receive_fragment(message(seq, Carried.CLOSE, close))
    assert port.told == [Closed(1, CloseCode.UPSTREAM_LOST, "gone")]


def test_our_own_close_is_never_told() -> None:
    session, port = in_state(S.CLOSING)
    session.close(CloseCode.INTERNAL, "again", 0.0)
    session.receive_fragment(message(2, Carried.EVENT, b"late"))
    session.receive_fragment(
        message(3, Carried.CLOSE, wire.encode_close(CloseCode.NORMAL, ""))
    )
    assert session.state is S.CLOSED
    assert port.told == []


def test_a_close_that_is_never_acknowledged_ends_after_a_while() -> None:
    session, port = in_state(S.CLOSING)
    session.handle_timeout(LINGER_S)
    assert session.state is S.CLOSED
    assert port.told == []
    assert session.deadline == math.inf


def test_an_open_that_is_never_answered_times_out() -> None:
    session, port = in_state(S.OPENING)
    session.handle_timeout(OPEN_TIMEOUT_S)
    assert [type(event) for event in port.told] == [Closed]
    assert port.told[0].code is CloseCode.TIMEOUT  # type: ignore[union-attr]  # as asserted


def test_an_open_that_never_completes_is_forgotten_in_silence() -> None:
    session, port = in_state(S.AWAITED)
    session.handle_timeout(OPEN_TIMEOUT_S)
    assert session.state is S.CLOSED
    assert port.told == []


@pytest.mark.parametrize("state", [S.OFFERED, S.OPENING, S.OPEN])
def test_a_lost_link_is_told(state: S) -> None:
    session, port = in_state(state)
    session.link_lost("silent")
    assert port.told == [Closed(1, CloseCode.LINK_LOST, "silent")]


def test_opened_is_told_and_stops_the_timeout() -> None:
    session, port = in_state(S.OPENING)
    session.receive_fragment(message(1, Carried.OPENED, PCM))
    assert port.told == [Opened(1, Payload.PCM)]
    assert session.deadline == math.inf


@pytest.mark.parametrize("state", [S.AWAITED, S.OFFERED, S.CLOSING, S.CLOSED])
def test_events_are_refused_outside_an_open_session(state: S) -> None:
    session, _ = in_state(state)
    with pytest.raises(NotConnected):
        session.send_event(b"{}")


def test_events_may_be_sent_while_opening() -> None:
    session, port = in_state(S.OPENING)
    session.send_event(b"{}")
    assert [f.carried for f in port.sharing.take(0.0)] == [Carried.EVENT]


def test_what_is_too_long_is_our_fault() -> None:
    session, _ = in_state(S.OPENING)
    with pytest.raises(LocalError):
        session.request(bytes(MAX_REQUEST_BYTES + 1))
    with pytest.raises(LocalError):
        session.send_event(bytes(MAX_MESSAGE_BYTES + 1))


def test_a_slow_peer_makes_the_sender_backlogged() -> None:
    session, _ = in_state(S.OPEN)
    for _ in range(4):
        session.send_event(bytes(MAX_MESSAGE_BYTES))
    with pytest.raises(Backlogged):
        session.send_event(b"x")


@pytest.mark.parametrize(
    ("state", "fragment"),
    [
        (S.AWAITED, message(1, Carried.EVENT)),
        (S.AWAITED, message(1, Carried.OPENED, PCM)),
        (S.OFFERED, message(2, Carried.OPEN, NO_WISH)),
        (S.OPENING, message(1, Carried.OPEN, NO_WISH)),
        (S.OPEN, message(2, Carried.OPENED, PCM)),
        (S.OPEN, message(2, Carried.CLOSE, b"\xff")),
        (S.OPEN, Fragment(1, 2, 77, True, b"")),
        (S.OPEN, message(900, Carried.EVENT)),
    ],
)
def test_a_message_out_of_place_resets_the_session(
    state: S, fragment: Fragment
) -> None:
    session, port = in_state(state)
    with pytest.raises(RemoteError):
        session.receive_fragment(fragment)
    assert session.state is S.CLOSED
    assert Reset(1, CloseCode.PROTOCOL) in port.sent


def test_events_are_told_in_order() -> None:
    session, port = in_state(S.OPEN)
    for seq in (3, 2, 4, 2):
        session.receive_fragment(message(seq, Carried.EVENT, bytes([seq])))
    assert port.told == [EventReceived(1, bytes([seq])) for seq in (2, 3, 4)]


def test_frames_go_one_way_only() -> None:
    session, _ = in_state(S.OPEN)
    assert session.audio.seal_frame(UpFrame(0, 0, 0, b"\0\0"), 0.0)
    with pytest.raises(LocalError):
        session.audio.seal_frame(DownFrame(1, 0, 0, b"\0\0"), 0.0)


def test_a_flush_is_repeated_until_it_is_answered() -> None:
    session, port = in_state(S.OFFERED)
    session.accept()
    session.flush(4, 0.0)
    while len(port.sent) < 4:
        session.handle_timeout(session.deadline)
    assert port.sent == [Flush(1, 1, 4)] * 4
    for _ in range(2):
        session.receive_flushed(Flushed(1, 1, 4, 99))
    assert port.told[-1:] == [FlushDone(1, 4, 99)]
    assert len([e for e in port.told if type(e) is FlushDone]) == 1


def test_a_newer_flush_takes_the_place_of_one_not_answered() -> None:
    session, port = in_state(S.OFFERED)
    session.accept()
    session.flush(4, 0.0)
    session.flush(5, 0.0)
    session.receive_flushed(Flushed(1, 1, 4, 0))
    assert FlushDone(1, 4, 0) not in port.told
    session.receive_flushed(Flushed(1, 2, 5, 7))
    assert port.told[-1] == FlushDone(1, 5, 7)


def test_a_repeated_flush_is_asked_once_and_answered_again() -> None:
    session, port = in_state(S.OPEN)
    session.receive_flush(Flush(1, 1, 4))
    session.receive_flush(Flush(1, 1, 4))
    assert port.told == [FlushRequested(1, 4)]
    session.flushed(4, 99)
    session.receive_flush(Flush(1, 1, 4))
    assert port.sent == [Flushed(1, 1, 4, 99)] * 2


def test_a_flush_from_a_dialer_is_refused() -> None:
    session, _ = in_state(S.OFFERED)
    with pytest.raises(RemoteError):
        session.receive_flush(Flush(1, 1, 1))
