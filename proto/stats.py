"""Measures of a link: round-trip time, jitter, and what was counted.

Plain figures without a clock of their own. Exporting them is the services' business.
"""

from typing import Final

_INITIAL_RTO_S: Final = 0.3
"""Retransmission timeout before the first measurement: a far region plus some."""

_MIN_RTO_S: Final = 0.05
"""Below this a busy event loop looks like loss."""

_MAX_RTO_S: Final = 2.0
"""Longer than this the link is long since dead."""

_CLOCK_S: Final = 0.001
"""Granularity G of RFC 6298 section 2: what an event-loop timer keeps."""


class Rtt:
    """Smoothed round-trip time (RFC 6298 section 2)."""

    def __init__(self) -> None:
        self.smoothed_s: float | None = None
        self.variation_s = 0.0

    def measured(self, sample_s: float) -> None:
        """Take one sample in seconds."""
        if self.smoothed_s is None:
            self.smoothed_s, self.variation_s = sample_s, sample_s / 2
            return
        deviation_s = abs(self.smoothed_s - sample_s)
        self.variation_s += (deviation_s - self.variation_s) / 4
        self.smoothed_s += (sample_s - self.smoothed_s) / 8

    @property
    def rto_s(self) -> float:
        """Retransmission timeout in seconds."""
        if self.smoothed_s is None:
            return _INITIAL_RTO_S
        rto_s = self.smoothed_s + max(_CLOCK_S, 4 * self.variation_s)
        return min(max(rto_s, _MIN_RTO_S), _MAX_RTO_S)


class Jitter:
    """Interarrival jitter in seconds (RFC 3550 section 6.4.1 and A.8)."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self._transit_s: float | None = None

    def arrived(self, sent_s: float, now: float) -> None:
        """Take the sender's and our own time of one datagram."""
        transit_s = now - sent_s
        if self._transit_s is not None:
            self.seconds += (abs(transit_s - self._transit_s) - self.seconds) / 16
        self._transit_s = transit_s


class FrameCounts:
    """Audio frames of one session, or of all sessions of a link."""

    __slots__ = (
        "asked_again",
        "duplicate",
        "given_up",
        "received",
        "repaired",
        "resent",
        "sent",
    )

    def __init__(self) -> None:
        self.sent = 0
        self.resent = 0
        self.received = 0
        self.repaired = 0
        self.duplicate = 0
        self.asked_again = 0
        self.given_up = 0

    def add(self, other: "FrameCounts") -> None:
        """Add another's figures to these."""
        for name in self.__slots__:
            setattr(self, name, getattr(self, name) + getattr(other, name))

    @property
    def share_given_up(self) -> float:
        """Part of the frames meant for this end that never came, 0 to 1."""
        meant = self.received + self.given_up
        return self.given_up / meant if meant else 0.0

    def fields(self) -> dict[str, int]:
        """Return them for a log line."""
        return {f"link_{name}": getattr(self, name) for name in self.__slots__}


_ADDED: Final = (
    "dials",
    "ups",
    "downs",
    "datagrams_sent",
    "datagrams_unsent",
    "datagrams_received",
    "datagrams_missing",
    "malformed",
    "unauthentic",
    "replayed",
    "fragments_resent",
)


class LinkStats:
    """What one end of a link has seen, or of many links, one after another or at once.

    Attributes:
        dials: Attempts to make a link; counted where there are many.
        ups: Links that came up; likewise.
        downs: Links that had come up and ended, for whatever reason; likewise.
        datagrams_sent: Sealed datagrams handed to the socket.
        datagrams_unsent: Datagrams that the kernel did not take from the socket, those
            of handshakes too; counted by who has the socket.
        datagrams_received: Sealed datagrams that were authentic and new.
        datagrams_missing: Counters skipped by the peer's newest datagram: lost or late.
        malformed: Datagrams or messages outside the specification.
        unauthentic: Datagrams that failed authentication.
        replayed: Authentic datagrams seen before, or too old to tell.
        fragments_resent: Pieces of reliable messages sent again.
        jitter_s: Interarrival jitter of the peer's PINGs, seconds.
        frames: Audio frames of all sessions, ended ones too.
    """

    def __init__(self) -> None:
        self.dials = 0
        self.ups = 0
        self.downs = 0
        self.datagrams_sent = 0
        self.datagrams_unsent = 0
        self.datagrams_received = 0
        self.datagrams_missing = 0
        self.malformed = 0
        self.unauthentic = 0
        self.replayed = 0
        self.fragments_resent = 0
        self.jitter_s = 0.0
        self.frames = FrameCounts()

    def add(self, other: "LinkStats") -> None:
        """Add another link's counts to these; jitter becomes the larger one."""
        self.frames.add(other.frames)
        self.jitter_s = max(self.jitter_s, other.jitter_s)
        for name in _ADDED:
            setattr(self, name, getattr(self, name) + getattr(other, name))
