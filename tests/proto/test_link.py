"""The link under seeded faults in virtual time. Deadlines are the protocol's own."""

import functools
import itertools
import math

import pytest

from proto import handshake
from proto.audio import UPLINK_WAIT_MAX_S
from proto.errors import CloseCode, NotConnected
from proto.events import (
    Closed,
    EventReceived,
    FlushDone,
    FlushRequested,
    LinkDown,
    LinkUp,
    Offered,
)
from proto.frames import DownFrame, UpFrame
from proto.link import (
    SUCCESSORS,
    Link,
    LinkInput,
    LinkInput as I,
    LinkState,
)
from proto.messages import MAX_MESSAGE_BYTES, Bye, Fragment, Ping
from proto.roster import MAX_SESSIONS
from proto.seal import EPOCH_S
from tests.support.conversing import Conversations
from tests.support.netem import PCM, Lab, talk

pytestmark = pytest.mark.usefixtures("each_way")


def connected(seed: int, **path: float) -> Lab:
    lab = Lab(seed, **path)
    lab.connect()
    lab.run(1.0)
    return lab


def report(text: str) -> None:
    print(text)  # noqa: T201  # shown when a test fails, or with -s


def speak(
    lab: Lab, seconds: float, sessions: int = 4, lead_ms: int = 150
) -> tuple[float, float]:
    """Talk both ways, check order, return the shares of frames delivered."""
    opened = lab.open(sessions)
    count = 0
    for session in opened:
        count = talk(lab, session, seconds, lead_ms)
    lab.run(seconds + 1.0)
    shares = []
    for end in (lab.relay, lab.edge):
        heard = 0
        for session in opened:
            ear = end.ears[session.id]
            assert ear.positions == sorted(set(ear.positions))
            assert len(ear.frames) + ear.lost == count
            heard += len(ear.frames)
        shares.append(heard / (count * sessions))
    report(f"delivered up {shares[0]:.4%} down {shares[1]:.4%}")
    return shares[0], shares[1]


@pytest.mark.parametrize(
    ("seed", "loss", "burst", "least"),
    [(1, 0.0, 1, 1.0), (2, 0.01, 1, 0.9999), (3, 0.05, 1, 0.999), (4, 0.05, 3, 0.999)],
)
def test_frames_are_in_time_at_80_ms_of_round_trip_with_the_relays_own_lead(
    seed: int, loss: float, burst: int, least: float
) -> None:
    lab = connected(seed, loss=loss, burst=burst)
    talks = Conversations(lab, 10)
    talks.hold(15.0)
    for tally in (talks.up, talks.down):
        report(f"in time {tally.share_in_time:.4%}")
        assert tally.share_in_time >= least
        assert tally.delay_s(0.5) == 0.0
    assert talks.standing_delay_s <= UPLINK_WAIT_MAX_S


def heads_heard(seed: int) -> tuple[int, int]:
    """Have 200 talkspurts of 6 frames begin; return how many come whole, and copies."""
    lab = connected(seed, loss=0.05)
    (session,) = lab.open()
    peer = lab.peer(session)
    talk(lab, session, 2.0, 150)
    lab.run(3.0)
    lab.relay.path.loss = 0.02
    before = peer.audio.counts().resent
    heard = len(lab.edge.ears[session.id].frames)

    def begin(talkspurt: int) -> None:
        for number in range(6):
            frame = DownFrame(talkspurt, number * 480, number * 20, PCM)
            lab.relay.say(peer, frame)

    for talkspurt in range(1, 201):
        lab.at(lab.now + talkspurt * 0.2, functools.partial(begin, talkspurt))
    lab.run(41.0)
    heard = len(lab.edge.ears[session.id].frames) - heard
    return heard, peer.audio.counts().resent - before


def test_the_head_of_a_talkspurt_is_sent_twice_where_frames_were_lost() -> None:
    heard, copies = heads_heard(6)
    assert heard >= 1190  # of 1,200; 2 % are lost
    assert copies >= 1000


def test_no_frame_is_sent_twice_where_none_was_lost() -> None:
    lab = connected(7)
    talks = Conversations(lab, 5)
    talks.hold(10.0)
    for session in talks.sessions:
        assert lab.peer(session).audio.counts().resent == 0
        assert session.audio.counts().duplicate == 0


