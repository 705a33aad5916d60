"""The relay's counts, live and ended."""

from prometheus_client import generate_latest

from relay.metrics import Metrics, Traffic


def shown(metrics: Metrics) -> str:
    return generate_latest(metrics.registry).decode()


def test_live_and_ended_sessions_are_added_up() -> None:
    live = [Traffic(frames_up=2), Traffic(frames_up=3, barge_ins=1)]
    metrics = Metrics(lambda: live)
    metrics.session_ended(Traffic(frames_up=10), "normal", None, 1.5)
    text = shown(metrics)
    assert 'tandem_relay_traffic_total{kind="frames_up"} 15.0' in text
    assert 'tandem_relay_traffic_total{kind="barge_ins"} 1.0' in text
    assert 'tandem_relay_sessions_closed_total{code="normal"} 1.0' in text


def test_upstream_errors_are_counted_by_code() -> None:
    metrics = Metrics(list)
    metrics.session_ended(Traffic(), "upstream_lost", "upstream_stalled", 1.0)
    assert 'tandem_relay_upstream_errors_total{code="upstream_stalled"} 1.0' in shown(
        metrics
    )
