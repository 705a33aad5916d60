"""Every way there is to leave: from a proper good-bye to none, at each stage of a call.

    offer ──► answer ──► ICE ──► DTLS ──► audio and events
Each is a coroutine that places one call, leaves it, and frees what the caller held.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Final, NamedTuple

import aiohttp
from yarl import URL

from bench.churn.leaver import Leaver
from bench.load.dial import DialError
from bench.load.line import Keys
from transceiver.webrtc.certificate import Certificate

TALK_FRAMES = 15
"""How long a call lasts that got as far as audio: 0.3 s."""

SILENT_S = 3.0
"""How long one lasts whose caller never says a word."""

STAGE_S = 15.0
"""How long each stage may take."""


class Failed(Exception):  # noqa: N818  # reads as what happened
    """The call went otherwise than it should have."""


class Edge(NamedTuple):
    """Where calls are placed.

    Attributes:
        offer: SDP of a caller who is not there, for those who only ask.
        certificate: Shown by all callers, so that each costs less.
        speech: What they say: Opus, 20 ms each.
    """

    http: aiohttp.ClientSession
    url: str
    offer: str
    certificate: Certificate
    speech: list[bytes]


async def hang_up(edge: Edge) -> None:
    """Say good-bye by DTLS."""
    async with _talking(edge):
        pass


async def close_channel(edge: Edge) -> None:
    """Close the data channel: the edge ends the call."""
    async with _talking(edge) as (caller, _):
        async with asyncio.timeout(STAGE_S):
            await caller.channel_open.wait()
            caller.channel.close()
            await caller.lost.wait()


async def hang_up_by_request(edge: Edge) -> None:
    """Have a server hang up: `POST .../hangup`."""
    async with _talking(edge) as (caller, _):
        async with edge.http.post(f"{edge.url}{caller.location}/hangup") as response:
            if response.status != 200:
                error = (await response.json())["error"]
                raise Failed(f"hang-up: HTTP {response.status}, {error['message']}")
        async with asyncio.timeout(STAGE_S):
            await caller.lost.wait()


async def stay_silent(edge: Edge) -> None:
    """Connect, never say a word, and say good-bye."""
    async with _calling(edge) as caller:
        await caller.connect(edge.http, edge.url)
        await asyncio.sleep(SILENT_S)


async def vanish(edge: Edge) -> None:
    """Be gone in mid-call, as a phone in a tunnel."""
    async with _talking(edge) as (caller, _):
        caller.vanish()


async def stop_at_dtls(edge: Edge) -> None:
    """Get through ICE, and be gone."""
    async with _calling(edge) as caller:
        caller.without_dtls()
        await _connect_until(edge, caller, caller.reached_dtls)
        caller.vanish()


async def stop_in_dtls(edge: Edge) -> None:
    """Begin the handshake, and be gone."""
    async with _calling(edge) as caller:
        caller.with_half_a_handshake()
        await _connect_until(edge, caller, caller.began_dtls)
        caller.vanish()


async def offer_only(edge: Edge) -> None:
    """Take the answer, and never use it."""
    await _post(edge, edge.offer, 201)


async def leave_before_answer(edge: Edge) -> None:
    """Drop the HTTP connection while the answer is made."""
    url = URL(edge.url)
    _, writer = await asyncio.open_connection(url.host, url.port)
    body = edge.offer.encode()
    writer.write(
        b"POST /v1/realtime/calls HTTP/1.1\r\nHost: %b\r\n"
        b"Content-Type: application/sdp\r\nContent-Length: %d\r\n\r\n%b"
        % (str(url.authority).encode(), len(body), body)
    )
    await writer.drain()
    writer.transport.abort()


async def offer_nonsense(edge: Edge) -> None:
    """Send what is no SDP."""
    await _post(edge, "v=0\r\nm=nonsense\r\n", 400)


async def offer_no_audio(edge: Edge) -> None:
    """Offer a data channel alone."""
    head, *sections = edge.offer.split("m=")
    kept = [s for s in sections if s.startswith("application")]
    await _post(edge, "m=".join([head, *kept]), 400)


async def be_heard(
    edge: Edge, until: asyncio.Event, heard: Callable[[], None]
) -> float:
    """Speak until the first media comes back, and stay; return how long that took.

    Args:
        edge: Where.
        until: Set when the caller may hang up.
        heard: Called when the first media has come.

    Returns:
        Milliseconds from the offer sent.

    Raises:
        Failed: Nothing came.
    """
    async with _calling(edge) as caller:
        keys = await caller.connect(edge.http, edge.url)
        speaking = asyncio.create_task(caller.speak(keys, edge.speech))
        try:
            async with asyncio.timeout(STAGE_S):
                await caller.heard.wait()
        finally:
            speaking.cancel()
        heard()
        await until.wait()
    return (caller.heard_ns - caller.offered_ns) / 1e6


Way = Callable[[Edge], Awaitable[None]]

WAITED_FOR: Final[tuple[Way, ...]] = (
    vanish,
    stop_at_dtls,
    stop_in_dtls,
    offer_only,
    leave_before_answer,
)
"""Of whom no word comes any more: the edge waits 30 s for each."""

WAYS: Final[tuple[Way, ...]] = (
    *WAITED_FOR,
    hang_up,
    close_channel,
    hang_up_by_request,
    stay_silent,
    offer_nonsense,
    offer_no_audio,
)


@contextlib.asynccontextmanager
async def _calling(edge: Edge) -> AsyncIterator[Leaver]:
    caller = Leaver(edge.certificate)
    try:
        await caller.prepare()
        yield caller
    except (DialError, TimeoutError) as error:
        raise Failed(str(error) or "timed out") from error
    finally:
        await caller.close()


@contextlib.asynccontextmanager
async def _talking(edge: Edge) -> AsyncIterator[tuple[Leaver, Keys]]:
    async with _calling(edge) as caller:
        keys = await caller.connect(edge.http, edge.url)
        await caller.speak(keys, edge.speech[:TALK_FRAMES])
        yield caller, keys


async def _connect_until(edge: Edge, caller: Leaver, stage: asyncio.Event) -> None:
    connecting = asyncio.create_task(caller.connect(edge.http, edge.url))
    try:
        async with asyncio.timeout(STAGE_S):
            await stage.wait()
    finally:
        connecting.cancel()
        await asyncio.wait([connecting])


async def _post(edge: Edge, offer: str, expected: int) -> None:
    async with edge.http.post(
        f"{edge.url}/v1/realtime/calls",
        data=offer,
        headers={"Content-Type": "application/sdp"},
    ) as response:
        await response.read()
    if response.status != expected:
        raise Failed(f"HTTP {response.status} where {expected} was due")
