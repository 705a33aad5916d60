"""The relay's counts, live and ended."""

from prometheus_client import generate_latest

from relay.metrics import Ending, Metrics, Queues, Traffic


def shown(metrics: Metrics) -> str:
    return generate_latest(metrics.registry).decode()


def test_live_and_ended_sessions_are_added_up() -> None:
    live = [Traffic(frames_up=2), Traffic(frames_up=3, barge_ins=1)]
    metrics = Metrics(lambda: live)
    ending = Ending("webrtc", "normal", None, 1.5, "key-1")
    metrics.session_ended(Traffic(frames_up=10), ending)
    text = shown(metrics)
    assert 'tandem_relay_traffic_total{kind="frames_up"} 15.0' in text
    assert 'tandem_relay_traffic_total{kind="barge_ins"} 1.0' in text
    labels = 'code="normal",transport="webrtc"'
    assert f"tandem_relay_sessions_closed_total{{{labels}}} 1.0" in text
    labels = 'tenant="key-1",transport="webrtc"'
    assert f"tandem_relay_tenant_sessions_total{{{labels}}} 1.0" in text
    assert f"tandem_relay_tenant_session_seconds_total{{{labels}}} 1.5" in text


def test_upstream_errors_are_counted_by_code() -> None:
    metrics = Metrics(list)
    ending = Ending("websocket", "upstream_lost", "upstream_stalled", 1.0, "t")
    metrics.session_ended(Traffic(), ending)
    assert 'tandem_relay_upstream_errors_total{code="upstream_stalled"} 1.0' in shown(
        metrics
    )


def test_queues_of_all_sessions_are_added_up_when_scraped() -> None:
    queues = [Queues(upstream=2, speech=10)]
    read = Metrics(list, lambda: queues).registry.get_sample_value
    queues.append(Queues(upstream=1, speech=0))
    assert read("tandem_relay_waiting", {"queue": "upstream"}) == 3
    assert read("tandem_relay_waiting", {"queue": "speech"}) == 10


def test_every_burst_of_a_model_is_timed_and_one_in_fifty_of_a_live_source() -> None:
    metrics = Metrics(list)
    for is_live in (True, False):
        timed = metrics.sight(is_live=is_live).downlink
        for key in range(10):
            timed.begin(key)
            if timed.key == key:
                timed.end()
    read = metrics.registry.get_sample_value
    count = "tandem_stage_seconds_count"
    assert read(count, {"stage": "relay_downlink"}) == 1 + 10
    assert read(count, {"stage": "relay_uplink"}) == 0
