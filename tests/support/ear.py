"""What a client plays of the packets that reach it, worked out afterwards. Pure.

The jitter buffer is one such as browsers have. The first packet of a talkspurt is
played `buffer_s` after it came, each other one at its RTP time after that. When the
next one is not there, the ear runs dry and all that follows is played later; one that
comes after its successor was played is dropped. What is missing is decoded from the
next packet's repeat (in-band FEC) or made up, as is what follows when packets end.
"""

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np

from codec.opus import GRAIN_SAMPLES, Decoder, carries_fec
from proto.frames import FRAME_SAMPLES, SAMPLE_RATE_HZ
from tests.support.sound import Pcm
from transceiver.rtp import CLOCK_HZ, TICKS_PER_SAMPLE

BUFFER_S = 0.04
"""Seconds; Chromium's goes from 20 to 40 ms once there is loss (measured)."""

MADE_UP_SAMPLES = SAMPLE_RATE_HZ * 120 // 1000
"""Longest sound made up when packets end, and longest gap that is no pause: 120 ms."""

AUDIBLE = 104
"""Of int16: -50 dBFS."""

MATCH_SAMPLES = SAMPLE_RATE_HZ // 5
"""How much of the last sound is looked for in what was spoken: 200 ms."""

ASIDE_SAMPLES = SAMPLE_RATE_HZ // 4
"""How far from its place it may be, should the first packets have been lost: 250 ms."""

ENDING_SAMPLES = SAMPLE_RATE_HZ // 25
"""In how much of the last sound its end is looked for: 40 ms, what the codec's ringing
and a period of a deep voice take."""

RING_SAMPLES = SAMPLE_RATE_HZ * 30 // 1000
"""The codec lets a sound that is cut off ring out for up to 25 ms (measured)."""

LIKE = 0.25
"""Factor by which what was spoken is at least in what is heard of it: the codec leaves
0.28 of some voice that glides. Of 700 sounds of 0.1 to 2 s the ends are found to 10 ms,
of three to 17 ms; with 3 % loss those of all but one in 200 to 20 ms (measured)."""

NOISE_ENERGY = 1e5
"""Sum of squares: far below that of speech, so that silence is like nothing."""


class Packet(NamedTuple):
    """An RTP packet as it came: seconds, ticks of 48 kHz, one frame of Opus."""

    arrived_s: float
    timestamp: int
    payload: bytes


class Sound(NamedTuple):
    """A piece of what was played: int16, (samples,), mono 24 kHz.

    One that fades was made up where packets ended: it takes no time of what was spoken.
    """

    start_s: float
    pcm: Pcm
    fades: bool = False


def play(packets: Iterable[Packet], buffer_s: float = BUFFER_S) -> list[Sound]:
    """Return what is played of packets, in order of time."""
    first: dict[int, Packet] = {}
    for packet in packets:
        first.setdefault(packet.timestamp, packet)
    if not first:
        return []
    origin = next(iter(first))
    ordered = sorted(first.values(), key=lambda packet: _since(origin, packet))
    speaker = _Speaker(origin, buffer_s)
    for packet, following in zip(ordered, [*ordered[1:], None], strict=True):
        speaker.take(packet, following)
    speaker.fade()
    return speaker.played


def silent_s(played: list[Sound]) -> float | None:
    """Return when the last audible sample was over; None: there was none."""
    for start_s, pcm, _ in reversed(played):
        if len(sound := audible(pcm)):
            return start_s + len(sound) / SAMPLE_RATE_HZ
    return None


def end_samples(played: list[Sound], spoken: Pcm) -> int:
    """Return how far into `spoken` the sound goes that was played last.

    That is as far as it is alike: neither what the codec lets ring out nor what is made
    up was spoken. Hiss is not alike, for the codec makes its own. 0: nothing was heard.
    """
    last, place = _last_sound(played, spoken)
    return place + _alike_samples(last, spoken[place:])


def audible_samples(played: list[Sound], spoken: Pcm) -> int:
    """Return how far into `spoken` the last audible sample played is, ringing or not.

    It is right of any speech, but up to `RING_SAMPLES` late. 0: nothing was heard.
    """
    last, place = _last_sound(played, spoken)
    return place + len(last)


def audible(pcm: Pcm) -> Pcm:
    """Return it without the silence behind the last audible sample."""
    loud = np.flatnonzero(np.abs(pcm.astype(np.int32)) > AUDIBLE)
    return pcm[: int(loud[-1]) + 1] if len(loud) else pcm[:0]


