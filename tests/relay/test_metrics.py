"""The relay's counts, live and ended."""

from prometheus_client import generate_latest

from relay.metrics import Ending, Metrics, Traffic


def shown(metrics: Metrics) -> str:
    return generate_latest(metrics.registry).decode()


def test_live_and_ended_sessions_are_added_up() -> None:
    live = [Traffic(frames_up=2), Traffic(frames_up=3, barge_ins=1)]
    metrics = Metrics(lambda: live)
    ending = Ending("webrtc", "normal", None, 1.5)
    metrics.session_ended(Traffic(frames_up=10), ending)
    text = shown(metrics)
    assert 'tandem_relay_traffic_total{kind="frames_up"} 15.0' in text
    assert 'tandem_relay_traffic_total{kind="barge_ins"} 1.0' in text
    labels = 'code="normal",transport="webrtc"'
    assert f"tandem_relay_sessions_closed_total{{{labels}}} 1.0" in text


def test_upstream_errors_are_counted_by_code() -> None:
    metrics = Metrics(list)
    ending = Ending("websocket", "upstream_lost", "upstream_stalled", 1.0)
    metrics.session_ended(Traffic(), ending)
    assert 'tandem_relay_upstream_errors_total{code="upstream_stalled"} 1.0' in shown(
        metrics
    )
