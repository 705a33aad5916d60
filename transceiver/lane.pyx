# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""HOT PATH, compiled: what is usual of a leg's media, past all that is not.

    UpLane      datagram ► SRTP ► in order? ► decode ► UpFrame
    DownLane    DownFrame ► due? ► encode ► SRTP ► datagram

Nothing is decided here that `media` and the modules below it do not decide in the same
way: they are the reference, do everything unusual, and everything where this module was
not compiled. A lane takes their state over (`enter`) when all is as usual: packets in
order of one stream of voice, with pauses but no loss; frames of one talkspurt as PCM. It
gives the state back (`leave`) before anything else looks at it. What it finds to be
unusual it hands back as it came, having changed nothing but SRTP's own record of what
was opened.

With those of the link (`proto.lane`) a packet pair costs a fifth less CPU: one function
and one object for each way stay in the processor's caches where fifty do not.
"""

from cpython.bytes cimport (
    PyBytes_AS_STRING,
    PyBytes_FromStringAndSize,
    PyBytes_GET_SIZE,
)
from libc.math cimport INFINITY, fabs
from libc.stdint cimport int32_t, int64_t, uint8_t, uint16_t, uint32_t, uintptr_t
from libc.string cimport memcpy

from codec import opus
from proto import frames
from proto.frames import DownFrame, UpFrame
from transceiver import playout as _playout, red, rtp, srtp, voice as _voice
from transceiver.red cimport (
    FOLLOWS,
    MAX_BYTES,
    MAX_PAYLOAD_BYTES,
    MAX_REPEATS,
    Before,
    build,
    forget,
    give_back,
    newest_block,
    remember,
    take_over,
)
from transceiver.rtp cimport HEADER_BYTES, read_u16, read_u32, write_u16, write_u32

ctypedef int (*srtp_function)(void *, void *, int *) noexcept
ctypedef int (*decode_function)(
    void *, const uint8_t *, int32_t, char *, int, int
) noexcept
ctypedef int32_t (*encode_function)(
    void *, const char *, int, uint8_t *, int32_t
) noexcept

cdef srtp_function unprotect = <srtp_function><uintptr_t>srtp.UNPROTECT_ADDRESS
cdef srtp_function protect = <srtp_function><uintptr_t>srtp.PROTECT_ADDRESS
cdef decode_function decode = <decode_function><uintptr_t>opus.DECODE_ADDRESS
cdef encode_function encode = <encode_function><uintptr_t>opus.ENCODE_ADDRESS

cdef enum:
    DATAGRAM_BYTES = 1500
    TRAILER_BYTES = 148
    FRAME = 480
    FRAME_BYTES = 960
    PACKET = 2880
    RATE_HZ = 24000
    CLOCK_HZ = 48000
    TICKS = 2
    QUEUE = 100
    UNTIMED = -1

assert (
    HEADER_BYTES == rtp.HEADER_BYTES
    and DATAGRAM_BYTES == srtp.MAX_DATAGRAM_BYTES
    and TRAILER_BYTES == srtp.MAX_TRAILER_BYTES
    and FRAME == frames.FRAME_SAMPLES
    and FRAME_BYTES == frames.FRAME_BYTES
    and MAX_PAYLOAD_BYTES == opus.MAX_PAYLOAD_BYTES
    and PACKET == opus.MAX_PACKET_SAMPLES
    and RATE_HZ == frames.SAMPLE_RATE_HZ
    and CLOCK_HZ == rtp.CLOCK_HZ
    and TICKS == rtp.TICKS_PER_SAMPLE
    and QUEUE == _playout.MAX_WAITING_FRAMES
    and FOLLOWS == red.FOLLOWS
    and MAX_BYTES == red.MAX_BYTES <= red.MAX_BLOCK_BYTES + 1
    and MAX_REPEATS == red.MAX_REPEATS
    and MAX_REPEATS * FRAME * TICKS <= red.MAX_OFFSET_TICKS
)

cdef double PACE = _voice.MAX_PACE
cdef double BURST = _voice.MAX_BURST_SAMPLES
cdef int64_t MAX_JUMP = _voice.MAX_JUMP_SAMPLES
cdef int64_t MAX_MADE_UP = _voice.MAX_MADE_UP_SAMPLES
cdef double MAX_LEAD_MS = _playout.MAX_LEAD_MS
cdef double EARLY_S = _playout.EARLY_S
cdef int64_t MAX_POSITION = _playout.MAX_POSITION_SAMPLES
cdef int64_t MAX_TICKS = 1 << 52  # far from an overflow, and exact in a double

# One thread works on one datagram after the other: buffers of each call's own would be
# cold whenever its turn came.
cdef uint8_t buffer[DATAGRAM_BYTES + TRAILER_BYTES]
cdef char pcm[PACKET * 2]
cdef int samples_of[256]

for _head, _samples in enumerate(opus.SAMPLES):
    samples_of[_head] = _samples

cdef object new_tuple = frames.new_tuple


cdef class UpLane:
    """The way up of a leg, while its packets come one after the other.

    Args:
        receiver: Its SRTP (`srtp.SrtpReceiver`).
        depacketizer: Its order and decoder (`depacketizer.Depacketizer`).
        down: Knows what was heard.
    """

    cdef readonly bint is_on
    cdef void *srtp
    cdef void *decoder
    cdef object receiver, depacketizer, voice, window, uplink, stream, stopwatch
    cdef DownLane down
    cdef int opus_type, red_type
    cdef uint32_t ssrc, timestamp
    cdef int64_t next, highest, received, ticks, end_samples, packet_samples
    cdef int64_t timed, untimed
    cdef double received_at, placed_at, transit, jitter, left_samples, counted_at
    cdef readonly int64_t taken
    """Packets it has handed on, which the depacketizer does not know of yet."""

    def __init__(self, receiver, depacketizer, DownLane down not None):
        self.receiver, self.depacketizer, self.down = receiver, depacketizer, down
        self.voice, self.window = depacketizer._voice, depacketizer.window
        self.uplink, red_type = depacketizer._uplink, depacketizer._red_type
        self.opus_type = depacketizer._opus_type
        self.red_type = -1 if red_type is None else red_type
        self.srtp = <void *><uintptr_t>srtp.address(receiver)

    def enter(self):
        """Take over, if all is as usual, after a packet."""
        stream, stopwatch = self.depacketizer._stream, self.depacketizer.timed
        if stream is None:
            return
        voice, window, reception = self.voice, self.window, stream.reception
        places, allowance = voice._places, voice._allowance
        highest = stream.extender.highest
        if (
            window._waiting
            or window._next != highest + 1
            or reception._highest != highest
            or voice._lost
            or places._timestamp is None
            or places._arrived_at is None
        ):
            return
        self.stream, self.stopwatch = stream, stopwatch
        self.decoder = <void *><uintptr_t>opus.address(voice._voice._decoder)
        self.ssrc = reception.ssrc
        self.next, self.highest = highest + 1, highest
        self.received = reception._received
        self.transit, self.jitter = reception._transit, reception._jitter
        self.timestamp, self.ticks = places._timestamp, places._ticks
        self.placed_at, self.received_at = places._arrived_at, stream.received_at
        self.end_samples = voice._end_samples
        self.packet_samples = voice._voice.packet_samples
        self.left_samples = allowance._left_samples
        self.counted_at = allowance._counted_at
        self.timed = UNTIMED if stopwatch.key is None else stopwatch.key
        self.untimed = stopwatch._left if stopwatch._observe is not None else 1 << 62
        self.is_on = True

    def leave(self):
        """Give everything back."""
        if not self.is_on:
            return
        self.is_on = False
        if not self.taken:  # and what was no voice is no packet that was placed
            return
        stream, voice, depacketizer = self.stream, self.voice, self.depacketizer
        reception, places = stream.reception, voice._places
        depacketizer._received += self.taken
        depacketizer._frames += self.taken
        self.taken = 0
        stream.extender.highest = reception._highest = self.highest
        stream.received_at = places._arrived_at = self.received_at
        reception._received = self.received
        reception._transit, reception._jitter = self.transit, self.jitter
        self.window._next = self.next
        places._timestamp, places._ticks = self.timestamp, self.ticks
        voice._end_samples = voice._voice.end_samples = self.end_samples
        voice._voice.packet_samples = self.packet_samples
        voice._allowance._left_samples = self.left_samples
        voice._allowance._counted_at = self.counted_at
        if self.stopwatch._observe is not None:
            self.stopwatch._left = self.untimed

    def take(self, bytes datagram not None, double now):
        """Take an SRTP datagram.

        Returns:
            True: its voice was handed on, or it was counted as not authentic and new.
            Bytes: the packet, opened, but nothing else was done. None: nothing was.
        """
        cdef const uint8_t *sealed = <const uint8_t *>PyBytes_AS_STRING(datagram)
        cdef int size = <int>PyBytes_GET_SIZE(datagram), status
        if (
            not self.is_on
            or size < HEADER_BYTES
            or size > DATAGRAM_BYTES
            or 192 <= sealed[1] < 224
            or read_u32(sealed + 8) != self.ssrc
        ):
            return None
        memcpy(buffer, sealed, size)
        status = unprotect(self.srtp, buffer, &size)
        if status != 0:
            self.receiver._count(status)
            return True
        if not self.pass_on(size, now):
            return PyBytes_FromStringAndSize(<char *>buffer, size)
        return True

    cdef bint pass_on(self, int size, double now) except -1:
        """Decode the packet in the buffer and hand its voice on, if it is as usual."""
        cdef int kind = buffer[1] & 0x7F, at = HEADER_BYTES, samples
        cdef uint32_t timestamp = read_u32(buffer + 4)
        cdef int64_t ticks, position, silent
        cdef double transit, left = self.left_samples
        cdef bint is_timed = self.untimed == 1
        if kind == self.red_type:
            at = newest_block(buffer, size, self.opus_type)
        elif kind != self.opus_type:
            return False
        if buffer[0] != 0x80 or at == 0 or at >= size:
            return False
        ticks = self.ticks + <int32_t>(timestamp - self.timestamp)
        position = ticks // TICKS
        silent = position - self.end_samples
        samples = samples_of[buffer[at]]
        if (
            read_u16(buffer + 2) != <uint16_t>self.next
            or timestamp == self.timed
            or silent < 0
            or samples == 0
            or samples > FRAME
        ):
            return False
        if silent and silent > MAX_JUMP + <int64_t>((now - self.placed_at) * RATE_HZ):
            return False
        if now > self.counted_at:
            left += (now - self.counted_at) * (PACE * RATE_HZ)
            if left > BURST:
                left = BURST
        left -= silent if silent < MAX_MADE_UP else MAX_MADE_UP
        if left < samples:
            return False
        if is_timed:
            begin(self.stopwatch, timestamp, 0)
        if decode(self.decoder, buffer + at, size - at, pcm, PACKET, 0) != samples:
            if is_timed:
                self.stopwatch._left = 1  # who is handed it begins anew
            return False
        if is_timed:
            self.timed, self.untimed = UNTIMED, self.stopwatch._left
        else:
            self.untimed -= 1
        self.left_samples = left - samples
        if now > self.counted_at:
            self.counted_at = now
        self.highest = self.next
        self.next += 1
        self.received += 1
        self.taken += 1
        self.received_at = self.placed_at = now
        transit = now * CLOCK_HZ - timestamp
        self.jitter += (distance(transit - self.transit) - self.jitter) / 16
        self.transit = transit
        self.timestamp, self.ticks = timestamp, ticks
        self.end_samples = position + samples
        self.packet_samples = samples
        if self.down.is_on:
            talkspurt, heard = self.down.number, self.down.heard_at(now)
        else:
            talkspurt, heard = self.down.playout.heard(now)
        voice = PyBytes_FromStringAndSize(pcm, samples * 2)
        self.uplink(new_tuple(UpFrame, (position, talkspurt, heard, voice)))
        if is_timed:
            self.stopwatch.end()
        return True


cdef inline int begin(stopwatch, int64_t key, allowed_ms) except -1:
    """Time what comes in now, whose turn it is."""
    stopwatch._left = 1
    stopwatch.begin(key, allowed_ms)
    return 0


cdef inline double distance(double ticks) noexcept:
    """Return how far apart two transit times are, over the wrap of a timestamp."""
    ticks = fabs(ticks)
    if ticks >= 2147483648.0:
        ticks = fabs(<double><int32_t><uint32_t><int64_t>ticks)
    return ticks


cdef inline bint is_full(frame) except -1:
    """Tell whether a frame is as long as what the encoder will read of it."""
    return type(frame) is DownFrame and len(<bytes?>(<tuple>frame)[3]) == FRAME_BYTES


cdef class DownLane:
    """The way down of a leg, in the midst of a talkspurt.

    Args:
        playout: When frames are due (`playout.Playout`).
        packetizer: Its encoder and numbers (`packetizer.Packetizer`).
        sender: Its SRTP (`srtp.SrtpSender`).
        send: Puts a datagram on the wire.
        alarm: Rings for what is due (`timer.Alarm`).
    """

    cdef readonly bint is_on
    cdef void *srtp
    cdef void *encoder
    cdef object playout, packetizer, sender, send, talkspurt, stopwatch, alarm
    cdef list waiting
    cdef int64_t positions[QUEUE]
    cdef int first
    cdef readonly int count
    """Frames that wait."""
    cdef uint32_t ssrc, timestamp
    cdef uint16_t sequence
    cdef uint8_t opus_type, red_type
    cdef int64_t number, received_samples, packets, repeating, octets, offset
    cdef int64_t end_ticks, sent_ticks
    cdef int64_t timed, untimed
    cdef double base_s, floor_s, end_s, sent_at, under_way_s
    cdef int64_t head_samples, sent_samples, least
    cdef double since
    cdef Before before

    def __init__(self, playout, packetizer, sender, send, alarm):
        self.playout, self.packetizer, self.alarm = playout, packetizer, alarm
        self.sender, self.send = sender, send
        self.srtp = <void *><uintptr_t>srtp.address(sender)
        self.encoder = <void *><uintptr_t>opus.address(packetizer._encoder)
        self.waiting = [None] * QUEUE

    def enter(self, stopwatch):
        """Take over, if all is as usual, after a frame was played."""
        playout, packetizer = self.playout, self.packetizer
        talkspurt, head, queue = playout._newest, playout._playhead, playout._queue
        number = talkspurt.number
        most_repeats = 0 if packetizer._red_type is None else MAX_REPEATS
        if (
            talkspurt is not playout._playing
            or number <= playout._flushed
            or number != head.talkspurt
            or number != packetizer._talkspurt
            or packetizer._before.maxlen > most_repeats
            or packetizer._end_ticks > MAX_TICKS
            or len(queue) > QUEUE
            or not all(is_full(frame) for _, _, _, frame in queue)
        ):
            return
        self.talkspurt, self.stopwatch, self.number = talkspurt, stopwatch, number
        self.base_s = talkspurt.base_s
        self.received_samples = talkspurt.received_samples
        self.floor_s, self.end_s = playout._floor_s, playout._end_s
        self.under_way_s = playout.under_way_s
        self.head_samples, self.since = head._samples, head._since
        self.sent_samples, self.least = head.sent_samples, head._least
        self.ssrc, self.opus_type = packetizer._ssrc, packetizer._opus_type
        self.red_type = packetizer._red_type or 0  # not sent if there is none
        self.sequence = packetizer._sequence & 0xFFFF
        self.timestamp = packetizer._timestamp & 0xFFFF_FFFF
        self.packets, self.octets = packetizer.packets, packetizer._octets
        self.repeating = packetizer.repeating
        self.offset, self.end_ticks = packetizer._offset, packetizer._end_ticks
        self.sent_ticks, self.sent_at = packetizer._sent_ticks, packetizer.sent_at
        self.timed = UNTIMED if stopwatch.key is None else stopwatch.key
        self.untimed = stopwatch._left if stopwatch._observe is not None else 1 << 62
        take_over(&self.before, packetizer._before)
        self.first = self.count = 0
        for _, position, _, frame in queue:
            self.put(position, frame)
        queue.clear()
        self.is_on = True

    def leave(self):
        """Give everything back."""
        if not self.is_on:
            return
        self.is_on = False
        playout, packetizer, talkspurt = self.playout, self.packetizer, self.talkspurt
        head = playout._playhead
        talkspurt.base_s = self.base_s
        talkspurt.received_samples = self.received_samples
        playout._end_s = self.end_s
        head._samples, head._since = self.head_samples, self.since
        head.sent_samples, head._least = self.sent_samples, self.least
        packetizer.packets, packetizer._octets = self.packets, self.octets
        packetizer.repeating = self.repeating
        packetizer._end_ticks = self.end_ticks
        packetizer._sent_ticks, packetizer.sent_at = self.sent_ticks, self.sent_at
        give_back(&self.before, packetizer._before)
        if self.stopwatch._observe is not None:
            self.stopwatch._left = self.untimed
        while self.count:
            position = self.positions[self.first]
            playout._queue.append((talkspurt, position, FRAME, self.get()))

    def play(self, named_frame, double now):
        """Queue a frame, and send what is due; False: nothing was done."""
        cdef tuple frame
        cdef int64_t number, position
        cdef double lead_ms, base_s, due_s
        if not self.is_on or not is_full(named_frame):
            return False
        frame = <tuple>named_frame
        number, position, lead_ms = frame[0], frame[1], frame[2]
        if (
            number != self.number
            or position < self.received_samples
            or position > MAX_POSITION
            or self.count >= QUEUE
        ):
            return False
        if self.untimed == 1:
            begin(self.stopwatch, position, frame[2])
            self.timed, self.untimed = position, self.stopwatch._left
        else:
            self.untimed -= 1
        if lead_ms > MAX_LEAD_MS:
            lead_ms = MAX_LEAD_MS
        base_s = now + lead_ms / 1000 - position / <double>RATE_HZ
        if base_s < self.base_s:
            self.base_s = base_s
        self.received_samples = position + FRAME
        self.put(position, named_frame)
        self.send_due(now)
        if self.count:
            due_s = self.due_s(self.positions[self.first])
            if due_s < <double>self.alarm.deadline:
                self.alarm.set(due_s)
        return True

    cpdef int send_due(self, double now) except -1:
        """Send the frames that are due."""
        cdef double due_s
        cdef int64_t position
        while self.count:
            position = self.positions[self.first]
            due_s = self.due_s(position)
            if due_s > now + EARLY_S:
                break
            self.end_s = due_s + FRAME / <double>RATE_HZ
            self.note_sent(position, now)
            self.send_frame(position, <bytes?>(<tuple>self.get())[3], now)
        return 0

    @property
    def taken(self):
        """Packets it has made, which the packetizer does not know of yet."""
        return self.packets - self.packetizer.packets if self.is_on else 0

    @property
    def taken_repeating(self):
        """Those of them that repeat others."""
        return self.repeating - self.packetizer.repeating if self.is_on else 0

    def next_due(self):
        """Return when the next frame is to be sent, seconds; infinite: none waits."""
        if not self.is_on:
            return self.playout.next_due()
        return self.due_s(self.positions[self.first]) if self.count else INFINITY

    cdef inline double due_s(self, int64_t position) noexcept:
        cdef double base_s = self.base_s
        if base_s < self.floor_s:
            base_s = self.floor_s
        return base_s + position / <double>RATE_HZ

    cdef inline int put(self, int64_t position, frame) except -1:
        cdef int slot = (self.first + self.count) % QUEUE
        self.positions[slot] = position
        self.waiting[slot] = frame
        self.count += 1
        return 0

    cdef inline object get(self):
        cdef int slot = self.first
        frame, self.waiting[slot] = self.waiting[slot], None
        self.first = (slot + 1) % QUEUE
        self.count -= 1
        return frame

    cdef inline void note_sent(self, int64_t position, double now) noexcept:
        """Move the caller's ear on."""
        if self.sent_samples <= self.head_samples + (now - self.since) * RATE_HZ:
            self.least = self.heard_at(now)
            self.head_samples, self.since = position, now
        self.sent_samples = position + FRAME

    def heard(self, double now):
        """Return the talkspurt last played and how many samples of it were heard."""
        if not self.is_on:
            return self.playout.heard(now)
        return self.number, self.heard_at(now)

    cdef int64_t heard_at(self, double now) noexcept:
        """Return how many samples of the talkspurt have been heard."""
        cdef double elapsed_s = now - self.since - self.under_way_s
        cdef int64_t samples = self.head_samples + <int64_t>(elapsed_s * RATE_HZ)
        if samples >= self.sent_samples:
            return self.sent_samples
        return samples if samples > self.least else self.least

    cdef int send_frame(self, int64_t position, bytes voice, double now) except -1:
        cdef int64_t ticks = position * TICKS + self.offset
        cdef int size = encode(
            self.encoder,
            PyBytes_AS_STRING(voice),
            FRAME,
            buffer + HEADER_BYTES,
            MAX_PAYLOAD_BYTES,
        )
        if size < 0:
            self.packetizer.unencodable += 1
            return 0
        buffer[0], buffer[1] = 0x80, self.opus_type
        if self.before.repeats:
            size = self.with_repeats(size, ticks)
        write_u16(buffer + 2, <uint16_t>(self.sequence + self.packets))
        write_u32(buffer + 4, <uint32_t>(self.timestamp + ticks))
        write_u32(buffer + 8, self.ssrc)
        self.sent_ticks, self.sent_at = ticks, now
        self.end_ticks = ticks + FRAME * TICKS
        self.packets += 1
        self.octets += size
        size += HEADER_BYTES
        if protect(self.srtp, buffer, &size) != 0:
            self.sender.failures += 1
            return 0
        self.send(PyBytes_FromStringAndSize(<char *>buffer, size))
        if position == self.timed:
            self.timed = UNTIMED
            self.stopwatch.end()
        return 0

    cdef int with_repeats(self, int size, int64_t ticks) noexcept:
        """Add what was sent right before to the packet in the buffer."""
        cdef uint8_t *payload = buffer + HEADER_BYTES
        cdef int whole = size
        if ticks != self.end_ticks:
            forget(&self.before, self.before.repeats)
        if self.before.count:
            buffer[1] = self.red_type
            whole = build(payload, size, self.opus_type, ticks, &self.before)
            self.repeating += 1
        remember(&self.before, ticks, payload + whole - size, size)
        return whole
