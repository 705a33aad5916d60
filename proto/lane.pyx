# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""HOT PATH, compiled: the frames of a link, from who sends them to who hears them.

    FrameSender   frame ► History ► FrameSealer ► socket
    FrameSealer   frame ► msgpack ► AES-GCM ► datagram
    FrameOpener   datagram ► replay window ► AES-GCM ► msgpack ► in order? ► sink

`wire`, `seal`, `audio` and `link` are the reference: they have the counters, the keys
and the order, do everything that is not a frame as it usually is, and everything where
this was not compiled.
"""

from cpython cimport PyLong_AsLongLongAndOverflow, array
from cpython.bytes cimport (
    PyBytes_AS_STRING,
    PyBytes_FromStringAndSize,
    PyBytes_GET_SIZE,
)
from libc.stdint cimport int64_t, uint8_t, uint64_t
from libc.string cimport memcpy

from proto.fields cimport (
    AudioFields,
    HistoryFields,
    LivenessFields,
    OpenerFields,
    OrderFields,
    SealerFields,
    SessionFields,
)

from cryptography.exceptions import InvalidTag

from proto import frames, messages, order as _order, payload as _payload, seal, wire
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
    KEPT = 16
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
    and KEPT == _order.KEPT
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

    cdef SealerFields sealer
    cdef object encrypt
    cdef type frame_type
    cdef int kind, epoch
    cdef uint8_t iv[NONCE_BYTES]
    cdef uint8_t header[HEADER_BYTES]

    def __init__(self, SealerFields sealer not None, kind):
        self.sealer, self.kind = sealer, int(kind)
        self.frame_type = UpFrame if self.kind == UP else DownFrame
        self.follow()

    cdef follow(self):
        """Use the key of the sealer's epoch."""
        sealer = <object>self.sealer
        self.epoch, self.encrypt = sealer._epoch, sealer._encrypt
        memcpy(self.iv, PyBytes_AS_STRING(sealer._iv.to_bytes(NONCE_BYTES, "big")), 12)
        self.header[0], self.header[1] = VERSION, SEALED
        write(self.header + 2, self.epoch, 2)
        write(self.header + 4, sealer._link_id, 4)

    def sender(self, audio, live):
        """Return what sends the frames of a session."""
        return FrameSender(self, audio, live)

    cpdef bytes seal(self, int64_t session, int64_t seq, frame):
        """Return the datagram of a frame."""
        cdef int64_t a, b, c
        cdef bytes voice, header
        cdef uint8_t *at = buffer
        cdef int size
        cdef SealerFields sealer = self.sealer
        if type(frame) is not self.frame_type:
            raise TypeError("a frame of the other direction")
        a, b, c = (<tuple>frame)[0], (<tuple>frame)[1], (<tuple>frame)[2]
        voice = <bytes?>(<tuple>frame)[3]
        size = <int>PyBytes_GET_SIZE(voice)
        if (
            sealer._left == 0
            or size > MAX_PAYLOAD_BYTES
            or (a | b | c | session | seq) < 0
        ):
            encode = wire.encode_up if self.kind == UP else wire.encode_down
            return (<object>sealer).seal(encode(session, seq, frame))
        if sealer._epoch != self.epoch:
            self.follow()
        sealer._left -= 1
        sealer.counter += 1
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
        write(self.header + 8, sealer.counter, 8)
        header = PyBytes_FromStringAndSize(<char *>self.header, HEADER_BYTES)
        plaintext = PyBytes_FromStringAndSize(<char *>buffer, at + size - buffer)
        nonce = nonce_of(self.iv, self.header)
        return header + <bytes?>self.encrypt(nonce, plaintext, header)


cdef inline bint is_below(position, int64_t samples) except -1:
    """Whether a position, of any size, is one of the first so many."""
    cdef int is_beyond = 0
    cdef int64_t value = PyLong_AsLongLongAndOverflow(position, &is_beyond)
    return is_beyond <= 0 and value < samples


cdef class FrameSender:
    """Sends the frames of one session.

    Args:
        sealer: The link's.
        audio: The session's (`audio.Audio`).
        live: The link, and where its peer is (`live.LiveLink`).
    """

    cdef FrameSealer sealer
    cdef AudioFields audio
    cdef HistoryFields history
    cdef object live, now, put
    cdef int64_t session
    cdef int place
    cdef readonly int64_t unsent
    """Frames that were not sent, for the session was not open."""

    def __init__(self, FrameSealer sealer not None, audio, live):
        self.sealer, self.audio, self.live = sealer, audio, live
        self.history, self.session = audio._history, audio._session
        self.now, self.put = live.now, live.send
        self.place = UpFrame._fields.index("position_samples")
        if sealer.kind == DOWN:
            self.place = DownFrame._fields.index("position_samples")

    def send(self, frame):
        """Send a frame; it is counted and dropped when the session is not open."""
        cdef AudioFields audio = self.audio
        cdef HistoryFields history = self.history
        now = self.now()
        if (
            type(frame) is not self.sealer.frame_type
            or not audio.is_open
            or not audio._is_speaking
            or is_below((<tuple>frame)[self.place], audio._head_samples)
        ):
            datagram = (<object>audio).seal_frame(frame, now)
            if datagram is None:
                self.unsent += 1
            else:
                self.live.transmit(datagram)
            return
        history.seq += 1
        history._frames[history.seq % KEPT] = (history.seq, now, frame, 0)
        audio.sent_at = now
        self.put(
            self.sealer.seal(self.session, history.seq, frame), self.live.address
        )


