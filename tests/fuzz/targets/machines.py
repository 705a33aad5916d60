"""The state machines of the link by themselves: order and repair, reliable messages."""

import math

from proto.errors import Backlogged, RemoteError
from proto.messages import (
    MAX_ASKED,
    MAX_FRAGMENT_BYTES,
    MAX_INT,
    MAX_MESSAGE_BYTES,
    MAX_RANGES,
    Ack,
    Carried,
    Fragment,
)
from proto.order import DEPTH, MAX_RESENT, History, Order
from proto.stream import (
    MAX_IN_FLIGHT,
    MAX_QUEUED_BYTES,
    MAX_QUEUED_FRAGMENTS,
    WINDOW,
    Inbox,
    Outbox,
)
from tests.fuzz.draw import Draw


def order(data: bytes) -> None:
    """Frames come out in order, each once, with every gap told; none waits for good."""
    draw = Draw(data)
    machine, now, rtt_s, sent = Order(), 1000.0, draw.byte() / 500, 0
    out: list[int] = []
    while draw.has_more:
        now += draw.byte() / 1000
        sent = min(sent + 1, MAX_INT)
        seq = draw.choice((sent, sent, draw.number(), max(1, sent - draw.byte())))
        wait_s, step_s = draw.byte() / 1000, draw.choice((0.0, 0.02))
        match draw.byte() % 8:
            case 0:
                machine.expect(seq, now, wait_s, step_s, rtt_s)
            case 1 if seq < MAX_INT:
                sent = max(sent, seq)
            case _ if seq and machine.push(seq):
                out.append(seq)
            case _ if seq:
                machine.expect(seq - 1, now, wait_s, step_s, rtt_s)
                machine.hold(seq, Held(seq))
            case _:
                pass
        out += _pulled(machine, out, now)
        assert len(machine.asks(now, rtt_s)) <= MAX_ASKED
        assert machine.deadline > now
        assert len(machine._held) + len(machine._gaps) <= DEPTH + 1
    _pulled(machine, out, now + 1000)
    assert machine.deadline == math.inf
    assert not machine._held


def _pulled(machine: Order, before: list[int], now: float) -> list[int]:
    """Pull; return the frames, which must come after those before."""
    at = before[-1] if before else 0
    frames = []
    for item in machine.pull(now):
        if isinstance(item, Held):
            assert item.seq > at
            at = item.seq
            frames.append(at)
        else:
            at += item
    return frames


class Held:
    """A frame, told from a count."""

    def __init__(self, seq: int) -> None:
        self.seq = seq


def history(data: bytes) -> None:
    """Only the last frames are sent again, each a bounded number of times."""
    draw = Draw(data)
    machine, given = History(), dict[int, int]()
    while draw.has_more:
        if draw.chance(0.6):
            seq = machine.put(draw.byte(), 0.0)
            assert machine.last() is not None
            assert seq == machine.seq
            continue
        asked = draw.choice((draw.number(), max(0, machine.seq - draw.byte())))
        if machine.again(asked) is not None:
            assert machine.seq - DEPTH < asked <= machine.seq
            given[asked] = given.get(asked, 0) + 1
            assert given[asked] <= MAX_RESENT


def stream(data: bytes) -> None:
    """Over any network, what was put comes out: whole, in order, once."""
    draw = Draw(data)
    outbox, inbox, now = Outbox(1), Inbox(1), 1000.0
    network: list[Fragment | Ack] = []
    put: list[tuple[int, bytes]] = []
    got: list[tuple[int, bytes]] = []
    while draw.has_more:
        now += draw.byte() / 1000
        match draw.byte() % 6:
            case 0:
                payload = bytes(draw.choice((0, 1, 1100, 1101, 5000, draw.byte())))
                outbox.put(Carried.EVENT, payload)
                put.append((Carried.EVENT, payload))
            case 1 | 2 if outbox.is_ready:
                network.append(outbox.take(now))
            case 3:
                outbox.expire(now, 0.05)
            case _ if network:
                _travel(draw, network, inbox, outbox, got, now)
            case _:
                pass
        _check_outbox(outbox)
        assert got == put[: len(got)]
    for _ in range(4 * MAX_QUEUED_FRAGMENTS):
        if outbox.is_empty:
            break
        now += 2
        outbox.expire(now, 0.05)
        while outbox.is_ready:
            got += inbox.receive(outbox.take(now))
            outbox.acknowledge(inbox.ack(), now)
    assert got == put
    assert outbox.queued_bytes == 0


