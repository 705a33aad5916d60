"""Redundant audio: a packet that holds the ones before it, too (RFC 2198). Pure.

    0                   1                   2                   3
    |1| block PT  |  timestamp offset: 14     |  length: 10       |   each older block
    |0| block PT  |                                                   the newest
    then the blocks, the oldest first; the newest takes what is left

Senders that copy whole payloads, as Chromium does and we do, put the packets right
before this one into it: the newest repeat is that of the last sequence number, and so
on. How far each is back in time says its offset.
"""

from collections.abc import Iterable
from typing import NamedTuple

from codec.opus import packet_samples
from transceiver.errors import MalformedPacket
from transceiver.rtp import TICKS_PER_SAMPLE

FOLLOWS = 0x80
MAX_OFFSET_TICKS = (1 << 14) - 1
MAX_BLOCK_BYTES = (1 << 10) - 1
MAX_BYTES = 1024
"""Of blocks in what we build, so that no path is too narrow; Chromium's bound, too."""

MAX_REPEATS = 9
"""In one packet: the most that Chromium can be told to send. Each takes time."""


class Repeat(NamedTuple):
    """An older block.

    Attributes:
        offset_ticks: How much older than the newest block it is, on the RTP clock.
    """

    offset_ticks: int
    payload: bytes


def newest(data: bytes) -> tuple[int, bytes]:
    """Return the newest block: its payload type and payload.

    Raises:
        MalformedPacket: Cut off, or with more than `MAX_REPEATS` repeats.
    """
    start = repeated_bytes = 0
    size = len(data)
    while start < size and data[start] & FOLLOWS:
        start += 4
        if start >= size or start > 4 * MAX_REPEATS:
            raise MalformedPacket("RED headers cut off, or too many")
        repeated_bytes += (data[start - 2] & 0b11) << 8 | data[start - 1]
    end = start + 1 + repeated_bytes
    if end > size:
        raise MalformedPacket("RED blocks cut off")
    return data[start] & 0x7F, data[end:]


def repeats(data: bytes, opus_type: int) -> list[Repeat]:
    """Return older blocks of what `newest` takes, the newest of them first.

    Up to the first that is none of Opus, or lasts longer than there is time for it
    before the next: what does not fit together would be put where it does not belong.
    """
    headers = []
    start = 0
    while data[start] & FOLLOWS:
        headers.append(int.from_bytes(data[start : start + 4]))
        start += 4
    end = start + 1 + sum(header & MAX_BLOCK_BYTES for header in headers)
    found: list[Repeat] = []
    after_ticks = 0
    for header in reversed(headers):
        start = end - (header & MAX_BLOCK_BYTES)
        payload, offset_ticks = data[start:end], header >> 10 & MAX_OFFSET_TICKS
        lasts_ticks = packet_samples(payload) * TICKS_PER_SAMPLE
        fits = 0 < lasts_ticks <= offset_ticks - after_ticks
        if header >> 24 & 0x7F != opus_type or not fits:
            break
        found.append(Repeat(offset_ticks, payload))
        end, after_ticks = start, offset_ticks
    return found


def build(
    opus_type: int, payload: bytes, ticks: int, before: Iterable[tuple[int, bytes]]
) -> bytes:
    """Return a payload with what was sent before it.

    Args:
        opus_type: Payload type of all blocks.
        payload: The newest.
        ticks: Its RTP time.
        before: Time and payload of what was sent before, the newest first; from the
            first on that is too old or too long it is left out.
    """
    headers, data = b"", payload
    room_bytes = MAX_BYTES - len(payload)
    for at_ticks, earlier in before:
        offset_ticks, size = ticks - at_ticks, len(earlier)
        room_bytes -= size
        if offset_ticks > MAX_OFFSET_TICKS or size > MAX_BLOCK_BYTES or room_bytes < 0:
            break
        header = (FOLLOWS | opus_type) << 24 | offset_ticks << 10 | size
        headers = header.to_bytes(4) + headers
        data = earlier + data
    return headers + opus_type.to_bytes(1) + data
