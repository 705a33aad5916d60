"""RED between a real browser and the services, over a path that loses packets."""

import asyncio
import random
import urllib.request
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path as File
from typing import Any

import pytest
from playwright.async_api import Page

from tests.support import chromium
from tests.support.netem import Path
from tests.support.rough_path import rough_path
from tests.support.services import Stack, running_stack
from tests.support.sound import babble, write_wav

pytestmark = [pytest.mark.browser, pytest.mark.asyncio]

LOSS = 0.1
TALK_S = 12.0
"""Long enough for two of Chromium's receiver reports, 5 s apart."""

CALL = """async ([real, front]) => {
    const peer = window.peer = new RTCPeerConnection();
    peer.createDataChannel("oai-events");
    peer.ontrack = ({ streams }) => {
        const speaker = new Audio();
        speaker.srcObject = streams[0];
        speaker.play();
    };
    const media = await navigator.mediaDevices.getUserMedia({ audio: true });
    peer.addTrack(media.getAudioTracks()[0], media);
    await peer.setLocalDescription(await peer.createOffer());
    const response = await fetch("/v1/realtime/calls", {
        method: "POST",
        headers: { "Content-Type": "application/sdp" },
        body: peer.localDescription.sdp,
    });
    const answer = await response.text();
    const sdp = answer.replaceAll(` ${real} typ host`, ` ${front} typ host`);
    await peer.setRemoteDescription({ type: "answer", sdp });
    return answer;
}"""

HEARD = """async () => [...(await window.peer.getStats()).values()]
    .find((one) => one.type === "inbound-rtp")"""


class Talk:
    """A browser's call over a lossy path."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.answer = ""

    async def heard(self) -> dict[str, Any]:
        """Return what the browser counts of the voice that it plays."""
        counts: dict[str, Any] = await self.page.evaluate(HEARD)
        return counts


@asynccontextmanager
async def talking(stack: Stack, microphone: File, seed: int) -> AsyncIterator[Talk]:
    """Hold a call with a browser; its path loses packets once the call stands."""
    rng = random.Random(seed)
    up, down = (Path(rng, 0.01, 0.0) for _ in range(2))
    async with (
        rough_path(stack.udp_address, up, down) as front,
        chromium.launched(chromium.require(), microphone) as browser,
    ):
        context = await browser.new_context(bypass_csp=True)  # to wait in it
        talk = Talk(await context.new_page())
        await talk.page.goto(stack.page_url)
        ports = [stack.udp_address[1], front[1]]
        talk.answer = await talk.page.evaluate(CALL, ports)
        connected = "window.peer.connectionState === 'connected'"
        await talk.page.wait_for_function(connected)
        up.loss = down.loss = LOSS
        yield talk
        up.loss = down.loss = 0.0
        await talk.page.evaluate("window.peer.close()")


def counted(stack: Stack) -> dict[str, float]:
    """Return what the edge counted of packets, by kind."""
    with urllib.request.urlopen(f"{stack.url}/metrics", timeout=5) as page:
        lines = page.read().decode().splitlines()
    prefix = "tandem_media_total{"
    return {
        line.split('"')[1]: float(line.rpartition(" ")[2])
        for line in lines
        if line.startswith(prefix)
    }


async def test_a_browser_and_the_edge_repair_each_others_loss(
    tmp_path: File,
) -> None:
    microphone = tmp_path / "voice.wav"
    write_wav(microphone, babble(TALK_S + 5, seed=3))
    async with running_stack("echo") as stack:
        async with talking(stack, microphone, seed=1) as talk:
            assert " 63 111\r\n" in talk.answer
            await asyncio.sleep(TALK_S)
            heard = await talk.heard()
        await asyncio.sleep(0.5)
        counts = await asyncio.to_thread(counted, stack)
    assert counts["foreign_packets"] == counts["malformed_packets"] == 0
    assert counts["repeating_packets"] > 100
    gone = counts["repeated_packets"] + counts["concealed_packets"]
    assert counts["repeated_packets"] > 0.7 * gone > 10
    assert heard["packetsLost"] > 0.05 * heard["packetsReceived"]
    # A pause of the machine is one, too, however much is concealed for it.
    assert heard["concealmentEvents"] < heard["packetsLost"] / 2
