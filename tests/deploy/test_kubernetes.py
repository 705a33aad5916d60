"""What holds for every region that k8s/ describes."""

import base64
import dataclasses
import json
import re
import shutil
import subprocess
from typing import Any

import pytest

from relay.settings import RelaySettings
from runtime import settings as environment
from tests.deploy.exported import exported_metrics
from tests.deploy.rendering import (
    OVERLAYS,
    ROOT,
    Object,
    containers,
    load_all,
    overlay,
)
from transceiver.settings import TransceiverSettings

SETTINGS: dict[str, type[Any]] = {
    "transceiver": TransceiverSettings,
    "relay": RelaySettings,
}
SECRETS = {
    "TANDEM_LINK_KEY": base64.b64encode(bytes(32)).decode(),
    "TANDEM_API_KEYS": "sk-one",
    "TANDEM_UPSTREAM_KEY": "sk-two",
}
NAME = "app.kubernetes.io/name"


@pytest.fixture(params=OVERLAYS)
def region(request: pytest.FixtureRequest) -> list[Object]:
    return overlay(request.param)


def of_kind(region: list[Object], kind: str) -> dict[str, Object]:
    return {
        thing["metadata"]["name"]: thing for thing in region if thing["kind"] == kind
    }


def pods(region: list[Object]) -> dict[str, Object]:
    """Return the pod specifications, by deployment."""
    return {
        name: thing["spec"]["template"]["spec"]
        for name, thing in of_kind(region, "Deployment").items()
    }


def environ(region: list[Object], name: str) -> dict[str, str]:
    """Return what a service is configured with, secrets filled in."""
    (container,) = containers(of_kind(region, "Deployment")[name])
    (source,) = container["envFrom"]
    data = of_kind(region, "ConfigMap")[source["configMapRef"]["name"]]["data"]
    secrets = {row["name"]: SECRETS[row["name"]] for row in container["env"]}
    return {**data, **secrets}


# --- what is deployed ---


def test_both_services_are_deployed(region: list[Object]) -> None:
    assert set(pods(region)) == set(SETTINGS)


def test_all_regions_have_the_same_objects() -> None:
    def names(region: list[Object]) -> set[tuple[str, str]]:
        return {
            (thing["kind"], re.sub(r"-[0-9a-f]{10}$", "", thing["metadata"]["name"]))
            for thing in region
        }

    first, *others = [names(overlay(name)) for name in OVERLAYS]
    assert len(others) == 2
    assert all(other == first for other in others)


def test_regions_differ_in_name_address_and_host() -> None:
    regions = [overlay(name) for name in OVERLAYS]
    addresses = {environ(r, "transceiver")["TANDEM_PUBLIC_ADDRESS"] for r in regions}
    hosts = {
        ingress["spec"]["rules"][0]["host"]
        for r in regions
        for ingress in of_kind(r, "Ingress").values()
    }
    labels = {
        tuple({thing["metadata"]["labels"]["tandem/region"] for thing in r})
        for r in regions
    }
    assert len(addresses) == len(hosts) == len(OVERLAYS)
    assert labels == {(name,) for name in OVERLAYS}


@pytest.mark.parametrize("service", SETTINGS)
def test_a_service_can_start_with_what_it_is_given(
    region: list[Object], service: str
) -> None:
    given = environ(region, service)
    settings = SETTINGS[service]
    known = {row.variable for row in environment.rows(settings)}
    assert set(given) <= known
    environment.load(settings, given)


@pytest.mark.parametrize("service", SETTINGS)
def test_named_ports_are_those_the_service_listens_on(
    region: list[Object], service: str
) -> None:
    loaded = environment.load(SETTINGS[service], environ(region, service))
    (container,) = containers(of_kind(region, "Deployment")[service])
    ports = {port["name"]: port["containerPort"] for port in container["ports"]}
    if service == "transceiver":
        assert ports == {"http": loaded.http_port, "media": loaded.udp_port}
    else:
        link = loaded.link_port
        assert ports == {"link": link, "tunnel": link, "status": loaded.http_port}


