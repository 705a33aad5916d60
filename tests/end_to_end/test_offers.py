"""Offers of every shape: answered so that the call connects, or refused."""

import asyncio
import re
import socket
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from tests.fuzz.targets.edge import OFFER as CHROMIUM
from tests.support.caller import Caller
from tests.support.waiting import LIMIT_S
from transceiver.webrtc.ice import UdpPort
from transceiver.webrtc.offer import MAX_SECTIONS, OfferError
from transceiver.webrtc.peer import Peer, PeerCallbacks

pytestmark = pytest.mark.interop

FIREFOX = """v=0
o=mozilla...THIS_IS_SDPARTA-99.0 4611731400430051336 0 IN IP4 0.0.0.0
s=-
t=0 0
a=fingerprint:sha-256 {digest}
a=group:BUNDLE 0 1
a=ice-options:trickle
a=msid-semantic:WMS *
m=audio 9 UDP/TLS/RTP/SAVPF 109 9 0 8 101
c=IN IP4 0.0.0.0
a=sendrecv
a=extmap:1 urn:ietf:params:rtp-hdrext:ssrc-audio-level
a=extmap:2/recvonly urn:ietf:params:rtp-hdrext:csrc-audio-level
a=extmap:3 urn:ietf:params:rtp-hdrext:sdes:mid
a=fmtp:109 maxplaybackrate=48000;stereo=1;useinbandfec=1
a=fmtp:101 0-15
a=ice-pwd:0f7a3c9b5d1e8246af91c03be57d62a4
a=ice-ufrag:3f9b21ac
a=mid:0
a=msid:{{5a990edd-0568-ac40-8d97-310fc33f3411}} {{218cfa1c-617d-2249-9997-60929ce4c405}}
a=rtcp-mux
a=rtpmap:109 opus/48000/2
a=rtpmap:9 G722/8000/1
a=rtpmap:0 PCMU/8000
a=rtpmap:8 PCMA/8000
a=rtpmap:101 telephone-event/8000
a=setup:actpass
a=ssrc:3477539846 cname:{{1de5b3ea-4ea9-4ea9-8b7a-5c0ea1a1e9a5}}
m=application 9 UDP/DTLS/SCTP webrtc-datachannel
c=IN IP4 0.0.0.0
a=sendrecv
a=ice-pwd:0f7a3c9b5d1e8246af91c03be57d62a4
a=ice-ufrag:3f9b21ac
a=mid:1
a=setup:actpass
a=sctp-port:5000
a=max-message-size:1073741823
""".format(digest=":".join(["7B"] * 32))

VIDEO = """m=video 9 UDP/TLS/RTP/SAVPF 120
c=IN IP4 0.0.0.0
a=sendrecv
a=ice-pwd:0f7a3c9b5d1e8246af91c03be57d62a4
a=ice-ufrag:3f9b21ac
a=mid:{mid}
a=rtcp-mux
a=rtpmap:120 VP8/90000
a=setup:actpass
"""


class Answerer:
    """Peers on one port, and what the loop complained of."""

    def __init__(self) -> None:
        self.port = UdpPort("127.0.0.1", 0, None, with_loopback=True)
        self.connected = asyncio.Event()
        self.complaints: list[dict[str, Any]] = []
        self.peers: list[Peer] = []

    async def answer(self, offer: str) -> str:
        peer = Peer(
            self.port,
            PeerCallbacks(
                connected=lambda _: self.connected.set(),
                channel_open=lambda: None,
                event_received=lambda _: None,
                closed=lambda _: None,
            ),
        )
        self.peers.append(peer)
        return await peer.answer(offer)


@pytest_asyncio.fixture
async def answerer() -> AsyncIterator[Answerer]:
    """A port whose peers must all close well, and leave nothing in the loop's log."""
    answerer = Answerer()
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _, context: answerer.complaints.append(context))
    yield answerer
    for peer in answerer.peers:
        await peer.close()
        assert peer.leg is None or peer.leg.ufrag not in answerer.port._by_ufrag
    answerer.peers.clear()
    await asyncio.sleep(0.05)
    answerer.port.close()
    assert answerer.complaints == []


