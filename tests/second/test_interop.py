"""The project's dialer against the listener that was written from the document."""

import functools
import math
import statistics

import pytest

from proto import seal
from proto.errors import CloseCode
from proto.events import Closed, EventReceived, FlushRequested, LinkDown, LinkUp, Opened
from proto.frames import DownFrame, UpFrame
from proto.link import LinkState
from proto.session import Session
from tests.second import keys
from tests.second.happenings import Ended, Frame, Missed, Offered, Silent, Told
from tests.second.listener import Listener
from tests.second.network import SecondLab
from tests.support.netem import FRAME_S, PCM

FRAMES = 500
LEAD_MS = 200
LONG = bytes(range(256)) * 4096  # 1 MiB, the longest event

CLEAN = {"delay_s": 0.04}
LOSSY = {"delay_s": 0.04, "loss": 0.01}
LOSSIER = {"delay_s": 0.04, "loss": 0.05}
ROUGH = {"delay_s": 0.03, "loss": 0.05, "jitter_s": 0.03, "duplicate": 0.05}
PATHS = pytest.mark.parametrize(
    "path", [CLEAN, LOSSY, LOSSIER, ROUGH], ids=["0 %", "1 %", "5 %", "rough"]
)
SEEDS = pytest.mark.parametrize("seed", [1, 2, 3])


def opened(seed: int, **path: float) -> tuple[SecondLab, Session]:
    lab = SecondLab(seed, **path)
    lab.connect()
    (session,) = lab.open()
    return lab, session


class Talk:
    """Frames both ways, one each 20 ms, numbered by their positions.

    Attributes:
        due: When the caller should hear each of the relay's frames.
        arrived: When each of the caller's first reached the relay; inf: it was lost.
    """

    def __init__(self, lab: SecondLab, session: Session, count: int) -> None:
        self.due: dict[int, float] = {}
        self.arrived: dict[int, float] = {}
        for number in range(count):
            speak = functools.partial(self._speak, lab, session, number)
            lab.at(lab.now + number * FRAME_S, speak)
        lab.run(count * FRAME_S + 1.0)

    def _speak(self, lab: SecondLab, session: Session, number: int) -> None:
        self.arrived[number] = lab.edge.say(session, UpFrame(number, 0, 0, PCM))
        lab.second.session(session.id).play(1, number, LEAD_MS, PCM, lab.now)
        self.due[number] = lab.now + lab.second.path.delay_s + LEAD_MS / 1000
        lab.second.drain()


@SEEDS
@PATHS
def test_uplink_frames_arrive_in_order_and_none_twice(
    seed: int, path: dict[str, float]
) -> None:
    lab, session = opened(seed, **path)
    Talk(lab, session, FRAMES)
    positions = [frame.position for frame in lab.second.those(Frame)]
    missed = sum(missed.frames for missed in lab.second.those(Missed))
    assert positions == sorted(set(positions))
    assert len(positions) + missed == FRAMES
    assert missed <= FRAMES * (0.02 if path is ROUGH else 0.01)
    if path is CLEAN:
        assert not missed


@SEEDS
@PATHS
def test_a_frame_waits_for_a_missing_one_no_longer_than_the_bound(
    seed: int, path: dict[str, float]
) -> None:
    lab, session = opened(seed, **path)
    talk = Talk(lab, session, FRAMES)
    delivered = [
        (when - talk.arrived[frame.position])
        for when, frame in lab.second.happened
        if isinstance(frame, Frame)
    ]
    waits = [wait for wait in delivered if wait > -math.inf]
    assert all(-1e-6 <= wait <= 0.120 + 1e-6 for wait in waits)
    assert statistics.median(waits) < 1e-6
    if path is CLEAN:
        assert max(waits) < 1e-6


@SEEDS
@PATHS
def test_downlink_frames_are_repaired_inside_their_lead(
    seed: int, path: dict[str, float]
) -> None:
    lab, session = opened(seed, **path)
    talk = Talk(lab, session, FRAMES)
    ear = lab.edge.ears[session.id]
    assert ear.positions == sorted(set(ear.positions))
    assert len(ear.frames) + ear.lost == FRAMES
    assert ear.lost <= FRAMES * 0.004
    for when, frame in ear.frames:
        assert isinstance(frame, DownFrame)
        assert when <= talk.due[frame.position_samples] + path.get("jitter_s", 0.0)


@SEEDS
@PATHS
def test_the_longest_event_arrives_either_way_while_audio_flows(
    seed: int, path: dict[str, float]
) -> None:
    lab, session = opened(seed, **path)
    peer = lab.second.session(session.id)
    session.send_event(LONG)
    lab.edge.link.settle(session, lab.now)
    peer.tell(LONG, lab.now)
    peer.tell(b"after", lab.now)
    Talk(lab, session, 50)
    lab.run(14.0)
    assert [told.payload for told in lab.second.those(Told)] == [LONG]
    assert [told.payload for told in lab.told(EventReceived)] == [LONG, b"after"]