def test_secrets_are_referred_to_and_never_rendered(region: list[Object]) -> None:
    assert of_kind(region, "Secret") == {}
    for name, settings in SETTINGS.items():
        secret = {
            field.metadata["row"].variable
            for field in dataclasses.fields(settings)
            if not field.repr
        }
        (container,) = containers(of_kind(region, "Deployment")[name])
        assert all("secretKeyRef" in row["valueFrom"] for row in container["env"])
        for data in of_kind(region, "ConfigMap").values():
            assert secret.isdisjoint(data["data"])


def test_a_changed_configuration_is_a_rollout(region: list[Object]) -> None:
    for name in of_kind(region, "ConfigMap"):
        assert re.search(r"-[0-9a-f]{10}$", name)


def test_the_signalling_host_shows_no_status_pages(region: list[Object]) -> None:
    for ingress in of_kind(region, "Ingress").values():
        assert ingress["spec"]["tls"]
        (rule,) = ingress["spec"]["rules"]
        paths = {(p["path"], p["pathType"]) for p in rule["http"]["paths"]}
        assert paths == {("/", "Exact"), ("/page", "Prefix"), ("/v1", "Prefix")}


# --- staying up ---


def test_a_rollout_takes_no_capacity_away(region: list[Object]) -> None:
    for thing in of_kind(region, "Deployment").values():
        rolling = thing["spec"]["strategy"]["rollingUpdate"]
        assert rolling == {"maxSurge": 1, "maxUnavailable": 0}
        assert "replicas" not in thing["spec"]  # the autoscaler's


def test_alive_and_ready_are_asked_apart(region: list[Object]) -> None:
    for thing in of_kind(region, "Deployment").values():
        (container,) = containers(thing)
        assert container["livenessProbe"]["httpGet"]["path"] == "/healthz"
        assert container["readinessProbe"]["httpGet"]["path"] == "/readyz"


def test_a_drain_waits_for_the_longest_call_and_is_never_cut_off(
    region: list[Object],
) -> None:
    longest_s = int(environ(region, "relay")["TANDEM_MAX_CALL_S"])
    for name, pod in pods(region).items():
        drain_s = int(environ(region, name)["TANDEM_DRAIN_S"])
        pause_s = pod["containers"][0]["lifecycle"]["preStop"]["sleep"]["seconds"]
        assert drain_s >= longest_s
        assert pod["terminationGracePeriodSeconds"] > pause_s + drain_s


def test_a_lost_zone_holds_up_no_replacement(region: list[Object]) -> None:
    for name, pod in pods(region).items():
        zone, host = pod["topologySpreadConstraints"]
        assert zone["topologyKey"] == "topology.kubernetes.io/zone"
        assert zone["whenUnsatisfiable"] == "DoNotSchedule"
        assert zone["nodeTaintsPolicy"] == "Honor"
        assert host["whenUnsatisfiable"] == "ScheduleAnyway"
        for spread in (zone, host):
            assert spread["labelSelector"]["matchLabels"] == {NAME: name}


def test_every_deployment_has_a_budget_and_an_autoscaler(region: list[Object]) -> None:
    budgets = of_kind(region, "PodDisruptionBudget")
    scalers = of_kind(region, "HorizontalPodAutoscaler")
    for name in of_kind(region, "Deployment"):
        assert budgets[name]["spec"]["maxUnavailable"] == 1
        assert budgets[name]["spec"]["selector"]["matchLabels"] == {NAME: name}
        assert scalers[name]["spec"]["scaleTargetRef"]["name"] == name


def test_autoscalers_count_calls_by_metrics_that_exist(region: list[Object]) -> None:
    for scaler in of_kind(region, "HorizontalPodAutoscaler").values():
        (metric,) = scaler["spec"]["metrics"]
        assert metric["pods"]["metric"]["name"] in exported_metrics()


def test_one_transceiver_holds_a_media_address(region: list[Object]) -> None:
    """Behind one address nothing tells which of several holds a caller's call."""
    scaler = of_kind(region, "HorizontalPodAutoscaler")["transceiver"]["spec"]
    assert scaler["minReplicas"] == scaler["maxReplicas"] == 1


