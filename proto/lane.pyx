# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""HOT PATH, compiled: the frames of a link, into sealed datagrams and out of them.

    FrameSealer   frame ► msgpack ► AES-GCM ► datagram
    FrameOpener   datagram ► replay window ► AES-GCM ► msgpack ► frame

`wire` and `seal` are the reference: they have the counters and the keys, do everything
that is not a frame as it usually is, and everything where this was not compiled.
"""

from cpython cimport array
from cpython.bytes cimport (
    PyBytes_AS_STRING,
    PyBytes_FromStringAndSize,
    PyBytes_GET_SIZE,
)
from libc.stdint cimport int64_t, uint8_t, uint64_t
from libc.string cimport memcpy

from cryptography.exceptions import InvalidTag

from proto import frames, messages, payload as _payload, seal, wire
from proto.frames import DownFrame, UpFrame
from proto.messages import Down, Kind, Up


cdef enum:
    HEADER_BYTES = 16
    NONCE_BYTES = 12
    MIN_DATAGRAM_BYTES = 32
    MAX_DATAGRAM_BYTES = 1200
    MAX_PAYLOAD_BYTES = 1000
    MAX_FIELDS_BYTES = 64
    REPLAY_WINDOW = 4096
    VERSION = 1
    SEALED = 4
    FIXARRAY_OF_7 = 0x97
    BIN_8 = 0xC4
    BIN_16 = 0xC5
    UINT_8 = 0xCC
    UINT_64 = 0xCF
    FIXINT = 0x80

assert (
    HEADER_BYTES == wire.HEADER_BYTES
    and MIN_DATAGRAM_BYTES == wire.MIN_DATAGRAM_BYTES
    and MAX_DATAGRAM_BYTES == wire.MAX_DATAGRAM_BYTES
    and MAX_PAYLOAD_BYTES == _payload.MAX_PAYLOAD_BYTES
    and REPLAY_WINDOW == seal.REPLAY_WINDOW
    and VERSION == wire.VERSION
    and SEALED == int(wire.DatagramType.SEALED)
)

cdef int64_t MAX_SESSION = messages.MAX_SESSION
cdef int64_t MAX_LEAD_MS = messages.MAX_LEAD_MS
cdef int UP = int(Kind.UP)
cdef int DOWN = int(Kind.DOWN)
cdef object new_tuple = frames.new_tuple

cdef uint8_t buffer[MAX_FIELDS_BYTES + MAX_PAYLOAD_BYTES]


cdef inline void write(uint8_t *at, uint64_t value, int size) noexcept:
    """Write an unsigned integer in network order."""
    cdef int i
    for i in range(size):
        at[i] = value >> 8 * (size - 1 - i) & 0xFF


cdef inline uint64_t read(const uint8_t *at, int size) noexcept:
    """Read an unsigned integer in network order."""
    cdef uint64_t value = 0
    cdef int i
    for i in range(size):
        value = value << 8 | at[i]
    return value


cdef inline int pack(uint8_t *at, uint64_t value) noexcept:
    """Write an integer as msgpack, as short as it can be; return its bytes."""
    cdef int power = 0
    if value < FIXINT:
        at[0] = <uint8_t>value
        return 1
    while power < 3 and value >> (8 << power):
        power += 1
    at[0] = UINT_8 + power
    write(at + 1, value, 1 << power)
    return 1 + (1 << power)


cdef inline int unpack(const uint8_t *at, const uint8_t *end, int64_t *value) noexcept:
    """Read an unsigned integer of msgpack; return its bytes, 0: it is none."""
    cdef int size
    cdef uint64_t read_value
    if at >= end:
        return 0
    if at[0] < FIXINT:
        value[0] = at[0]
        return 1
    if not UINT_8 <= at[0] <= UINT_64:
        return 0
    size = 1 << (at[0] - UINT_8)
    if end - at < 1 + size:
        return 0
    read_value = read(at + 1, size)
    if read_value >> 63:
        return 0
    value[0] = <int64_t>read_value
    return 1 + size


cdef inline bytes nonce_of(const uint8_t *iv, const uint8_t *header):
    """Return the nonce of the counter in a header (PROTOCOL.md 4)."""
    cdef uint8_t nonce[NONCE_BYTES]
    cdef int i
    memcpy(nonce, iv, NONCE_BYTES)
    for i in range(8):
        nonce[4 + i] ^= header[8 + i]
    return PyBytes_FromStringAndSize(<char *>nonce, NONCE_BYTES)


cdef class FrameSealer:
    """Seals the frames of one end.

    Args:
        sealer: Has the keys and the counter (`seal.Sealer`).
        kind: Of the frames.
    """

    cdef object sealer, encrypt
    cdef type frame_type
    cdef int kind
    cdef int64_t epoch
    cdef uint8_t iv[NONCE_BYTES]
    cdef uint8_t header[HEADER_BYTES]

    def __init__(self, sealer, kind):
        self.sealer, self.kind = sealer, int(kind)
        self.frame_type = UpFrame if self.kind == UP else DownFrame
        self.follow()

    cdef follow(self):
        """Use the key of the sealer's epoch."""
        sealer = self.sealer
        self.epoch, self.encrypt = sealer._epoch, sealer._encrypt
        memcpy(self.iv, PyBytes_AS_STRING(sealer._iv.to_bytes(NONCE_BYTES, "big")), 12)
        self.header[0], self.header[1] = VERSION, SEALED
        write(self.header + 2, self.epoch, 2)
        write(self.header + 4, sealer._link_id, 4)

    def seal(self, int64_t session, int64_t seq, frame):
        """Return the datagram of a frame."""
        cdef int64_t a, b, c, left
        cdef uint64_t counter
        cdef bytes voice, header
        cdef uint8_t *at = buffer
        cdef int size
        sealer = self.sealer
        if type(frame) is not self.frame_type:
            raise TypeError("a frame of the other direction")
        a, b, c = (<tuple>frame)[0], (<tuple>frame)[1], (<tuple>frame)[2]
        voice = <bytes?>(<tuple>frame)[3]
        size = <int>PyBytes_GET_SIZE(voice)
        left = sealer._left
        if left == 0 or size > MAX_PAYLOAD_BYTES or (a | b | c | session | seq) < 0:
            encode = wire.encode_up if self.kind == UP else wire.encode_down
            return sealer.seal(encode(session, seq, frame))
        if sealer._epoch != self.epoch:
            self.follow()
        sealer._left = left - 1
        counter = sealer.counter
        counter += 1
        sealer.counter = counter
        at[0], at[1] = FIXARRAY_OF_7, self.kind
        at += 2
        at += pack(at, session)
        at += pack(at, seq)
        at += pack(at, a)
        at += pack(at, b)
        at += pack(at, c)
        if size < 256:
            at[0], at[1] = BIN_8, size
            at += 2
        else:
            at[0] = BIN_16
            write(at + 1, size, 2)
            at += 3
        memcpy(at, PyBytes_AS_STRING(voice), size)
        write(self.header + 8, counter, 8)
        header = PyBytes_FromStringAndSize(<char *>self.header, HEADER_BYTES)
        plaintext = PyBytes_FromStringAndSize(<char *>buffer, at + size - buffer)
        nonce = nonce_of(self.iv, self.header)
        return header + <bytes?>self.encrypt(nonce, plaintext, header)