def _last_sound(played: list[Sound], spoken: Pcm) -> tuple[Pcm, int]:
    """Return the last sound played, and where in `spoken` that is.

    The codec plays its look-ahead first, so that a short sound begins before what was
    spoken does. That much of it is left out.
    """
    pieces = (sound.pcm for sound in played if not sound.fades)
    pcm = audible(np.concatenate([np.zeros(0, np.int16), *pieces]))
    if not len(pcm):
        return pcm, 0
    match_end = max(len(pcm) - RING_SAMPLES, len(pcm) // 2)
    match_start = max(match_end - MATCH_SAMPLES, 0)
    padded = np.concatenate([np.zeros(ASIDE_SAMPLES, np.int16), spoken])
    around = padded[match_start : match_end + 2 * ASIDE_SAMPLES]
    place = match_start - ASIDE_SAMPLES + find(pcm[match_start:match_end], around)
    unspoken = max(-place, 0)
    return pcm[match_start + unspoken :], place + unspoken


def find(piece: Pcm, whole: Pcm) -> int:
    """Return at which sample of `whole` a piece is most alike (normalised)."""
    size = 1 << (len(piece) + len(whole)).bit_length()
    spectra = np.fft.rfft(whole, size) * np.conj(np.fft.rfft(piece, size))
    energy = np.cumsum([0.0, *np.square(whole, dtype=np.float64)])
    energy = energy[len(piece) :] - energy[: -len(piece)]
    alike = np.fft.irfft(spectra, size)[: len(energy)] / np.sqrt(energy + NOISE_ENERGY)
    return int(np.argmax(alike))


def _alike_samples(heard: Pcm, said: Pcm) -> int:
    """Return up to which sample one is the other, give or take the codec's noise.

    Of the ending all that is alike speaks for it with its energy, the rest against it.
    So no 2.5 ms decide by themselves: a voice is loud for as much of its period only,
    and may drown in the noise meanwhile.
    """
    count = min(len(heard), len(said)) // GRAIN_SAMPLES * GRAIN_SAMPLES
    start = max(count - ENDING_SAMPLES, 0)
    spoken = said[start:count].astype(np.float64)
    alike = heard[start:count] * spoken - LIKE * np.square(spoken)
    grains = alike.reshape(-1, GRAIN_SAMPLES).sum(axis=1)
    return start + int(np.argmax([0.0, *np.cumsum(grains)])) * GRAIN_SAMPLES


class _Speaker:
    """Decodes packets in order, each to its time."""

    def __init__(self, origin: int, buffer_s: float) -> None:
        self.played: list[Sound] = []
        self._origin = origin
        self._buffer_s = buffer_s
        self._decoder = Decoder()
        self._base_s: float | None = None
        self._end_ticks = 0

    def take(self, packet: Packet, following: Packet | None) -> None:
        """Play a packet, or drop it."""
        ticks = _since(self._origin, packet)
        missing = (ticks - self._end_ticks) // TICKS_PER_SAMPLE
        if self._base_s is None or missing > MADE_UP_SAMPLES:
            if self._base_s is not None:
                self.fade()
            self._base_s = packet.arrived_s + self._buffer_s - ticks / CLOCK_HZ
            self._end_ticks = ticks
            missing = 0
        due_s = self._base_s + ticks / CLOCK_HZ
        if packet.arrived_s > due_s:
            if following and following.arrived_s < packet.arrived_s:
                return
            self._base_s += packet.arrived_s - due_s
        self._fill(missing // GRAIN_SAMPLES * GRAIN_SAMPLES, packet.payload)
        self._end_ticks = ticks
        self._emit(self._decoder.decode(packet.payload))

    def fade(self) -> None:
        """Go on with the voice that has ended."""
        end_ticks = self._end_ticks
        self._emit(self._decoder.conceal(MADE_UP_SAMPLES), fades=True)
        self._end_ticks = end_ticks

    def _fill(self, missing: int, payload: bytes) -> None:
        is_repeated = missing >= FRAME_SAMPLES and carries_fec(payload)
        made_up = missing - FRAME_SAMPLES * is_repeated
        if made_up > 0:
            self._emit(self._decoder.conceal(made_up))
        if is_repeated:
            self._emit(self._decoder.decode_fec(payload, FRAME_SAMPLES))

    def _emit(self, pcm: bytes, *, fades: bool = False) -> None:
        assert self._base_s is not None
        samples = np.frombuffer(pcm, "<i2")
        start_s = self._base_s + self._end_ticks / CLOCK_HZ
        self.played.append(Sound(start_s, samples, fades))
        self._end_ticks += len(samples) * TICKS_PER_SAMPLE


def _since(origin: int, packet: Packet) -> int:
    """Return the packet's time after `origin`, in ticks, over the wrap of 32 bits."""
    return (packet.timestamp - origin + (1 << 31)) % (1 << 32) - (1 << 31)
