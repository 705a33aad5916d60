"""One call: owns its leg (the WebRTC peer and its media) and its session on the link.

Events and audio pass through; nothing is decided here but when the call is over.

    answering ──answer()──► setting up ──DTLS up──► talking ──► ended
                                └──── 30 s, failure ────────────┘
A relay that refuses, or is lost before it has said anything, is replaced by another,
which is told what the client has said meanwhile: the caller does not notice.
Audio: port ► media ► session.send_up, and session ► media ► port; no task between.
Events: data channel ► session.send_event, and session ► data channel.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, Final, NamedTuple

from proto.errors import Backlogged, CloseCode, LinkError, LocalError, NotConnected
from proto.frames import FRAME_MS, DownFrame, UpFrame
from proto.request import SessionRequest
from proto.stats import FrameCounts
from proto.udp import Dialer, LinkSession
from transceiver.media import Coding, Media, MediaKeys
from transceiver.opening import Opening
from transceiver.profile import Profile
from transceiver.sight import ANSWER, DTLS, ICE, MEDIA, SESSION, Sight
from transceiver.timer import SharedTimer
from transceiver.uplink import NoRelay, relay_lost
from transceiver.usage import Held, Usage
from transceiver.webrtc.certificate import Certificate
from transceiver.webrtc.ice import UdpPort
from transceiver.webrtc.offer import max_event_bytes
from transceiver.webrtc.peer import Peer, PeerCallbacks, UnreadEvents

log = logging.getLogger(__name__)

FRAME_S = FRAME_MS / 1000

SETUP_S = 30.0
"""Seconds that ICE and DTLS may take before the call is freed; also, in all, for the
data channel to open when the relay has left meanwhile and said why."""

LAST_WORDS_S = 0.5
"""Seconds from the relay's leaving to our hanging up: what it said last, such as why,
is still on its way to the client."""

MAX_WAITING_EVENTS = 512
"""Events kept until the data channel opens; one more ends the call."""


MAX_EARLY_BYTES = 256 * 1024
"""Of the client's events that are kept for another relay; a client that says more
before its relay has said anything stays with that one."""

REFUSED: Final = frozenset(
    {CloseCode.DRAINING, CloseCode.LINK_LOST, CloseCode.REFUSED_CAPACITY}
)
"""How a session ends that another relay may take."""

Elsewhere = Callable[[Sequence[Dialer], CloseCode], Dialer]
"""Given the relays that were tried, and why the last one does not take the call,
returns the next; raises NoRelay."""


def nowhere(_: Sequence[Dialer], __: CloseCode) -> Dialer:
    """Know no other relay.

    Raises:
        NoRelay: Always.
    """
    raise NoRelay("there is no other relay")


class CallRequest(NamedTuple):
    """What a caller asked for over HTTP.

    Attributes:
        offer: SDP.
        tenant: Whose key was presented.
        opening: What the session starts with.
        speaks_beta: The client sent `OpenAI-Beta: realtime=v1`.
        traceparent: The client sent this one (W3C Trace Context).
    """

    offer: str
    tenant: str
    opening: Opening = Opening(None, None)
    speaks_beta: bool = False
    traceparent: str | None = None


class Ending(NamedTuple):
    """Why a call ended."""

    code: CloseCode
    reason: str


class Call:
    """A caller's conversation, as the edge sees it."""

    def __init__(
        self,
        call_id: str,
        port: UdpPort,
        timer: SharedTimer,
        elsewhere: Elsewhere = nowhere,
        profile: Profile = Profile.AUTO,
        certificate: Certificate | None = None,
    ) -> None:
        self.id = call_id
        self.media: Media | None = None
        self._loop = asyncio.get_running_loop()
        self._timer = timer
        self._peer = Peer(
            port,
            PeerCallbacks(
                connected=self._connected,
                channel_open=self._channel_open,
                event_received=self._client_event_received,
                closed=self._peer_closed,
                found=self._found,
            ),
            certificate,
        )
        self._session: LinkSession | None = None
        self._elsewhere = elsewhere
        self._profile = profile
        self._tried: list[Dialer] = []
        self._wanted = b""
        self._early: list[bytes] | None = []
        self._keys: MediaKeys | None = None
        self._waiting_events: deque[bytes] | None = deque()
        self._talking: asyncio.Future[None] = self._loop.create_future()
        self._channel_opened: asyncio.Future[None] = self._loop.create_future()
        self._caller_left: asyncio.Future[None] = self._loop.create_future()
        self._ended: asyncio.Future[Ending] = self._loop.create_future()
        self._stopped: asyncio.Future[None] = self._loop.create_future()
        self._relay_left = False
        self._told_of_dropped = False
        self._is_eased = False
        self._sight = Sight()
        self._began_at = self._loop.time()
        self.tenant = ""

    def watched_by(self, sight: Sight) -> None:
        """Have delays measured."""
        self._sight = sight

    def usage(self) -> Usage:
        """Return what it has used so far."""
        counts = self.counts()
        return Usage(
            calls=1,
            seconds=self._loop.time() - self._began_at,
            up_s=counts.get("frames_up", 0) * FRAME_S,
            down_s=counts.get("sent_packets", 0) * FRAME_S,
        )

    def counts(self) -> dict[str, int]:
        """Return what became of its packets and frames, by kind."""
        return self.media.counts() if self.media is not None else {}

    def held(self) -> Held:
        """Return what it holds now."""
        events, media = len(self._waiting_events or ()), self.media
        if media is None:
            return Held(events, 0, None)
        return Held(events, media.waiting_frames, media.complexity)

    @property
    def frame_counts(self) -> FrameCounts | None:
        """What became of its audio frames on the link; None: it never had a session."""
        return self._session.frame_counts if self._session is not None else None

    async def answer(self, request: CallRequest, relay: Dialer) -> str:
        """Answer the offer, and open the session while ICE and DTLS get under way.

        Raises:
            OfferError: The offer cannot be answered.
            NoRelay: The relay has just been lost, and no other takes the call.
            LocalError: The session object is larger than the link carries.
        """
        answer = await self._peer.answer(request.offer)
        if not self._peer.has_channel:
            self._waiting_events = None
        wanted = SessionRequest(
            call_id=self.id,
            tenant=request.tenant,
            session=request.opening.session,
            bound=request.opening.bound,
            speaks_beta=request.speaks_beta,
            max_event_bytes=max_event_bytes(request.offer),
            traceparent=self._sight.trace.span.traceparent,
        )
        self.tenant = request.tenant
        self._wanted = wanted.encode()
        self._session = self._asked(relay)
        self._sight.reached(ANSWER)
        self._sight.trace.begin(ICE)
        return answer

    def _asked(self, relay: Dialer) -> LinkSession:
        """Ask a relay for the session, or the next if its link has just been lost."""
        while True:
            self._tried.append(relay)
            self._sight.trace.begin(SESSION)
            try:
                return relay.open_session(self._wanted, self)
            except NotConnected:
                relay = self._elsewhere(self._tried, CloseCode.LINK_LOST)

    async def run(self) -> Ending:
        """Hold the call until it ends, then free all that it held."""
        ending = Ending(CloseCode.INTERNAL, "internal error")
        set_up_by = self._loop.time() + SETUP_S
        try:
            await self._first_of(SETUP_S, self._talking, self._ended)
            if not self._talking.done():
                self.end(CloseCode.TIMEOUT, "ICE or DTLS did not complete")
            ending = await self._ended
            if self._relay_left:
                await self._deliver_last_words(set_up_by)
        finally:
            await self.release(ending)
        return ending

    async def _deliver_last_words(self, set_up_by: float) -> None:
        nobody_waits = self._caller_left, self._stopped
        if self._waiting_events:
            left_s = max(0.0, set_up_by - self._loop.time())
            await self._first_of(left_s, self._channel_opened, *nobody_waits)
            if not self._channel_opened.done():
                return
        await self._first_of(LAST_WORDS_S, *nobody_waits)

    async def _first_of(self, timeout_s: float, *futures: asyncio.Future[Any]) -> None:
        await asyncio.wait(
            futures, timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED
        )

    def end(self, code: CloseCode, reason: str) -> None:
        """Have the call ended; the first reason given is the one that counts."""
        if not self._ended.done():
            self._ended.set_result(Ending(code, reason))

    def ease(self, *, eased: bool) -> None:
        """Have its voice encoded at the least CPU, or as planned again."""
        self._is_eased = eased
        if self.media is not None:
            self.media.ease(eased=eased)

    def stop(self, code: CloseCode, reason: str) -> None:
        """End the call at once: what it was waiting for is not waited for."""
        if not self._stopped.done():
            self._stopped.set_result(None)
        self.end(code, reason)

    async def release(self, ending: Ending) -> None:
        """Free the leg and the session; the caller's side sees the close at once."""
        self._waiting_events = None
        if self.media is not None:
            self.media.close()
        if self._session is not None:
            self._session.close(ending.code, ending.reason)
        await self._peer.close()

    # What the peer says.

    def _found(self) -> None:
        self._sight.trace.end(ICE)
        self._sight.trace.begin(DTLS)

    def _connected(self, keys: MediaKeys) -> None:
        if self._peer.leg is None or self._session is None or self._ended.done():
            return
        self._keys = keys
        self._sight.trace.end(DTLS)
        self._begin_media()
        self._talking.set_result(None)

    def _begin_media(self) -> None:
        """Let audio flow, once both ends can: what it is carried as is known then."""
        leg, session, keys = self._peer.leg, self._session, self._keys
        if leg is None or session is None or keys is None or not session.is_open:
            return
        coding = Coding(session.payload, self._profile)
        self.media = Media(keys, leg.send, session.send_up, self._timer, coding=coding)
        self.media.ease(eased=self._is_eased)
        self.media.watched_by(self._sight)
        self._sight.reached(MEDIA)
        leg.hear(self.media.datagram_received)
        session.hear(self.media.frame_received)

    def _channel_open(self) -> None:
        self._channel_opened.set_result(None)
        waiting, self._waiting_events = self._waiting_events, None
        for payload in waiting or ():
            self._send_to_client(payload)

    def _client_event_received(self, text: str) -> None:
        if self._session is None:
            return
        try:
            self._say(self._session, text.encode())
        except Backlogged:
            self.end(CloseCode.PROTOCOL, "events came faster than they could be taken")
        except NotConnected:
            self.end(CloseCode.LINK_LOST, "the relay is gone")
        except LocalError:
            self.end(CloseCode.PROTOCOL, "an event was longer than the link carries")

    def _say(self, session: LinkSession, payload: bytes) -> None:
        """Tell the relay, and keep what another may have to be told."""
        session.send_event(payload)
        if self._early is not None:
            self._early.append(payload)
            if sum(map(len, self._early)) > MAX_EARLY_BYTES:
                self._early = None

    def _peer_closed(self, state: str) -> None:
        self._caller_left.set_result(None)
        self.end(CloseCode.NORMAL, f"caller: {state}")

    # What the session says (proto.udp.SessionReceiver).

    def opened(self) -> None:
        """The relay took the session."""
        self._early = None
        self._sight.trace.end(SESSION)
        if not self._ended.done():
            self._begin_media()

    def event_received(self, payload: bytes) -> None:
        """Pass a Realtime event to the client, or keep it until it can be."""
        self._early = None
        waiting = self._waiting_events
        if waiting is None:
            self._send_to_client(payload)
        elif len(waiting) < MAX_WAITING_EVENTS:
            waiting.append(payload)
        else:
            self.end(CloseCode.TIMEOUT, "the data channel was never opened")

    def frame_received(self, frame: UpFrame | DownFrame) -> None:
        """Drop what comes before there is media, which takes it from then on."""

    def frames_lost(self, count: int) -> None:
        """Conceal what the link has given up."""
        if self.media is not None:
            self.media.frames_lost(count, self._loop.time())

    def flush_requested(self, talkspurt: int) -> None:
        """Silence the model now, and say how much of it was heard."""
        heard = (0, 0)
        if self.media is not None:
            heard = self.media.flush(talkspurt, self._loop.time())
        if self._session is not None:
            self._session.flushed(*heard)

    def flush_done(self, talkspurt: int, heard_samples: int) -> None:
        """Only a relay gets this."""

    def closed(self, code: CloseCode, reason: str) -> None:
        """The relay ended the session, and has said why to the client; or is lost."""
        is_silent = code in REFUSED and self._early is not None
        if is_silent and self._is_moved(code):
            return
        self._relay_left = True
        if is_silent or code is CloseCode.LINK_LOST:
            self.event_received(relay_lost())
        self.end(code, reason)

    def _is_moved(self, code: CloseCode) -> bool:
        """Have another relay take the call; False: none does."""
        if self._ended.done():
            return False
        try:
            self._session = session = self._asked(self._elsewhere(self._tried, code))
            for payload in self._early or ():
                session.send_event(payload)
        except LinkError:
            return False
        log.info("another relay asked", extra={"call": self.id, "code": code.name})
        return True

    def _send_to_client(self, payload: bytes) -> None:
        try:
            sent = self._peer.send_event(payload.decode())
        except UnreadEvents:
            self.end(CloseCode.PROTOCOL, "the client does not read its events")
            return
        if not sent and not self._told_of_dropped:  # once: it says how little it takes
            self._told_of_dropped = True
            log.warning(
                "event larger than the client accepts dropped",
                extra={"call": self.id, "bytes": len(payload)},
            )