def test_the_heard_position_crosses_with_each_frame() -> None:
    lab, session = opened(1)
    lab.edge.say(session, UpFrame(480, 3, 4800, PCM))
    lab.run(0.1)
    (frame,) = lab.second.those(Frame)
    assert (frame.position, frame.heard_talkspurt, frame.heard_samples) == (
        480,
        3,
        4800,
    )


@SEEDS
def test_the_last_frame_before_a_pause_is_repaired(seed: int) -> None:
    lab, session = opened(seed)
    peer = lab.second.session(session.id)
    lab.cut_both(0.0, 0.02)
    lab.edge.say(session, UpFrame(0, 0, 0, PCM))
    peer.play(1, 0, LEAD_MS, PCM, lab.now)
    lab.run(0.5)
    assert [frame.position for frame in lab.second.those(Frame)] == [0]
    assert lab.edge.ears[session.id].positions == [0]


@SEEDS
@PATHS
def test_a_flush_is_answered(seed: int, path: dict[str, float]) -> None:
    lab, session = opened(seed, **path)
    peer = lab.second.session(session.id)
    peer.flush(1, lab.now)
    while not lab.told(FlushRequested):
        lab.run(0.005)
    session.flushed(1, 960)
    lab.edge.link.settle(session, lab.now)
    lab.run(2.0)
    assert lab.told(FlushRequested) == [FlushRequested(session.id, 1)]
    assert lab.second.those(Silent) == [Silent(session.id, 1, 960)]


@SEEDS
def test_only_the_newest_flush_counts(seed: int) -> None:
    lab, session = opened(seed, loss=0.05)
    peer = lab.second.session(session.id)
    peer.flush(1, lab.now)
    peer.flush(2, lab.now)
    while FlushRequested(session.id, 2) not in lab.told(FlushRequested):
        lab.run(0.005)
    session.flushed(2, 0)
    lab.edge.link.settle(session, lab.now)
    lab.run(2.0)
    assert lab.second.those(Silent) == [Silent(session.id, 2, 0)]


