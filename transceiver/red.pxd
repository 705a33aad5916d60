# cython: cdivision=True
"""What compiled modules need of RED: `red`'s reading and building, in fixed memory.

What was sent is kept in a ring of as many payloads as each packet repeats.
"""

from cpython.bytes cimport (
    PyBytes_AS_STRING,
    PyBytes_FromStringAndSize,
    PyBytes_GET_SIZE,
)
from libc.stdint cimport int64_t, uint8_t, uint32_t
from libc.string cimport memcpy, memmove

from transceiver.rtp cimport HEADER_BYTES, write_u32

cdef enum:
    FOLLOWS = 0x80
    MAX_BYTES = 1024
    MAX_REPEATS = 9
    MAX_PAYLOAD_BYTES = 1275


cdef struct Sent:
    int64_t ticks
    int size
    uint8_t payload[MAX_PAYLOAD_BYTES]


cdef struct Before:
    int repeats
    int count
    int next
    Sent ring[MAX_REPEATS]


cdef inline int newest_block(const uint8_t *packet, int size, int opus_type) noexcept:
    """Return where the newest Opus payload of a RED packet begins; 0: it has none."""
    cdef int at = HEADER_BYTES, repeated = 0
    while at < size and packet[at] & FOLLOWS:
        if at + 4 >= size or at + 4 > HEADER_BYTES + 4 * MAX_REPEATS:
            return 0
        repeated += (packet[at + 2] & 0b11) << 8 | packet[at + 3]
        at += 4
    if at >= size or packet[at] != opus_type:
        return 0
    return at + 1 + repeated


cdef inline void forget(Before *before, int repeats) noexcept:
    """Have nothing to repeat, and room for so many payloads."""
    before.repeats = repeats
    before.count = before.next = 0


cdef inline void remember(
    Before *before, int64_t ticks, const uint8_t *payload, int size
) noexcept:
    """Keep a payload to repeat, instead of the oldest if there is no room."""
    cdef Sent *sent = &before.ring[before.next]
    sent.ticks, sent.size = ticks, size
    memcpy(sent.payload, payload, size)
    before.next = (before.next + 1) % before.repeats
    if before.count < before.repeats:
        before.count += 1


cdef inline Sent *earlier(Before *before, int age) noexcept:
    """Return what was sent so many packets before the last one; 0: that one."""
    return &before.ring[(before.next + before.repeats - 1 - age) % before.repeats]


cdef inline int take_over(Before *before, kept) except -1:
    """Remember what a packetizer keeps: times and payloads, the newest first."""
    cdef bytes payload
    forget(before, kept.maxlen)
    for ticks, payload in reversed(kept):
        remember(
            before,
            ticks,
            <const uint8_t *>PyBytes_AS_STRING(payload),
            <int>PyBytes_GET_SIZE(payload),
        )
    return 0


cdef inline int give_back(Before *before, kept) except -1:
    """Have a packetizer keep what is remembered."""
    cdef int age
    cdef Sent *sent
    kept.clear()
    for age in range(before.count):
        sent = earlier(before, age)
        payload = PyBytes_FromStringAndSize(<char *>sent.payload, sent.size)
        kept.append((sent.ticks, payload))
    return 0


cdef inline int build(
    uint8_t *data, int size, int opus_type, int64_t ticks, Before *before
) noexcept:
    """Put what was sent before a payload in front of it; return how long that is.

    None of it is too old, as the ring holds less time than an offset can tell; and what
    is too long for its length to be told is so together with the payload, too.
    """
    cdef int repeats = 0, repeated = 0, age
    cdef uint8_t *block
    cdef Sent *sent
    while repeats < before.count:
        sent = earlier(before, repeats)
        if size + repeated + sent.size > MAX_BYTES:
            break
        repeated += sent.size
        repeats += 1
    block = data + 4 * repeats + 1
    memmove(block + repeated, data, size)
    for age in range(repeats - 1, -1, -1):
        sent = earlier(before, age)
        write_u32(
            data,
            <uint32_t>(FOLLOWS | opus_type) << 24
            | <uint32_t>(ticks - sent.ticks) << 10
            | <uint32_t>sent.size,
        )
        memcpy(block, sent.payload, sent.size)
        data += 4
        block += sent.size
    data[0] = opus_type
    return 4 * repeats + 1 + repeated + size