cdef class FrameOpener:
    """Opens what one end receives, and takes the frames out of it.

    Args:
        opener: Has the keys and what was seen (`seal.Opener`).
        kind: Of the frames.
    """

    cdef object opener, decrypt
    cdef array.array seen
    cdef int kind
    cdef int64_t epoch
    cdef uint8_t iv[NONCE_BYTES]

    def __init__(self, opener, kind):
        self.opener, self.kind = opener, int(kind)
        self.seen = opener._seen
        self.follow()

    cdef follow(self):
        """Use the key of the opener's epoch."""
        key = self.opener._key
        self.epoch, self.decrypt = self.opener._epoch, key.aead.decrypt
        memcpy(self.iv, PyBytes_AS_STRING(key.iv.to_bytes(NONCE_BYTES, "big")), 12)

    def open(self, bytes datagram not None):
        """Return the frame in a datagram as its message, or else its plaintext.

        Raises:
            RemoteError: As `seal.Opener.open`.
        """
        cdef const uint8_t *at = <const uint8_t *>PyBytes_AS_STRING(datagram)
        cdef int size = <int>PyBytes_GET_SIZE(datagram)
        cdef uint64_t counter
        cdef uint64_t *slot
        opener = self.opener
        if opener._epoch != self.epoch:
            self.follow()
        if size < MIN_DATAGRAM_BYTES or at[0] != VERSION:
            return opener.open(datagram)
        counter = read(at + 8, 8)
        slot = <uint64_t *>self.seen.data.as_ulonglongs + counter % REPLAY_WINDOW
        if <int64_t>read(at + 2, 2) != self.epoch or slot[0] >= counter:
            return opener.open(datagram)
        try:
            plaintext = self.decrypt(
                nonce_of(self.iv, at),
                PyBytes_FromStringAndSize(
                    <char *>at + HEADER_BYTES, size - HEADER_BYTES
                ),
                PyBytes_FromStringAndSize(<char *>at, HEADER_BYTES),
            )
        except InvalidTag:
            raise seal.Unauthentic from None
        slot[0] = counter
        opener.opened += 1
        if counter > <uint64_t>opener.newest:
            opener.newest = counter
        message = self.message_in(<bytes?>plaintext)
        return plaintext if message is None else message

    cdef object message_in(self, bytes plaintext):
        """Return the message of a frame; None: it is another, or none."""
        cdef const uint8_t *at = <const uint8_t *>PyBytes_AS_STRING(plaintext)
        cdef const uint8_t *end = at + PyBytes_GET_SIZE(plaintext)
        cdef int64_t fields[5]
        cdef int i, size
        if end - at < 2 or at[0] != FIXARRAY_OF_7 or at[1] != self.kind:
            return None
        at += 2
        for i in range(5):
            size = unpack(at, end, &fields[i])
            if size == 0:
                return None
            at += size
        if end - at >= 2 and at[0] == BIN_8:
            size = at[1]
            at += 2
        elif end - at >= 3 and at[0] == BIN_16:
            size = <int>read(at + 1, 2)
            at += 3
        else:
            return None
        if (
            size != end - at
            or not 0 < size <= MAX_PAYLOAD_BYTES
            or not 0 < fields[0] <= MAX_SESSION
            or fields[1] == 0
        ):
            return None
        voice = PyBytes_FromStringAndSize(<char *>at, size)
        frame = (fields[2], fields[3], fields[4], voice)
        if self.kind == UP:
            return new_tuple(Up, (fields[0], fields[1], new_tuple(UpFrame, frame)))
        if fields[2] == 0 or fields[4] > MAX_LEAD_MS:
            return None
        return new_tuple(Down, (fields[0], fields[1], new_tuple(DownFrame, frame)))
