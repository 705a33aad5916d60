"""Whatever happens, the table of flows keeps its bounds and agrees with itself."""

from hypothesis import given, settings, strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from transceiver.ingress.endpoint import Endpoint
from transceiver.ingress.flows import IDLE_S, MAX_OF_CALL, MAX_OWNERS, Flow, Flows

BOUND = 20

clients = st.integers(0, 30).map(lambda number: (f"198.51.100.{number}", 40_000))
owners = st.integers(0, 5).map(lambda number: (f"10.0.0.{number}", 3478))
calls = st.one_of(st.none(), st.sampled_from("abc"))


class FlowTable(RuleBasedStateMachine):
    """Random openings, proofs and silence."""

    def __init__(self) -> None:
        super().__init__()
        self.flows = Flows(BOUND)
        self.now = 0.0

    @property
    def all(self) -> list[Flow]:
        return [f for s in self.flows.sources.values() for f in s.flows]

    @rule(client=clients, owner=owners, call=calls)
    def open(self, client: Endpoint, owner: Endpoint, call: str | None) -> None:
        if any((f.client, f.owner) == (client, owner) for f in self.all):
            return
        proven = [flow for flow in self.all if flow.is_proven]
        self.flows.expire(self.now)
        alive = [flow for flow in proven if flow.heard_s + IDLE_S > self.now]
        flow = Flow(client, owner, call, self.now)
        opened = self.flows.open(flow, client[0].encode())
        assert opened == (flow in self.all)
        assert all(one in self.all for one in alive)

    @precondition(lambda self: self.all)
    @rule(data=st.data())
    def prove(self, data: st.DataObject) -> None:
        flow = data.draw(st.sampled_from(self.all))
        self.flows.heard(flow, self.now)
        self.flows.prove(flow)

    @precondition(lambda self: self.all)
    @rule(data=st.data(), call=st.sampled_from("abc"))
    def rename(self, data: st.DataObject, call: str) -> None:
        flow = data.draw(st.sampled_from(self.all))
        self.flows.rename(flow, call)

    @rule(silence_s=st.floats(0.0, IDLE_S))
    def wait(self, silence_s: float) -> None:
        self.now += silence_s
        self.flows.expire(self.now)

    @invariant()
    def bounds_hold(self) -> None:
        assert self.flows.proven + self.flows.unproven == len(self.all) <= BOUND
        assert self.flows.proven == sum(flow.is_proven for flow in self.all)
        for source in self.flows.sources.values():
            assert 0 < len(source.flows) <= MAX_OWNERS
            assert source.owners == tuple(flow.owner for flow in source.flows)
        for call in "abc":
            assert sum(flow.call == call for flow in self.all) <= MAX_OF_CALL
        assert set(self.flows.clients.values()) == set(self.flows.sources)


TestFlowTable = FlowTable.TestCase
TestFlowTable.settings = settings(max_examples=60, stateful_step_count=40)


@given(st.lists(clients, max_size=60))
def test_a_silent_table_becomes_empty(found: list[Endpoint]) -> None:
    flows = Flows(BOUND)
    for number, client in enumerate(found):
        flow = Flow(client, ("10.0.0.1", number + 1), None, 0.0)
        flows.open(flow, client[0].encode())
    flows.expire(IDLE_S)
    assert not flows.sources
    assert not flows.clients
    assert flows.proven + flows.unproven == 0


def test_a_call_gets_no_more_flows_by_taking_other_calls_places() -> None:
    flows = Flows(10 * MAX_OF_CALL)
    crowded = ("198.51.100.200", 40_000)
    for number in range(MAX_OWNERS):
        owner = ("10.0.1.1", number + 1)
        assert flows.open(Flow(crowded, owner, f"b{number}", 0.0), b"crowded")
    for number in range(MAX_OF_CALL):
        client = (f"198.51.100.{number}", 40_000)
        flow = Flow(client, ("10.0.0.1", 3478), "a", 0.0)
        assert flows.open(flow, client[0].encode())
    assert flows.open(Flow(crowded, ("10.0.0.1", 3478), "a", 0.0), b"crowded")
    found = [flow for source in flows.sources.values() for flow in source.flows]
    assert sum(flow.call == "a" for flow in found) == MAX_OF_CALL
    assert sum(flow.client == crowded for flow in found) == MAX_OWNERS
