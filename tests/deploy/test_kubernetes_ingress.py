"""What holds for a region with forwarders in front of its transceivers."""

import base64
from typing import Any

import pytest

from runtime import settings as environment
from tests.deploy.rendering import ROOT, Object, containers, rendered
from transceiver.ingress.settings import IngressSettings
from transceiver.settings import TransceiverSettings

EXAMPLE = ROOT / "k8s" / "examples" / "behind-ingress"
NAME = "app.kubernetes.io/name"
FORWARDERS = {NAME: "ingress"}
GIVEN = {
    "TANDEM_LINK_KEY": base64.b64encode(bytes(32)).decode(),
    "TANDEM_API_KEYS": "sk-one",
    "TANDEM_INGRESS_ROUTE": "10.1.2.3",
}


@pytest.fixture
def region() -> list[Object]:
    return rendered(EXAMPLE)


def one(region: list[Object], kind: str, name: str) -> Any:
    (thing,) = (
        thing.get("spec", thing)
        for thing in region
        if thing["kind"] == kind and thing["metadata"]["name"] == name
    )
    return thing


def environ(region: list[Object], name: str) -> dict[str, str]:
    """Return what a service is configured with, secrets and addresses filled in."""
    (container,) = containers(_deployment(region, name))
    (source,) = container["envFrom"]
    data = one(region, "ConfigMap", source["configMapRef"]["name"])["data"]
    return {**data, **{row["name"]: GIVEN[row["name"]] for row in container["env"]}}


def _deployment(region: list[Object], name: str) -> Object:
    (thing,) = (
        thing
        for thing in region
        if thing["kind"] == "Deployment" and thing["metadata"]["name"] == name
    )
    return thing


def test_callers_are_told_the_address_of_the_forwarders(region: list[Object]) -> None:
    media = one(region, "Service", "media")
    loaded = environment.load(TransceiverSettings, environ(region, "transceiver"))
    (advertised,) = loaded.ingress_addresses
    assert advertised.host == media["loadBalancerIP"]
    assert advertised.port == media["ports"][0]["port"]
    assert media["selector"] == FORWARDERS


def test_each_transceiver_is_reached_at_its_pod(region: list[Object]) -> None:
    (container,) = containers(_deployment(region, "transceiver"))
    (route,) = (
        row["valueFrom"]
        for row in container["env"]
        if row["name"] == "TANDEM_INGRESS_ROUTE"
    )
    assert route == {"fieldRef": {"fieldPath": "status.podIP"}}
    scaler = one(region, "HorizontalPodAutoscaler", "transceiver")
    assert 1 < scaler["minReplicas"] < scaler["maxReplicas"]


def test_a_forwarder_can_start_with_what_it_is_given(region: list[Object]) -> None:
    given = environ(region, "ingress")
    known = {row.variable for row in environment.rows(IngressSettings)}
    assert set(given) <= known
    loaded = environment.load(IngressSettings, given)
    (container,) = containers(_deployment(region, "ingress"))
    assert {port["name"]: port["containerPort"] for port in container["ports"]} == {
        "media": loaded.port,
        "inner": loaded.inner_port,
        "status": loaded.http_port,
    }
    assert container["command"] == ["python", "-m", "transceiver.ingress"]


def test_only_transceivers_and_forwarders_reach_each_other(
    region: list[Object],
) -> None:
    transceiver = one(region, "NetworkPolicy", "transceiver")
    media = [rule for rule in transceiver["ingress"] if _reaches(rule, "media")]
    assert [rule["from"] for rule in media] == [
        [{"podSelector": {"matchLabels": FORWARDERS}}]
    ]
    forwarder = one(region, "NetworkPolicy", "ingress")
    inner = [rule for rule in forwarder["ingress"] if _reaches(rule, "inner")]
    assert [rule["from"] for rule in inner] == [
        [{"podSelector": {"matchLabels": {NAME: "transceiver"}}}]
    ]
    loaded = environment.load(IngressSettings, environ(region, "ingress"))
    answers = [
        rule for rule in transceiver["egress"] if _reaches(rule, loaded.inner_port)
    ]
    assert [rule["to"] for rule in answers] == [
        [{"podSelector": {"matchLabels": FORWARDERS}}]
    ]


def test_a_drain_of_a_forwarder_is_never_cut_off(region: list[Object]) -> None:
    pod = _deployment(region, "ingress")["spec"]["template"]["spec"]
    drain_s = int(environ(region, "ingress")["TANDEM_DRAIN_S"])
    pause_s = pod["containers"][0]["lifecycle"]["preStop"]["sleep"]["seconds"]
    assert pod["terminationGracePeriodSeconds"] > pause_s + drain_s


def test_forwarders_are_as_guarded_as_the_other_pods(region: list[Object]) -> None:
    forwarder, transceiver = (
        _deployment(region, name)["spec"]["template"]["spec"]
        for name in ("ingress", "transceiver")
    )
    for field in ("securityContext", "automountServiceAccountToken"):
        assert forwarder[field] == transceiver[field]
    contexts = [
        pod["containers"][0]["securityContext"] for pod in (forwarder, transceiver)
    ]
    assert contexts[0] == contexts[1]
    assert (
        one(region, "ServiceAccount", "ingress")["automountServiceAccountToken"]
        is False
    )
    assert one(region, "PodDisruptionBudget", "ingress")["maxUnavailable"] == 1
    assert "replicas" not in _deployment(region, "ingress")["spec"]


def _reaches(rule: Object, port: str | int) -> bool:
    return any(one["port"] == port for one in rule["ports"])