cdef class FrameOpener:
    """Opens what one end receives, and hands the frames in it on.

    Args:
        opener: Has the keys and what was seen (`seal.Opener`).
        kind: Of the frames.
        sessions: Those of the link, by id.
        liveness: Is told that the peer was heard (`liveness.Liveness`).
    """

    cdef OpenerFields opener
    cdef LivenessFields liveness
    cdef object decrypt
    cdef dict sessions
    cdef type frame_type, message_type
    cdef array.array seen
    cdef int kind, epoch
    cdef uint8_t iv[NONCE_BYTES]

    def __init__(
        self,
        OpenerFields opener not None,
        kind,
        dict sessions not None,
        LivenessFields liveness not None,
    ):
        self.opener, self.kind = opener, int(kind)
        self.sessions, self.liveness = sessions, liveness
        self.frame_type, self.message_type = UpFrame, Up
        if self.kind == DOWN:
            self.frame_type, self.message_type = DownFrame, Down
        self.seen = (<object>opener)._seen
        self.follow()

    cdef follow(self):
        """Use the key of the opener's epoch."""
        key = (<object>self.opener)._key
        self.epoch, self.decrypt = self.opener._epoch, key.aead.decrypt
        memcpy(self.iv, PyBytes_AS_STRING(key.iv.to_bytes(NONCE_BYTES, "big")), 12)

    def receive(self, bytes datagram not None, double now):
        """Take a datagram.

        Returns:
            Whether it is newer than all before, if there was a frame in it that has
            been handed on; else what was in it: a message, or the plaintext of one.

        Raises:
            RemoteError: As `seal.Opener.open`.
        """
        cdef const uint8_t *at = <const uint8_t *>PyBytes_AS_STRING(datagram)
        cdef int size = <int>PyBytes_GET_SIZE(datagram)
        cdef uint64_t counter
        cdef uint64_t *slot
        cdef bint is_newest
        cdef OpenerFields opener = self.opener
        if opener._epoch != self.epoch:
            self.follow()
        if size < MIN_DATAGRAM_BYTES or at[0] != VERSION:
            return (<object>opener).open(datagram)
        counter = read(at + 8, 8)
        slot = <uint64_t *>self.seen.data.as_ulonglongs + counter % REPLAY_WINDOW
        if <int>read(at + 2, 2) != self.epoch or slot[0] >= counter:
            return (<object>opener).open(datagram)
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
        is_newest = counter > opener.newest
        if is_newest:
            opener.newest = counter
        return self.hand_on(<bytes?>plaintext, is_newest, now)

    cdef object hand_on(self, bytes plaintext, bint is_newest, double now):
        """Hand the frame on if it is as usual, and return `is_newest`; see `receive`."""
        cdef const uint8_t *at = <const uint8_t *>PyBytes_AS_STRING(plaintext)
        cdef const uint8_t *end = at + PyBytes_GET_SIZE(plaintext)
        cdef int64_t fields[5]
        cdef int i, size
        cdef SessionFields session
        if end - at < 2 or at[0] != FIXARRAY_OF_7 or at[1] != self.kind:
            return plaintext
        at += 2
        for i in range(5):
            size = unpack(at, end, &fields[i])
            if size == 0:
                return plaintext
            at += size
        if end - at >= 2 and at[0] == BIN_8:
            size = at[1]
            at += 2
        elif end - at >= 3 and at[0] == BIN_16:
            size = <int>read(at + 1, 2)
            at += 3
        else:
            return plaintext
        if (
            size != end - at
            or not 0 < size <= MAX_PAYLOAD_BYTES
            or not 0 < fields[0] <= MAX_SESSION
            or fields[1] == 0
            or (self.kind == DOWN and (fields[2] == 0 or fields[4] > MAX_LEAD_MS))
        ):
            return plaintext
        frame = new_tuple(
            self.frame_type,
            (fields[2], fields[3], fields[4], PyBytes_FromStringAndSize(<char *>at, size)),
        )
        session = self.sessions.get(fields[0])
        if session is None or not self.passes(session.audio, fields[1], size):
            return new_tuple(self.message_type, (fields[0], fields[1], frame))
        self.liveness.heard_at = now
        sink = session.audio.sink
        try:
            sink.frame_received(frame)
        except Exception as error:
            sink.failed(error)
        return is_newest

    cdef bint passes(self, AudioFields audio, uint64_t seq, int size) except -1:
        """Tell whether a frame is the next of its session, as `Audio.receive_frame`."""
        cdef OrderFields order = audio._order
        if (
            not audio.is_open
            or size > audio._max_bytes
            or size % audio._grain_bytes
            or order.next_seq != seq
            or order._gaps
        ):
            return False
        order.next_seq, order._newest = seq + 1, seq
        return True
