"""What is told of calls and tenants when Prometheus asks."""

from prometheus_client import CollectorRegistry

from transceiver.usage import Held, Usage, UsageCollector


class FakeCall:
    """A call that has used and holds what the test says."""

    def __init__(self, tenant: str, seconds: float, complexity: int | None) -> None:
        self.tenant = tenant
        self.seconds = seconds
        self._complexity = complexity

    def usage(self) -> Usage:
        return Usage(1, self.seconds, up_s=self.seconds, down_s=self.seconds / 2)

    def counts(self) -> dict[str, int]:
        return {"received_packets": int(self.seconds) * 50}

    def held(self) -> Held:
        return Held(events=2, frames=5, complexity=self._complexity)


def test_what_a_tenant_used_only_grows_while_calls_come_and_go() -> None:
    live = [FakeCall("a", 10, 5), FakeCall("b", 3, 5)]
    usage, registry = UsageCollector(lambda: live), CollectorRegistry()
    registry.register(usage)

    def read(name: str, **labels: str) -> float | None:
        return registry.get_sample_value(f"tandem_tenant_{name}_total", labels)

    assert read("calls", tenant="a") == 1
    assert read("call_seconds", tenant="a") == 10
    live[0].seconds = 12
    usage.ended(live.pop(0))
    assert read("call_seconds", tenant="a") == 12
    live.append(FakeCall("a", 1, 0))
    assert read("calls", tenant="a") == 2
    assert read("call_seconds", tenant="a") == 13
    assert read("audio_seconds", tenant="a", direction="up") == 13
    assert read("audio_seconds", tenant="a", direction="down") == 6.5
    assert read("audio_seconds", tenant="b", direction="up") == 3
    kind = {"kind": "received_packets"}
    assert registry.get_sample_value("tandem_media_total", kind) == (13 + 3) * 50


def test_what_live_calls_hold_is_added_up() -> None:
    live = [FakeCall("a", 1, 5), FakeCall("a", 1, 0), FakeCall("a", 1, None)]
    registry = CollectorRegistry()
    registry.register(UsageCollector(lambda: live))
    read = registry.get_sample_value
    assert read("tandem_waiting", {"queue": "events"}) == 6
    assert read("tandem_waiting", {"queue": "frames"}) == 15
    assert read("tandem_encoders", {"complexity": "5"}) == 1
    assert read("tandem_encoders", {"complexity": "0"}) == 1
    live.clear()
    assert read("tandem_waiting", {"queue": "frames"}) == 0
    assert read("tandem_encoders", {"complexity": "0"}) is None