@SEEDS
@pytest.mark.parametrize("path", [CLEAN, ROUGH], ids=["0 %", "rough"])
def test_keys_are_rotated_on_a_live_link(
    seed: int, path: dict[str, float], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(seal, "EPOCH_DATAGRAMS", 200)
    monkeypatch.setattr(keys.Sealer, "epoch_datagrams", 150)
    lab, session = opened(seed, **path)
    Talk(lab, session, FRAMES)
    ear = lab.edge.ears[session.id]
    assert lab.second.link.sealer.epoch >= 3
    assert lab.second.link.opener.epoch >= 2
    assert lab.edge.link.stats.unauthentic == 0
    assert len(lab.second.those(Frame)) >= FRAMES * 0.98
    assert len(ear.frames) >= FRAMES * 0.98


def test_keys_are_rotated_by_age(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(seal, "EPOCH_S", 0.5)
    monkeypatch.setattr(keys.Sealer, "epoch_s", 0.7)
    lab, session = opened(1)
    Talk(lab, session, 100)
    assert lab.second.link.opener.epoch >= 3
    assert lab.second.link.sealer.epoch >= 2
    assert len(lab.second.those(Frame)) == 100


@SEEDS
def test_the_dialer_closes_after_what_it_sent(seed: int) -> None:
    lab, session = opened(seed, loss=0.05)
    session.send_event(b"bye")
    session.close(CloseCode.DRAINING, "done", lab.now)
    lab.edge.link.settle(session, lab.now)
    lab.run(3.0)
    assert lab.second.those(Told) == [Told(session.id, b"bye")]
    assert lab.second.those(Ended) == [Ended(session.id, CloseCode.DRAINING, "done")]
    assert not lab.edge.link.sessions
    assert not lab.second.link.sessions


@SEEDS
def test_the_listener_closes_after_what_it_sent(seed: int) -> None:
    lab, session = opened(seed, loss=0.05)
    peer = lab.second.session(session.id)
    peer.tell(b"bye", lab.now)
    peer.close(CloseCode.UPSTREAM_LOST, "gone", lab.now)
    lab.run(3.0)
    closed = Closed(session.id, CloseCode.UPSTREAM_LOST, "gone")
    assert lab.told(EventReceived) == [EventReceived(session.id, b"bye")]
    assert lab.told(Closed) == [closed]
    assert lab.second.those(Ended) == [
        Ended(session.id, CloseCode.UPSTREAM_LOST, "gone")
    ]


@SEEDS
def test_a_session_is_refused(seed: int) -> None:
    lab = SecondLab(seed, loss=0.05)
    lab.connect()
    lab.second.refusal = CloseCode.REFUSED_UPSTREAM
    session = lab.edge.link.open_session(b"ask" * 1000, lab.now)
    lab.run(3.0)
    (offered,) = lab.second.those(Offered)
    assert offered.request == b"ask" * 1000
    assert lab.told(Closed) == [Closed(session.id, CloseCode.REFUSED_UPSTREAM, "no")]
    assert not lab.told(Opened)


def test_a_reset_of_the_dialer_ends_the_session_here() -> None:
    lab, session = opened(1)
    session.fail(CloseCode.INTERNAL, "")
    lab.edge.link.settle(session, lab.now)
    lab.run(0.1)
    assert lab.second.those(Ended) == [Ended(session.id, CloseCode.INTERNAL)]


def test_a_reset_of_the_listener_ends_the_session_there() -> None:
    lab, session = opened(1)
    lab.second.session(session.id).end(CloseCode.PROTOCOL, reset=True)
    lab.run(0.1)
    (closed,) = lab.told(Closed)
    assert closed.code is CloseCode.PROTOCOL
    session_again = lab.open()
    assert session_again[0].id == 2


def test_what_a_lost_reset_leaves_behind_ends_with_the_next_frame() -> None:
    lab, session = opened(1)
    lab.cut_both(0.0, 0.05)
    lab.second.session(session.id).end(CloseCode.TIMEOUT, reset=True)
    lab.run(0.1)
    assert not lab.told(Closed)
    lab.edge.say(session, UpFrame(0, 0, 0, PCM))
    lab.run(0.1)
    assert [closed.session for closed in lab.told(Closed)] == [session.id]


def test_what_a_lost_reset_leaves_here_ends_with_the_next_frame() -> None:
    lab, session = opened(1)
    peer = lab.second.session(session.id)
    lab.cut_both(0.0, 0.05)
    session.fail(CloseCode.TIMEOUT, "")
    lab.edge.link.settle(session, lab.now)
    lab.run(0.1)
    assert not lab.second.those(Ended)
    peer.play(1, 0, LEAD_MS, PCM, lab.now)
    lab.run(0.1)
    assert lab.second.those(Ended) == [Ended(session.id, CloseCode.NORMAL)]


def test_sessions_of_one_link_do_not_mix() -> None:
    lab = SecondLab(1, loss=0.01)
    lab.connect()
    sessions = lab.open(20)
    for session in sessions:
        session.send_event(b"%d" % session.id)
        lab.edge.link.settle(session, lab.now)
        lab.edge.say(session, UpFrame(session.id, 0, 0, PCM))
    lab.run(2.0)
    told = {told.session: told.payload for told in lab.second.those(Told)}
    assert told == {session.id: b"%d" % session.id for session in sessions}
    frames = {frame.session: frame.position for frame in lab.second.those(Frame)}
    assert frames == {session.id: session.id for session in sessions}


def test_a_silent_listener_is_noticed_and_a_silent_dialer_too() -> None:
    lab, session = opened(1)
    lab.cut_both(0.0, 5.0)
    lab.run(0.85)
    assert [type(event) for event in lab.told(LinkDown)] == [LinkDown]
    assert lab.second.those(Ended) == [Ended(session.id, CloseCode.LINK_LOST)]
    assert not lab.second.listener.links


def test_what_opens_is_a_sign_of_life_whatever_is_in_it() -> None:
    lab, _ = opened(1)
    link = lab.second.link
    lab.second.mute()

    def say_what_is_not_known() -> None:
        link.say(99, "of a later version")
        lab.second.drain()

    for number in range(5):
        lab.at(lab.now + 0.5 * number, say_what_is_not_known)
    lab.run(2.5)
    assert not lab.told(LinkDown)
    assert lab.edge.link.stats.malformed == 5
    lab.run(0.5)
    assert lab.told(LinkDown)


def test_each_end_leaves_with_one_datagram() -> None:
    for leaves in ("dialer", "listener"):
        lab, session = opened(1)
        if leaves == "dialer":
            lab.edge.link.leave(CloseCode.DRAINING, "")
        else:
            lab.second.link.leave(CloseCode.DRAINING, lab.now)
        lab.run(0.1)
        assert lab.edge.link.state is LinkState.CLOSED
        assert not lab.second.listener.links
        assert lab.second.those(Ended) == [Ended(session.id, CloseCode.LINK_LOST)]


def test_a_listener_of_another_version_is_told_from_a_silent_one() -> None:
    lab = SecondLab(1)
    lab.second.listener = Listener([lab.key], bytes(32), versions=(2, 3))
    lab.dial()
    lab.run(0.2)
    (down,) = lab.told(LinkDown)
    assert "version" in down.reason
    assert not lab.second.listener.links


def test_a_dialer_with_another_key_meets_silence() -> None:
    lab = SecondLab(1)
    lab.dial(bytes(32))
    lab.run(4.0)
    assert lab.second.path.sent == 0
    assert lab.edge.link.state is LinkState.CLOSED


def test_a_second_key_is_taken_while_keys_are_changed() -> None:
    lab = SecondLab(1)
    lab.second.listener = Listener([lab.key, bytes(32)], bytes(32))
    lab.dial(bytes(32))
    lab.run(0.5)
    assert lab.told(LinkUp) == [LinkUp()]


@SEEDS
def test_a_link_comes_up_over_a_path_that_loses_every_other(seed: int) -> None:
    lab = SecondLab(seed, loss=0.5)
    while not lab.told(LinkUp):
        lab.dial()
        lab.run(3.0)
    assert lab.second.link.own_id == lab.edge.link.id or lab.second.listener.links