def test_frames_before_which_nothing_is_missing_are_never_delayed() -> None:
    lab = connected(5, loss=0.02)
    (session,) = lab.open()
    talk(lab, session, 20.0, 150)
    start = lab.now
    lab.run(21.0)
    ear = lab.relay.ears[session.id]
    delays = []
    first = ear.frames[0][0] - ear.frames[0][1].position_samples * 0.02
    for when, frame in ear.frames:
        delays.append(when - frame.position_samples * 0.02 - first)
    undelayed = sum(delay < 1e-6 for delay in delays)
    assert start < first
    assert sorted(delays)[len(delays) // 2] < 1e-6
    assert max(delays) < 0.125
    assert undelayed / len(delays) > 0.85
    assert delays[-1] < 1e-6


@pytest.mark.parametrize("seed", range(10, 16))
def test_reordering_and_duplication_never_reorder_or_repeat_a_frame(seed: int) -> None:
    lab = connected(seed, jitter_s=0.05, duplicate=0.2, loss=0.02)
    up, down = speak(lab, 5.0)
    assert up > 0.95
    assert down > 0.95


def test_a_loss_at_the_tail_of_a_talkspurt_is_repaired() -> None:
    lab = connected(20)
    (session,) = lab.open()
    peer = lab.peer(session)
    lab.relay.say(peer, DownFrame(1, 0, 200, PCM))
    lab.run(0.02)
    lab.relay.path.cut = (lab.now, lab.now + 0.01)
    lab.relay.say(peer, DownFrame(1, 1, 200, PCM))
    lab.run(0.3)
    assert lab.edge.ears[session.id].positions == [0, 1]


def test_a_repaired_frame_carries_the_lead_that_is_left() -> None:
    lab = connected(21)
    (session,) = lab.open()
    peer = lab.peer(session)
    lab.relay.path.cut = (lab.now, lab.now + 0.01)
    lab.relay.say(peer, DownFrame(1, 0, 200, PCM))
    lab.run(0.02)
    lab.relay.say(peer, DownFrame(1, 1, 200, PCM))
    lab.run(0.5)
    (_, first), (_, second) = lab.edge.ears[session.id].frames
    assert isinstance(first, DownFrame)
    assert isinstance(second, DownFrame)
    assert first.lead_ms == pytest.approx(200 - 100, abs=5)
    assert second.lead_ms == 200


def test_without_lead_nothing_is_waited_for() -> None:
    lab = connected(22, loss=0.05)
    (session,) = lab.open()
    count = talk(lab, session, 10.0, 0)
    lab.run(11.0)
    ear = lab.edge.ears[session.id]
    gaps = {round(b[0] - a[0], 6) % 0.02 for a, b in itertools.pairwise(ear.frames)}
    assert ear.lost > 0
    assert len(ear.frames) + ear.lost == count
    assert all(min(gap, 0.02 - gap) < 1e-6 for gap in gaps)


@pytest.mark.parametrize("loss", [0.0, 0.05])
def test_a_megabyte_arrives(loss: float) -> None:
    lab = connected(30, loss=loss)
    (session,) = lab.open()
    payload = lab.rng.randbytes(MAX_MESSAGE_BYTES)
    began = lab.now
    session.send_event(payload)
    lab.edge.link.settle(session, lab.now)
    while not lab.relay.events(EventReceived):
        lab.run(0.1)
        assert lab.now < began + 20
    report(f"1 MiB took {lab.now - began:.1f} s at {loss:.0%} loss")
    assert lab.relay.events(EventReceived) == [EventReceived(session.id, payload)]


def test_audio_does_not_wait_behind_messages() -> None:
    lab = connected(31)
    (session,) = lab.open()
    session.send_event(bytes(MAX_MESSAGE_BYTES))
    lab.edge.link.settle(session, lab.now)
    talk(lab, session, 1.0, 150)
    lab.run(1.5)
    ear = lab.relay.ears[session.id]
    assert len(ear.frames) == 50
    assert {round(b[0] - a[0], 6) for a, b in itertools.pairwise(ear.frames)} == {0.02}


def test_a_megabyte_on_one_session_delays_no_frame_of_the_others() -> None:
    lab = connected(32)
    talks = Conversations(lab, 200)
    for end, session in (
        (lab.edge, talks.sessions[0]),
        (lab.relay, lab.peer(talks.sessions[0])),
    ):
        session.send_event(bytes(MAX_MESSAGE_BYTES))
        end.link.settle(session, end.now)
    talks.hold(3.0)
    for end in (lab.edge, lab.relay):
        assert len(end.events(EventReceived)) == 1
    for tally in (talks.up, talks.down):
        assert tally.in_time == tally.said
        assert tally.delay_s(1.0) == 0.0


def test_big_events_under_loss_leave_audio_at_its_figures() -> None:
    lab = connected(33, loss=0.05)
    talks = Conversations(lab, 20)
    for session in talks.sessions[:3]:
        session.send_event(bytes(MAX_MESSAGE_BYTES))
        lab.edge.link.settle(session, lab.now)
    talks.hold(20.0)
    assert lab.edge.link.sharing.lost_total > 0
    assert len(lab.relay.events(EventReceived)) == 3
    for tally in (talks.up, talks.down):
        report(f"in time {tally.share_in_time:.4%}")
        assert tally.share_in_time >= 0.999


@pytest.mark.parametrize("seed", range(40, 44))
def test_events_arrive_exactly_once_in_order_over_a_bad_network(seed: int) -> None:
    lab = connected(seed, loss=0.05, jitter_s=0.03, duplicate=0.1)
    sessions = lab.open(3)
    sent: dict[int, list[bytes]] = {session.id: [] for session in sessions}

    def send(number: int) -> None:
        session = lab.rng.choice(sessions)
        payload = number.to_bytes(4, "big") * lab.rng.choice((1, 50, 2000))
        sent[session.id].append(payload)
        session.send_event(payload)
        lab.edge.link.settle(session, lab.now)

    for number in range(200):
        lab.at(lab.now + number * 0.02, functools.partial(send, number))
    lab.run(15.0)
    for session in sessions:
        got = [
            event.payload
            for event in lab.relay.events(EventReceived)
            if isinstance(event, EventReceived) and event.session == session.id
        ]
        assert got == sent[session.id]


def test_a_session_that_is_never_acknowledged_blocks_no_other(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    lab = connected(50)
    stuck, free = lab.open(2)
    lab.run(0.5)
    deaf = lab.peer(stuck)
    monkeypatch.setattr(deaf, "receive_fragment", lambda fragment: None)
    for session in (stuck, free):
        session.send_event(bytes(200_000))
        lab.edge.link.settle(session, lab.now)
    began = lab.now
    while not lab.relay.events(EventReceived):
        lab.run(0.1)
    assert lab.now - began < 3.0


def test_a_flush_is_answered_within_a_round_trip_even_behind_a_long_event() -> None:
    lab = connected(51, loss=0.05)
    (session,) = lab.open()
    peer = lab.peer(session)
    peer.send_event(bytes(MAX_MESSAGE_BYTES))
    lab.relay.link.settle(peer, lab.now)
    peer.flush(3, lab.now)
    lab.relay.link.settle(peer, lab.now)
    lab.run(0.2)
    assert lab.edge.events(FlushRequested) == [FlushRequested(session.id, 3)]
    session.flushed(3, 4800)
    lab.edge.link.settle(session, lab.now)
    lab.run(0.4)
    assert lab.relay.events(FlushDone) == [FlushDone(session.id, 3, 4800)]


def test_a_dead_peer_is_noticed_within_800_ms() -> None:
    lab = connected(60)
    (session,) = lab.open()
    died_at = lab.now
    lab.relay.links.clear()
    lab.run(2.0)
    (noticed_at,) = [when for when, event in lab.edge.told if type(event) is LinkDown]
    assert 0.5 < noticed_at - died_at < 0.8
    (closed,) = lab.edge.events(Closed)
    assert isinstance(closed, Closed)
    assert (closed.session, closed.code) == (session.id, CloseCode.LINK_LOST)


def test_no_false_alarm_in_an_hour_of_5_percent_loss_and_300_ms_of_jitter() -> None:
    lab = connected(61, loss=0.05, jitter_s=0.3)
    lab.run(3600.0)
    assert lab.edge.events(LinkDown) == lab.relay.events(LinkDown) == []


@pytest.mark.parametrize("clock_rate", [0.999, 1.001])
def test_clocks_that_drift_apart_for_ten_minutes_cost_nothing(
    clock_rate: float,
) -> None:
    lab = Lab(67)
    lab.relay.clock_rate = clock_rate
    lab.connect()
    lab.run(600.0)
    assert lab.edge.events(LinkDown) == lab.relay.events(LinkDown) == []
    assert speak(lab, 5.0) == (1.0, 1.0)


def test_an_end_that_was_asleep_does_not_blame_its_peer() -> None:
    lab = connected(62)
    link = lab.edge.link
    lab.now += 3.0
    link.handle_timeout(lab.now)
    assert link.state is LinkState.UP
    lab.relay.link._liveness.heard_at = lab.now
    lab.run(2.0)
    assert link.state is LinkState.UP


def test_a_blackout_of_two_seconds_ends_the_link_and_a_new_one_works() -> None:
    lab = connected(63)
    lab.open()
    for end in (lab.edge, lab.relay):
        end.path.cut = (lab.now, lab.now + 2.0)
    lab.run(2.5)
    assert len(lab.edge.events(LinkDown)) == len(lab.relay.events(LinkDown)) == 1
    lab.edge.told.clear()
    lab.connect()
    up, down = speak(lab, 2.0)
    assert up == down == 1.0


def test_a_short_blackout_leaves_no_delay() -> None:
    lab = connected(64)
    (session,) = lab.open()
    count = talk(lab, session, 5.0, 150)
    lab.edge.path.cut = (lab.now + 1.0, lab.now + 1.5)
    lab.run(6.0)
    ear = lab.relay.ears[session.id]
    assert len(ear.frames) + ear.lost == count
    tail = ear.frames[-100:]
    assert {round(b[0] - a[0], 6) for a, b in itertools.pairwise(tail)} == {0.02}


def test_a_restarted_relay_at_the_same_address_is_met_anew() -> None:
    lab = connected(65)
    lab.open()
    lab.restart_relay()
    lab.run(1.0)
    assert len(lab.edge.events(LinkDown)) == 1
    lab.edge.told.clear()
    lab.connect()
    assert speak(lab, 1.0) == (1.0, 1.0)


def test_a_restarted_edge_gets_a_link_of_its_own() -> None:
    lab = connected(66)
    lab.edge.links.clear()
    lab.edge.told.clear()
    lab.connect()
    assert speak(lab, 1.0) == (1.0, 1.0)
    assert lab.relay.events(LinkDown)


def test_a_foreign_key_never_gets_an_answer() -> None:
    lab = Lab(70)
    lab.dial(key=bytes(32))
    lab.run(5.0)
    assert lab.relay.path.sent == 0
    assert lab.relay.links == {}
    assert lab.edge.events(LinkUp) == []
    assert len(lab.edge.events(LinkDown)) == 1


def test_a_handshake_gets_through_heavy_loss() -> None:
    lab = Lab(71, loss=0.3)
    lab.connect()
    assert lab.edge.link.state is LinkState.UP


def test_replayed_and_forged_datagrams_change_nothing() -> None:
    lab = connected(72)
    (session,) = lab.open()
    link = lab.relay.link
    datagram = session.audio.seal_frame(UpFrame(1, 0, 0, PCM), lab.now)
    assert datagram is not None
    assert link.receive_datagram(datagram, lab.now)
    forged = session.audio.seal_frame(UpFrame(2, 0, 0, PCM), lab.now)
    assert forged is not None
    before = link.stats
    heard_at = link._liveness.heard_at
    for bad in (datagram, forged[:-1] + b"xy", datagram[:20], b"", bytes(1200)):
        assert not link.receive_datagram(bad, lab.now + 0.05)
    after = link.stats
    assert (after.replayed, after.unauthentic, after.malformed) == (
        before.replayed + 1,
        before.unauthentic + 1,
        before.malformed + 3,
    )
    assert link._liveness.heard_at == heard_at
    assert not link.outgoing
    assert not link.events
    assert len(lab.relay.ears[session.id].frames) == 1


def test_only_a_newer_datagram_tells_the_peers_address() -> None:
    lab = connected(73)
    (session,) = lab.open()
    first, second = (
        session.audio.seal_frame(UpFrame(n, 0, 0, PCM), lab.now) for n in range(2)
    )
    assert first is not None
    assert second is not None
    assert lab.relay.link.receive_datagram(second, lab.now)
    assert not lab.relay.link.receive_datagram(first, lab.now)


def test_keys_rotate_on_a_live_link() -> None:
    lab = connected(74)
    lab.edge.link._ends.sealer._epoch_began -= EPOCH_S  # type: ignore[union-attr]  # up
    lab.run(0.5)
    assert speak(lab, 1.0) == (1.0, 1.0)
    assert lab.relay.link._ends.opener._epoch == 1  # type: ignore[union-attr]  # up
    assert lab.relay.link._ends.sealer._epoch == 0  # type: ignore[union-attr]  # up


def test_a_link_that_is_left_is_known_at_once() -> None:
    lab = connected(75)
    lab.open()
    lab.edge.link.leave(CloseCode.DRAINING, "bye")
    lab.run(0.05)
    (down,) = lab.relay.events(LinkDown)
    assert down == LinkDown("the peer left: DRAINING")
    assert len(lab.relay.events(Closed)) == len(lab.edge.events(Closed)) == 1
    assert lab.edge.link.deadline == math.inf


def test_no_session_opens_on_a_link_that_is_not_up() -> None:
    lab = Lab(76)
    with pytest.raises(NotConnected):
        lab.dial().open_session(b"", lab.now)


def test_a_listener_refuses_more_sessions_than_its_bound() -> None:
    lab = connected(77)
    relay = lab.relay.link
    (session,) = lab.open()
    for number in range(2, MAX_SESSIONS + 1):
        relay._roster.sessions[number] = lab.peer(session)
    extra = lab.edge.link
    extra._last_session = MAX_SESSIONS
    refused = extra.open_session(b"", lab.now)
    lab.run(0.5)
    assert lab.edge.events(Closed) == [
        Closed(refused.id, CloseCode.REFUSED_CAPACITY, "reset by the peer")
    ]


def test_an_ended_session_is_not_begun_again_by_a_late_fragment() -> None:
    lab = connected(78)
    (session,) = lab.open()
    session.close(CloseCode.NORMAL, "", lab.now)
    lab.edge.link.settle(session, lab.now)
    lab.run(1.0)
    assert lab.edge.link.sessions == lab.relay.link.sessions == {}
    lab.edge.link.send(Fragment(session.id, 1, 1, True, b"{}"))
    lab.run(0.5)
    assert len(lab.relay.events(Offered)) == 1
    assert lab.relay.link.sessions == {}


def test_nothing_is_left_after_sessions_have_ended() -> None:
    lab = connected(79, loss=0.05)
    for session in lab.open(20):
        talk(lab, session, 0.5, 150)
        session.send_event(bytes(5000))
        session.close(CloseCode.NORMAL, "", lab.now)
        lab.edge.link.settle(session, lab.now)
    lab.run(10.0)
    for end in (lab.edge, lab.relay):
        link = end.link
        assert not link.sessions
        assert not link._roster._timed
        assert not link._roster._speaking
        assert link.sharing.in_flight == 0
    assert len(lab.relay.events(Closed)) == 20


def in_state(state: LinkState) -> tuple[Lab, Link, dict[LinkInput, bytes]]:
    """Return a dialer's link in a state, and the datagrams it may get there."""
    lab = Lab(80)
    link = lab.dial()
    answering = lab.relay.answering
    assert answering is not None
    assert link._greeting is not None
    dialing = link._greeting._handshake
    welcome = answering.welcome(dialing.hello(), lab.now)
    finish, _ = dialing.welcomed(welcome, lab.now)
    relay = Link.answer(answering.finished(finish, lab.now), lab.now)
    (ping,) = relay.take_datagrams()
    relay.send(Bye(CloseCode.DRAINING))
    (bye,) = relay.take_datagrams()
    if state is not LinkState.GREETING:
        link.receive_datagram(welcome, lab.now)
    if state is LinkState.UP:
        relay.send(Ping(2, 0))
        link.receive_datagram(relay.take_datagrams()[0], lab.now)
    if state is LinkState.CLOSED:
        link.leave(CloseCode.NORMAL, "left")
    link.take_events()
    assert link.state is state
    return lab, link, {I.WELCOME: welcome, I.SEALED: ping, I.BYE: bye}


@pytest.mark.parametrize("state", LinkState)
@pytest.mark.parametrize("how", LinkInput)
def test_every_pair_of_link_state_and_input_follows_the_table(
    state: LinkState, how: LinkInput
) -> None:
    lab, link, datagrams = in_state(state)
    if how is I.LEAVE:
        link.leave(CloseCode.NORMAL, "left")
    elif how is I.LOST:
        while link.deadline < lab.now + 10:
            link.handle_timeout(link.deadline)
    else:
        link.receive_datagram(datagrams[how], lab.now)
    expected = SUCCESSORS[state].get(how, state)
    if (state, how) == (LinkState.FINISHING, I.BYE):
        expected = LinkState.CLOSED  # it is a sealed datagram first
    assert link.state is expected
    ended = expected is LinkState.CLOSED and state is not LinkState.CLOSED
    assert (LinkDown in map(type, link.take_events())) is ended


@pytest.mark.parametrize("state", LinkState)
@pytest.mark.parametrize(
    "junk", [b"", bytes(31), bytes(85), bytes(1201), b"\1\4" + bytes(99)]
)
def test_junk_changes_no_state(state: LinkState, junk: bytes) -> None:
    lab, link, _ = in_state(state)
    before = link.deadline
    assert not link.receive_datagram(junk, lab.now)
    assert (link.state, link.deadline) == (state, before)
    assert not link.take_events()


def test_a_relay_without_a_common_version_ends_the_attempt(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    lab = Lab(81)
    monkeypatch.setattr(handshake, "VERSION", 2)
    lab.dial()
    monkeypatch.setattr(handshake, "VERSION", 1)
    lab.run(1.0)
    assert lab.edge.events(LinkDown) == [
        LinkDown("the relay speaks no version of ours")
    ]
