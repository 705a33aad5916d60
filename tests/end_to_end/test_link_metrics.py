"""The link's metrics at both ends: what is counted stays, whatever ends."""

import asyncio

import pytest
from prometheus_client import CollectorRegistry, generate_latest

from proto.frames import FRAME_BYTES, DownFrame, UpFrame
from proto.metrics import DialerMetrics, ListenerMetrics, session_loss
from proto.stats import FrameCounts
from proto.udp import Dialer
from runtime.settings import Address
from tests.end_to_end.test_link_over_udp import KEY, Pair, running
from tests.support.waiting import until


class Sight:
    """Both ends' registries."""

    def __init__(self, pair: Pair) -> None:
        self.edge, self.relay = CollectorRegistry(), CollectorRegistry()
        self.edge.register(DialerMetrics([pair.dialer]))
        self.relay.register(ListenerMetrics(pair.listener))
        self._labels = {"relay": str(pair.dialer.address)}

    def at_edge(self, name: str, **labels: str) -> float | None:
        return self.edge.get_sample_value(f"tandem_{name}", self._labels | labels)

    def at_relay(self, name: str, **labels: str) -> float | None:
        return self.relay.get_sample_value(f"tandem_{name}", labels)


def total(registry: CollectorRegistry) -> dict[tuple[str, ...], float]:
    """Return all counters."""
    return {
        (sample.name, *sorted(sample.labels.values())): sample.value
        for family in registry.collect()
        if family.type == "counter"
        for sample in family.samples
    }


@pytest.mark.asyncio
async def test_both_ends_tell_of_the_link_and_counters_outlive_it() -> None:
    pair = Pair()
    sight = Sight(pair)
    async with asyncio.TaskGroup() as group:
        relay = group.create_task(pair.listener.run())
        edge = group.create_task(pair.dialer.run())
        assert sight.at_edge("link_up") == 0
        assert sight.at_edge("link_rtt_seconds") is None
        await until(lambda: pair.dialer.is_up)
        caller, callee = await pair.open()
        assert caller.session is not None
        assert callee.session is not None
        for number in range(30):
            caller.session.send_up(UpFrame(480 * number, 0, 0, bytes(FRAME_BYTES)))
        callee.session.send_down(DownFrame(1, 0, 0, bytes(FRAME_BYTES)))
        await until(lambda: len(caller.frames) == 31)
        await until(lambda: pair.dialer.rtt_s and pair.listener.rtts_s)

        assert sight.at_edge("link_up") == sight.at_edge("link_sessions") == 1
        assert (sight.at_edge("link_rtt_seconds") or 0) > 0
        assert sight.at_relay("links") == 1
        assert sight.at_relay("links_rtt_seconds_bucket", le="+Inf") == 1
        frames = "link_frames_total"
        for up, down in (("sent", "received"), ("received", "sent")):
            at_up = sight.at_edge if up == "sent" else sight.at_relay
            at_down = sight.at_edge if down == "received" else sight.at_relay
            assert at_up(frames, direction="up", kind=up) == 30
            assert at_down(frames, direction="down", kind=down) == 31
        assert caller.session.frame_counts.received == 31
        assert callee.session.frame_counts.fields()["link_sent"] == 31

        before = total(sight.edge), total(sight.relay)
        relay.cancel()
        await until(lambda: not pair.dialer.is_up)
        await until(lambda: sight.at_edge("link_changes_total", kind="dials") == 2)
        for then, now in zip(
            before, (total(sight.edge), total(sight.relay)), strict=True
        ):
            assert then.keys() == now.keys()
            assert all(now[key] >= value for key, value in then.items())
        assert sight.at_edge("link_changes_total", kind="downs") == 1
        assert sight.at_relay("link_changes_total", kind="downs") == 1
        assert sight.at_relay(frames, direction="up", kind="received") == 30
        assert sight.at_edge("link_jitter_seconds") is None
        edge.cancel()


DATAGRAMS = "link_datagrams_total"


@pytest.mark.asyncio
async def test_what_an_edge_cannot_send_is_told_also_when_the_link_has_ended() -> None:
    pair = Pair()
    pair.dialer = Dialer(Address("255.255.255.255", 7000), KEY)  # EACCES: a broadcast
    sight = Sight(pair)
    async with asyncio.TaskGroup() as group:
        relay = group.create_task(pair.listener.run())
        edge = group.create_task(pair.dialer.run())
        assert sight.at_edge(DATAGRAMS, kind="unsent") == 0
        await until(lambda: sight.at_edge(DATAGRAMS, kind="unsent"))
        seen = sight.at_edge(DATAGRAMS, kind="unsent") or 0
        for end in (edge, relay):
            end.cancel()
    assert (sight.at_edge(DATAGRAMS, kind="unsent") or 0) >= seen


@pytest.mark.asyncio
async def test_what_a_relay_cannot_send_is_told_also_when_it_has_left() -> None:
    async with running() as pair:
        sight = Sight(pair)
        assert sight.at_relay(DATAGRAMS, kind="unsent") == 0
        pair.listener._udp.send(bytes(70_000), ("127.0.0.1", 9))  # EMSGSIZE
        await until(lambda: sight.at_relay(DATAGRAMS, kind="unsent") == 1)
    assert sight.at_relay(DATAGRAMS, kind="unsent") == 1


@pytest.mark.asyncio
async def test_the_text_that_is_scraped_has_help_for_every_name() -> None:
    async with running() as pair:
        sight = Sight(pair)
        texts = [generate_latest(end).decode() for end in (sight.edge, sight.relay)]
    for text in texts:
        names = {line.split()[2] for line in text.splitlines() if "# TYPE" in line}
        assert names == {
            line.split()[2]
            for line in text.splitlines()
            if line.startswith("# HELP") and len(line.split()) > 4
        }
        assert all(name.startswith("tandem_link") for name in names)


def test_a_sessions_loss_is_what_was_given_up_of_what_was_meant_for_it() -> None:
    counts = FrameCounts()
    assert counts.share_given_up == 0.0
    counts.received, counts.given_up = 95, 5
    registry = CollectorRegistry()
    session_loss(registry).observe(counts.share_given_up)
    name = "tandem_link_session_given_up_ratio_bucket"
    assert registry.get_sample_value(name, {"le": "0.01"}) == 0
    assert registry.get_sample_value(name, {"le": "0.05"}) == 1