def _travel(
    draw: Draw,
    network: list[Fragment | Ack],
    inbox: Inbox,
    outbox: Outbox,
    got: list[tuple[int, bytes]],
    now: float,
) -> None:
    """Deliver, double or lose any datagram on the way."""
    at = draw.byte() % len(network)
    datagram = network[at] if draw.chance(0.2) else network.pop(at)
    if draw.chance(0.2):
        return
    if isinstance(datagram, Fragment):
        got += inbox.receive(datagram)
        network.append(inbox.ack())
    else:
        outbox.acknowledge(datagram, now)


def hostile_stream(data: bytes) -> None:
    """Any fragments and acknowledgements are taken or refused, within the bounds."""
    draw = Draw(data)
    outbox, inbox, now, is_over = Outbox(1), Inbox(1), 1000.0, False
    while draw.has_more and not is_over:
        now += draw.byte() / 1000
        try:
            match draw.byte() % 8:
                case 0:
                    size = draw.choice((0, 1, 1100, 4000, 300_000, MAX_MESSAGE_BYTES))
                    outbox.check_room(size)
                    outbox.put(Carried.EVENT, bytes(size))
                case 1 if outbox.is_ready:
                    outbox.take(now)
                case 2:
                    outbox.acknowledge(_ack(draw), now)
                case 3:
                    outbox.expire(now, 0.05)
                    outbox.is_stuck(now)
                case 4 if draw.chance(0.2):
                    for seq in range(2, 3 + draw.below(2 * WINDOW)):
                        inbox.receive(Fragment(1, seq, 3, False, b""))
                case _:
                    inbox.receive(_fragment(draw, inbox))
        except Backlogged:
            assert outbox.queued_bytes
        except RemoteError:
            is_over = True  # the session ends with it
        _check_outbox(outbox)
        assert len(inbox._held) < WINDOW
        assert len(inbox._part) <= MAX_MESSAGE_BYTES
        assert len(inbox.ack().ranges) <= 2 * MAX_RANGES


def _fragment(draw: Draw, inbox: Inbox) -> Fragment:
    near = inbox._next_seq + draw.choice((0, 0, 0, 1, 2, draw.byte()))
    seq = draw.choice((near, near, near, near, draw.number() or 1))
    data = bytes(draw.choice((0, 2, MAX_FRAGMENT_BYTES, MAX_FRAGMENT_BYTES)))
    carried = draw.choice((3, 3, 3, 3, 3, 3, draw.byte()))
    return Fragment(1, seq, carried, draw.chance(0.2), data)


def _ack(draw: Draw) -> Ack:
    marks = sorted({draw.number() for _ in range(1 + 2 * (draw.byte() % 4))})
    ranges = tuple(marks[1:]) if len(marks) % 2 else tuple(marks[1:-1])
    return Ack(1, marks[0], draw.number(), ranges)


def _check_outbox(outbox: Outbox) -> None:
    assert outbox.in_flight <= MAX_IN_FLIGHT
    assert 0 <= outbox.queued_bytes <= MAX_QUEUED_BYTES
    waiting = len(outbox._unsent) + len(outbox._lost) + outbox.in_flight
    # A message may pass the bound by its own fragments, and a CLOSE comes on top.
    assert waiting <= MAX_QUEUED_FRAGMENTS + MAX_MESSAGE_BYTES // MAX_FRAGMENT_BYTES + 1