def test_memory_is_bounded_and_the_processor_is_not(region: list[Object]) -> None:
    for thing in of_kind(region, "Deployment").values():
        (container,) = containers(thing)
        assert set(container["resources"]["requests"]) == {"cpu", "memory"}
        assert set(container["resources"]["limits"]) == {"memory"}


# --- who reaches what ---


def test_media_comes_straight_to_its_node_at_the_public_address(
    region: list[Object],
) -> None:
    media = of_kind(region, "Service")["media"]["spec"]
    assert media["type"] == "LoadBalancer"
    assert media["externalTrafficPolicy"] == "Local"
    assert [port["protocol"] for port in media["ports"]] == ["UDP"]
    loaded = environment.load(TransceiverSettings, environ(region, "transceiver"))
    assert media["ports"][0]["port"] == loaded.udp_port
    assert media["loadBalancerIP"] == loaded.public_address


def test_transceivers_dial_relays_by_the_name_of_their_service(
    region: list[Object],
) -> None:
    loaded = environment.load(TransceiverSettings, environ(region, "transceiver"))
    ((relay,),) = loaded.relays
    service = of_kind(region, "Service")[relay.host]["spec"]
    assert service["clusterIP"] == "None"
    assert {(p["port"], p.get("protocol")) for p in service["ports"]} == {
        (relay.port, "UDP"),
        (relay.port, "TCP"),
    }


def test_nothing_may_talk_but_what_is_named(region: list[Object]) -> None:
    spec = of_kind(region, "NetworkPolicy")["deny-all"]["spec"]
    assert spec == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}


def test_only_transceivers_reach_the_link(region: list[Object]) -> None:
    link = environment.load(RelaySettings, environ(region, "relay")).link_port
    ours = {"podSelector": {"matchLabels": {NAME: "transceiver"}}}
    protocols = set()
    for policy in of_kind(region, "NetworkPolicy").values():
        selected = policy["spec"]["podSelector"].get("matchLabels", {NAME: "relay"})
        for rule in policy["spec"].get("ingress", []):
            if selected[NAME] != "relay":
                continue
            ports = [p for p in rule["ports"] if p["port"] in {link, "link", "tunnel"}]
            protocols |= {port["protocol"] for port in ports}
            assert not ports or rule["from"] == [ours]
            assert all("endPort" not in port for port in rule["ports"])
    assert protocols == {"UDP", "TCP"}


# --- what a pod may do ---


def test_no_pod_holds_a_token_of_the_cluster(region: list[Object]) -> None:
    accounts = of_kind(region, "ServiceAccount")
    for name, pod in pods(region).items():
        assert pod["serviceAccountName"] == name
        assert pod["automountServiceAccountToken"] is False
        assert accounts[name]["automountServiceAccountToken"] is False


def test_the_namespace_refuses_pods_that_are_not_restricted(
    region: list[Object],
) -> None:
    (namespace,) = of_kind(region, "Namespace").values()
    labels = namespace["metadata"]["labels"]
    assert labels["pod-security.kubernetes.io/enforce"] == "restricted"
    assert {
        thing["metadata"]["namespace"]
        for thing in region
        if thing["kind"] != "Namespace"
    } == {namespace["metadata"]["name"]}


def test_pods_are_restricted_and_write_nowhere(region: list[Object]) -> None:
    for pod in pods(region).values():
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        assert {"hostNetwork", "hostPID", "hostIPC", "volumes"}.isdisjoint(pod)
        (container,) = pod["containers"]
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
        assert all("hostPort" not in port for port in container["ports"])


# --- the renderer itself ---


@pytest.mark.skipif(shutil.which("kubectl") is None, reason="no kubectl here")
@pytest.mark.parametrize("name", OVERLAYS)
def test_kustomize_renders_the_same(name: str) -> None:
    def unhashed(objects: list[Object]) -> list[str]:
        return sorted(
            re.sub(r'"(relay|transceiver)-[0-9a-z]{10}"', r'"\1"', text)
            for text in (json.dumps(thing, sort_keys=True) for thing in objects)
        )

    done = subprocess.run(
        ["kubectl", "kustomize", str(ROOT / "k8s" / "overlays" / name)],
        capture_output=True,
        text=True,
        check=True,
    )
    assert unhashed(load_all(done.stdout)) == unhashed(overlay(name))
