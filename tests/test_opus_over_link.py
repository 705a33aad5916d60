"""Opus from caller to relay and back, with losses on every way, in virtual time."""

import functools
import itertools
import random

import numpy as np
import pytest

from codec.opus import Decoder, Encoder
from proto.events import Event, Offered
from proto.frames import FRAME_SAMPLES, DownFrame, UpFrame
from proto.link import Link
from proto.payload import Payload
from proto.session import Session
from relay.carriage import OpusHearing, OpusSpeaking
from tests.support.netem import Lab
from tests.support.sound import Pcm, babble
from transceiver.packetizer import Packetizer
from transceiver.playout import Playout
from transceiver.rtp import TICKS_PER_SAMPLE, parse
from transceiver.sound import OPUS
from transceiver.voice import AsItCame

FRAME_S = 0.02
SPOKEN_S = 20.0
LEAD_S = 0.16
SEED = 4

SAID = babble(SPOKEN_S, SEED)
FRAMES = [
    SAID[start : start + FRAME_SAMPLES].tobytes()
    for start in range(0, len(SAID) - FRAME_SAMPLES + 1, FRAME_SAMPLES)
]
LINKS = [
    pytest.param({}, id="clean"),
    pytest.param({"loss": 0.01, "jitter_s": 0.01}, id="1 %"),
    pytest.param({"loss": 0.05, "burst": 3}, id="5 % in bursts of 3"),
]


def connected(path: dict[str, float]) -> tuple[Lab, Session, Session]:
    lab = Lab(SEED, **path)
    link = lab.connect()

    def accept(link: Link, event: Event, now: float) -> None:
        if type(event) is Offered:
            session = link.sessions[event.session]
            session.accept(event.payloads[0])
            link.settle(session, now)

    lab.relay.on_event = accept
    session = link.open_session(b"{}", lab.now, (Payload.OPUS,))
    lab.edge.listen(session)
    while not session.audio.is_open:
        lab.run(0.05)
    lab.run(1.0)
    return lab, session, lab.peer(session)


def likeness(payloads: list[bytes], heard: Pcm) -> float:
    """Correlation of what was heard with what every packet, decoded, would be."""
    decoder = Decoder()
    whole = np.frombuffer(b"".join(map(decoder.decode, payloads)), np.int16)
    size = min(len(whole), len(heard))
    assert size >= 0.99 * len(whole)
    return float(np.corrcoef(whole[:size], heard[:size])[0, 1])


def placed(pieces: list[tuple[int, bytes]]) -> Pcm:
    """Return pieces at their positions; silence between, and none over another."""
    end = max(position + len(pcm) // 2 for position, pcm in pieces)
    sound = np.zeros(end, np.int16)
    for (start, pcm), (following, _) in itertools.pairwise(pieces):
        assert start + len(pcm) // 2 <= following
    for start, pcm in pieces:
        sound[start : start + len(pcm) // 2] = np.frombuffer(pcm, np.int16)
    return sound


@pytest.mark.parametrize("path", LINKS)
@pytest.mark.parametrize("last_mile_loss", [0.0, 0.05])
def test_a_caller_is_understood(path: dict[str, float], last_mile_loss: float) -> None:
    lab, session, _ = connected(path)
    rng, encoder, edge = random.Random(SEED), Encoder(), AsItCame()
    encoder.set_expected_loss(10)
    payloads = [encoder.encode(frame) for frame in FRAMES]

    def speak(number: int, lost: int) -> None:
        timestamp = number * FRAME_SAMPLES * TICKS_PER_SAMPLE
        pieces = edge.take(lost, timestamp, payloads[number], lab.now)
        for position, payload in pieces:
            lab.edge.say(session, UpFrame(position, 0, 0, payload))

    lost = 0
    for number in range(len(payloads)):
        if number and rng.random() < last_mile_loss:
            lost += 1
            continue
        lab.at(lab.now + number * FRAME_S, functools.partial(speak, number, lost))
        lost = 0
    lab.run(SPOKEN_S + 1.0)
    hearing = OpusHearing()
    frames = [f for _, f in lab.relay.ears[session.id].frames if type(f) is UpFrame]
    pieces = [piece for frame in frames for piece in hearing.take(frame)]
    heard = placed(pieces)
    made_up = hearing.made_up
    assert made_up.recovered + made_up.concealed == len(FRAMES) - len(frames)
    assert likeness(payloads, heard) > (0.9 if last_mile_loss else 0.98)


@pytest.mark.parametrize("path", LINKS)
def test_the_model_is_understood(path: dict[str, float]) -> None:
    lab, session, peer = connected(path)
    payloads: list[bytes] = []

    def send(frame: DownFrame) -> None:
        payloads.append(frame.payload)
        lab.relay.say(peer, frame)

    speaking = OpusSpeaking(send)
    lead_ms = round(LEAD_S * 1000)
    for number, pcm in enumerate(FRAMES):
        said = DownFrame(1, number * FRAME_SAMPLES, lead_ms, pcm)
        lab.at(lab.now + number * FRAME_S, functools.partial(speaking.send, said))
    began = lab.now
    lab.run(SPOKEN_S + 1.0)
    playout = Playout(OPUS)
    packetizer = Packetizer(1, (111, None), (0, 0), began, OPUS)
    sent: list[bytes] = []

    def play(now: float) -> None:
        for due in playout.pull(now):
            packet = packetizer.packetize(due, now)
            assert packet is not None
            sent.append(packet)

    for at, frame in lab.edge.ears[session.id].frames:
        assert type(frame) is DownFrame
        while playout.next_due() <= at:
            play(playout.next_due())
        playout.push(frame, at)
    while playout.next_due() < float("inf"):
        play(playout.next_due())
    decoder = Decoder()
    packets = [parse(packet) for packet in sent]
    first = packets[0].timestamp
    heard = placed(
        [
            (
                (one.timestamp - first) // TICKS_PER_SAMPLE,
                decoder.decode(one.payload),
            )
            for one in packets
        ]
    )
    assert playout.dropped == 0
    assert len(sent) >= 0.999 * len(FRAMES)
    assert likeness(payloads, heard) > 0.98
