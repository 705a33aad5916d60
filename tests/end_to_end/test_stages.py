"""The delays that the stages tell add up to the one that a caller has."""

import asyncio
import random

import numpy as np
import pytest

from bench.echo import Tap, call, delays_ms, look_ahead_ms
from codec.opus import Encoder
from proto.frames import FRAME_SAMPLES
from tests.support.netem import Path
from tests.support.rough_path import rough_path
from tests.support.scraping import Scrape, scrape
from tests.support.services import Stack, free_ports, running_stack
from tests.support.sound import babble

ONE_WAY_S = 0.04
SECONDS = 10.0


async def hold(stack: Stack, payloads: list[bytes]) -> tuple[Tap, Scrape, Scrape]:
    """Hold a call; ask both services when it is nearly over."""
    async with asyncio.TaskGroup() as group:
        calling = group.create_task(call(stack.url, payloads))
        await asyncio.sleep(SECONDS - 0.5)
        edge = await scrape(stack.transceiver.status_url)
        relay = await scrape(stack.relay.status_url)
    return calling.result(), edge, relay


@pytest.mark.interop
@pytest.mark.asyncio
async def test_the_stages_add_up_to_the_delay_from_end_to_end() -> None:
    pcm = babble(SECONDS, seed=1)
    encoder = Encoder()
    frames = pcm[: len(pcm) // FRAME_SAMPLES * FRAME_SAMPLES].reshape(-1, FRAME_SAMPLES)
    payloads = [encoder.encode(frame.tobytes()) for frame in frames]
    (link,) = free_ports(1)
    up, down = (Path(random.Random(seed), delay_s=ONE_WAY_S) for seed in (1, 2))
    async with (
        rough_path(("127.0.0.1", link), up, down) as (host, port),
        running_stack(
            "echo", TANDEM_LINK_PORT=str(link), TANDEM_RELAYS=f"{host}:{port}"
        ) as stack,
    ):
        tap, edge, relay = await hold(stack, payloads)
    stages_s = {
        stage: page.mean("tandem_stage_seconds", stage=stage)
        for page, stage in (
            (edge, "edge_uplink"),
            (edge, "link"),
            (relay, "relay_uplink"),  # an echo is said within it: the downlink as well
            (edge, "edge_downlink"),
        )
    }
    told_ms = 1000 * (sum(stages_s.values()) + stages_s["link"])  # it is passed twice
    heard_ms = delays_ms(tap, payloads) - look_ahead_ms(pcm, payloads)
    # A pause of the machine moves the mean of what was told, but no more than it delays
    # a packet.
    least_ms, most_ms = np.quantile(heard_ms, (0.1, 1.0))
    assert 0.9 * least_ms < told_ms < 1.1 * most_ms, (stages_s, least_ms, most_ms)
