"""Every metric of docs/metrics.md is told during a call, with a value that can be."""

import asyncio
import math
from collections.abc import Mapping

import aiohttp
import pytest

from tests.deploy.call import hold_a_turn
from tests.support.caller import calling
from tests.support.scraping import Scrape, scrape
from tests.support.services import Process, Stack, running_stack
from tests.support.waiting import GLANCE_S, LIMIT_S
from tests.test_metrics_document import told

pytestmark = [pytest.mark.interop, pytest.mark.speech]

KEY = "sk-of-the-metrics"

Bounds = Mapping[str, tuple[float, float]]

EDGE: Bounds = {
    "tandem_calls": (1, 1),
    "tandem_slots_taken": (2, 2),
    "tandem_websockets": (1, 1),
    "tandem_calls_ended_total": (1, 1),
    "tandem_calls_refused_total": (0, 0),
    "tandem_media_total": (100, 5_000),
    "tandem_encoders": (1, 1),
    "tandem_waiting": (0, 10),
    "tandem_strain": (0, 2),
    "tandem_refused_overload_total": (0, 0),
    "tandem_cpu_share": (0.001, 2),
    "tandem_tenant_calls_total": (2, 2),
    "tandem_tenant_call_seconds_total": (2, 120),
    "tandem_tenant_audio_seconds_total": (2, 240),
    "tandem_datagrams_dropped_total": (0, 50),
    "tandem_link_up": (1, 1),
    "tandem_link_sessions": (1, 1),
    "tandem_link_rtt_seconds": (1e-5, 5),
    "tandem_link_rtt_variation_seconds": (0, 5),
    "tandem_link_jitter_seconds": (0, 5),
    "tandem_link_changes_total": (2, 4),
    "tandem_link_datagrams_total": (100, 10_000),
    "tandem_link_frames_total": (100, 10_000),
    "tandem_tasks": (5, 100),
}
RELAY: Bounds = {
    "tandem_relay_sessions": (2, 2),
    "tandem_relay_sessions_closed_total": (1, 1),
    "tandem_relay_upstream_errors_total": (0, 0),
    "tandem_relay_tenant_sessions_total": (1, 1),
    "tandem_relay_tenant_session_seconds_total": (0.5, 60),
    "tandem_relay_waiting": (0, 500),
    "tandem_relay_traffic_total": (100, 10_000_000),
    "tandem_links": (1, 1),
    "tandem_link_changes_total": (1, 2),
    "tandem_link_frames_total": (100, 10_000),
    "tandem_tasks": (5, 100),
}

TOTALS: Mapping[str, Bounds] = {
    "transceiver": EDGE,
    "relay": RELAY,
    "engine": {"tandem_engine_sessions": (2, 2)},
}
"""Least and most of the sum over all labels: seconds may be those of a machine that has
other things to do."""

MEANS: Mapping[str, Bounds] = {
    "transceiver": {
        "tandem_set_up_seconds": (0.001, 5),
        "tandem_stage_seconds": (1e-6, 0.5),
        "tandem_loop_late_seconds": (0, 1),
        "tandem_link_session_given_up_ratio": (0, 0.1),
    },
    "relay": {
        "tandem_relay_session_seconds": (0.1, 60),
        "tandem_relay_voice_to_voice_seconds": (0.001, 20),
        "tandem_stage_seconds": (1e-6, 0.5),
        "tandem_relay_tick_lateness_seconds": (0, 5),
        "tandem_link_session_given_up_ratio": (0, 0.1),
    },
    "engine": {"tandem_engine_stage_seconds": (1e-4, 5)},
}
"""Least and most of the mean of what each histogram has seen, by service."""

STAGES = {
    "transceiver": ("edge_uplink", "edge_downlink", "link"),
    "relay": ("relay_uplink", "relay_downlink"),
    "engine": (),
}


async def pages(stack: Stack) -> dict[str, Scrape]:
    """Ask all services after a call has ended, and a turn been held in another.

    A WebSocket session is open meanwhile.
    """
    assert stack.engine is not None
    bearer = {"Authorization": f"Bearer {KEY}"}
    url = f"{stack.url}/v1/realtime?model=m"
    async with aiohttp.ClientSession() as http:
        async with calling(stack.url, bearer) as caller:
            await caller.wait_for("session.created")
            await asyncio.sleep(1)
        async with (
            calling(stack.url, bearer) as caller,
            http.ws_connect(url, headers=bearer) as websocket,
        ):
            await websocket.receive()
            await hold_a_turn(caller)
            services = {
                "transceiver": stack.transceiver,
                "relay": stack.relay,
                "engine": stack.engine,
            }
            return {
                service: await page_of(service, process)
                for service, process in services.items()
            }


async def page_of(service: str, process: Process) -> Scrape:
    """Ask one, until it has told all: link and loop are looked at once a second."""
    end_s = asyncio.get_running_loop().time() + LIMIT_S
    while True:
        page = await scrape(process.status_url)
        is_whole = not missing(service, page) and not strays(service, page)
        if is_whole or asyncio.get_running_loop().time() > end_s:
            return page
        await asyncio.sleep(GLANCE_S)


def missing(service: str, page: Scrape) -> list[str]:
    """Return what the document tells of and the page does not."""
    families = page.families
    return [n for n in told(service) if n.removesuffix("_total") not in families]


def strays(service: str, page: Scrape) -> dict[str, float]:
    """Return the totals and means that cannot be; the mean of nothing is none."""
    found = {name: page.value(name) for name in TOTALS[service]}
    found |= {
        name: page.mean(name) if page.value(f"{name}_count") else math.nan
        for name in MEANS[service]
    }
    bounds = {**TOTALS[service], **MEANS[service]}
    return {
        name: value
        for name, value in found.items()
        if not bounds[name][0] <= value <= bounds[name][1]
    }


@pytest.mark.asyncio
async def test_every_metric_is_told_during_a_call_with_a_plausible_value() -> None:
    async with running_stack(TANDEM_API_KEYS=KEY) as stack:
        scraped = await pages(stack)
    for service, page in scraped.items():
        assert missing(service, page) == []
        assert strays(service, page) == {}
        for family in page.families.values():
            assert all(0 <= sample.value < math.inf for sample in family.samples)
        for stage in STAGES[service]:
            assert page.mean("tandem_stage_seconds", stage=stage) < 0.5
    edge = scraped["transceiver"]
    up_s = edge.value("tandem_tenant_audio_seconds_total", direction="up")
    assert up_s <= edge.value("tandem_tenant_call_seconds_total") + 1
    assert KEY not in str(edge.families)