@pytest_asyncio.fixture
async def caller() -> AsyncIterator[Caller]:
    """A client that has not called yet."""
    caller = Caller()
    yield caller
    await caller.close()


@pytest.mark.asyncio
@pytest.mark.parametrize("bundle", ["1 0", "0 0 1", "1 1 0", "other 0 1", "other", "0"])
async def test_the_order_of_a_bundle_does_not_matter(
    answerer: Answerer, caller: Caller, bundle: str
) -> None:
    named = f"a=group:BUNDLE {bundle}\r"
    offer = re.sub(r"a=group:BUNDLE .*", named, await caller.offer())
    await caller.take_answer(await answerer.answer(offer))
    async with asyncio.timeout(LIMIT_S):
        await answerer.connected.wait()


@pytest.mark.asyncio
async def test_an_offer_of_firefox_is_answered_with_its_own_numbers(
    answerer: Answerer,
) -> None:
    answer = await answerer.answer(FIREFOX)
    assert re.search(r"m=audio \d+ UDP/TLS/RTP/SAVPF 109\r\n", answer)
    assert "m=application" in answer


@pytest.mark.asyncio
async def test_an_offer_of_chromium_is_answered_with_red_first(
    answerer: Answerer,
) -> None:
    """Or it would not send it."""
    answer = await answerer.answer(CHROMIUM)
    assert re.search(r"m=audio \d+ UDP/TLS/RTP/SAVPF 63 111\r\n", answer)
    assert "a=rtpmap:63 red/48000/2\r\n" in answer
    assert "a=fmtp:63 111/111\r\n" in answer
    assert "a=fmtp:111 minptime=10;useinbandfec=1;usedtx=1\r\n" in answer
    assert "stereo" not in answer


@pytest.mark.asyncio
async def test_video_is_declined_and_audio_answered(answerer: Answerer) -> None:
    answer = await answerer.answer(FIREFOX + VIDEO.format(mid=2))
    audio, _, video = answer.partition("m=video")
    assert "a=sendrecv" in audio
    assert "a=inactive" in video


@pytest.mark.asyncio
async def test_no_address_in_an_offer_is_ever_sent_to(
    answerer: Answerer, caller: Caller
) -> None:
    """Whatever ends a line for an SDP parser ends it for us."""
    offer = await caller.offer()
    with socket.socket(type=socket.SOCK_DGRAM) as named:
        named.bind(("127.0.0.1", 0))
        named.setblocking(False)
        candidate = f"a=candidate:1 1 udp 1 127.0.0.1 {named.getsockname()[1]} typ host"
        for end in ("\r\n", "\n", "\r", "\x0b", "\x0c", "\x1c", "\x85", "\u2028"):
            await answerer.answer(offer.replace("a=mid:1", f"a=mid:1{end}{candidate}"))
        await asyncio.sleep(0.2)
        with pytest.raises(BlockingIOError):
            named.recv(2048)


@pytest.mark.asyncio
@pytest.mark.parametrize(
    "offer",
    [
        FIREFOX.replace("a=fingerprint", "a=no-fingerprint"),
        FIREFOX.replace("a=setup:actpass", "a=no-setup"),
        FIREFOX.replace("opus", "speex"),
        FIREFOX.partition("m=application")[0].replace("m=audio", "m=text"),
        FIREFOX + "".join(VIDEO.format(mid=mid) for mid in range(2, MAX_SECTIONS + 1)),
    ],
    ids=["no fingerprint", "no setup", "no opus", "no audio", "too many sections"],
)
async def test_what_cannot_be_answered_is_refused_and_freed(
    answerer: Answerer, offer: str
) -> None:
    with pytest.raises(OfferError):
        await answerer.answer(offer)


@pytest.mark.asyncio
async def test_thousands_of_ssrcs_do_not_hold_the_loop_up(answerer: Answerer) -> None:
    """They are not even looked at: they would cost the square of their number."""
    ssrcs = "".join(f"a=ssrc:{number} cname:x\n" for number in range(2_800))
    await answerer.answer(FIREFOX.replace("a=mid:0\n", f"a=mid:0\n{ssrcs}"))
    (peer,) = answerer.peers
    assert "a=ssrc" not in str(peer._connection.remoteDescription.sdp)
