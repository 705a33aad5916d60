"""What holds for every region that k8s/ describes."""

import base64
import dataclasses
import re
from typing import Any

import pytest

from deploy.deletion_cost.cluster import OURS, STATUS_PORT
from deploy.deletion_cost.settings import DeletionCostSettings
from relay.settings import RelaySettings
from runtime import settings as environment
from tests.deploy.exported import exported_metrics
from tests.deploy.rendering import (
    OVERLAYS,
    Object,
    containers,
    overlay,
)
from tests.support.service_account import service_account
from transceiver.settings import TransceiverSettings

SETTINGS: dict[str, type[Any]] = {
    "transceiver": TransceiverSettings,
    "relay": RelaySettings,
    "deletion-cost": DeletionCostSettings,
}
CALLED = ("transceiver", "relay")
"""What holds calls."""

SECRETS = {
    "TANDEM_LINK_KEY": base64.b64encode(bytes(32)).decode(),
    "TANDEM_API_KEYS": "sk-one",
    "TANDEM_UPSTREAM_KEY": "sk-two",
}
NAME = "app.kubernetes.io/name"
PUBLISHED = "external-dns.alpha.kubernetes.io/hostname"


@pytest.fixture(params=OVERLAYS)
def region(request: pytest.FixtureRequest) -> list[Object]:
    return overlay(request.param)


def of_kind(region: list[Object], kind: str) -> dict[str, Object]:
    """Return the objects of a kind, by name; there are some."""
    found = {
        thing["metadata"]["name"]: thing for thing in region if thing["kind"] == kind
    }
    assert found, f"no {kind}: what is asked of each is asked of none"
    return found


def pods(region: list[Object]) -> dict[str, Object]:
    """Return the pod specifications, by deployment."""
    return {
        name: thing["spec"]["template"]["spec"]
        for name, thing in of_kind(region, "Deployment").items()
    }


def called(region: list[Object]) -> dict[str, Object]:
    """Return the deployments of what holds calls."""
    deployments = of_kind(region, "Deployment")
    return {name: deployments[name] for name in CALLED}


@pytest.fixture(scope="module")
def mounted(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Return where to find what a pod has in its file system."""
    account = tmp_path_factory.mktemp("serviceaccount")
    service_account(account)
    return {"TANDEM_SERVICE_ACCOUNT": str(account)}


def environ(region: list[Object], name: str) -> dict[str, str]:
    """Return what a service is configured with, secrets filled in."""
    (container,) = containers(of_kind(region, "Deployment")[name])
    (source,) = container["envFrom"]
    data = of_kind(region, "ConfigMap")[source["configMapRef"]["name"]]["data"]
    secrets = {row["name"]: SECRETS[row["name"]] for row in container.get("env", [])}
    return {**data, **secrets}


# --- what is deployed ---


def test_every_service_is_deployed(region: list[Object]) -> None:
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
    traced = {
        environ(r, service)["OTEL_RESOURCE_ATTRIBUTES"]
        for r in regions
        for service in CALLED
    }
    assert len(addresses) == len(hosts) == len(OVERLAYS)
    assert traced == {f"cloud.region={name}" for name in OVERLAYS}
    assert labels == {(name,) for name in OVERLAYS}


@pytest.mark.parametrize("service", SETTINGS)
def test_a_service_can_start_with_what_it_is_given(
    region: list[Object], service: str, mounted: dict[str, str]
) -> None:
    given = environ(region, service)
    settings = SETTINGS[service]
    known = {row.variable for row in environment.rows(settings)}
    assert {name for name in given if not name.startswith("OTEL_")} <= known
    environment.load(settings, given | mounted)


@pytest.mark.parametrize("service", SETTINGS)
def test_named_ports_are_those_the_service_listens_on(
    region: list[Object], service: str, mounted: dict[str, str]
) -> None:
    loaded = environment.load(SETTINGS[service], environ(region, service) | mounted)
    (container,) = containers(of_kind(region, "Deployment")[service])
    ports = {port["name"]: port["containerPort"] for port in container["ports"]}
    match loaded:
        case TransceiverSettings():
            own = {"http": loaded.http_port, "media": loaded.udp_port}
            assert ports == own | {"status": loaded.status_port}
        case RelaySettings():
            link = loaded.link_port
            assert ports == {"link": link, "tunnel": link, "status": loaded.http_port}
        case _:
            assert ports == {"status": loaded.http_port}


def test_secrets_are_referred_to_and_never_rendered(region: list[Object]) -> None:
    assert "Secret" not in {thing["kind"] for thing in region}
    for name, settings in SETTINGS.items():
        secret = {
            field.metadata["row"].variable
            for field in dataclasses.fields(settings)
            if not field.repr
        }
        (container,) = containers(of_kind(region, "Deployment")[name])
        given = container.get("env", [])
        assert all("secretKeyRef" in row["valueFrom"] for row in given)
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
    for thing in called(region).values():
        assert "replicas" not in thing["spec"]  # the autoscaler's


def test_alive_and_ready_are_asked_apart(region: list[Object]) -> None:
    for thing in of_kind(region, "Deployment").values():
        (container,) = containers(thing)
        assert container["livenessProbe"]["httpGet"]["path"] == "/healthz"
        assert container["readinessProbe"]["httpGet"]["path"] == "/readyz"
        for probe in ("livenessProbe", "readinessProbe"):
            assert container[probe]["httpGet"]["port"] == "status"


def test_a_drain_waits_for_the_longest_call_and_is_never_cut_off(
    region: list[Object],
) -> None:
    longest_s = int(environ(region, "relay")["TANDEM_MAX_CALL_S"])
    for name, thing in called(region).items():
        pod = thing["spec"]["template"]["spec"]
        drain_s = int(environ(region, name)["TANDEM_DRAIN_S"])
        pause_s = pod["containers"][0]["lifecycle"]["preStop"]["sleep"]["seconds"]
        assert drain_s >= longest_s
        assert pod["terminationGracePeriodSeconds"] > pause_s + drain_s


def test_a_lost_zone_holds_up_no_replacement(region: list[Object]) -> None:
    for name, thing in called(region).items():
        pod = thing["spec"]["template"]["spec"]
        zone, host = pod["topologySpreadConstraints"]
        assert zone["topologyKey"] == "topology.kubernetes.io/zone"
        assert zone["whenUnsatisfiable"] == "DoNotSchedule"
        assert zone["nodeTaintsPolicy"] == "Honor"
        assert host["whenUnsatisfiable"] == "ScheduleAnyway"
        for spread in (zone, host):
            assert spread["labelSelector"]["matchLabels"] == {NAME: name}


def test_every_deployment_has_a_budget(region: list[Object]) -> None:
    budgets = of_kind(region, "PodDisruptionBudget")
    for name in of_kind(region, "Deployment"):
        assert budgets[name]["spec"]["maxUnavailable"] == 1
        assert budgets[name]["spec"]["selector"]["matchLabels"] == {NAME: name}


def test_what_holds_calls_has_an_autoscaler(region: list[Object]) -> None:
    scalers = of_kind(region, "HorizontalPodAutoscaler")
    assert scalers.keys() == set(CALLED)
    for name in CALLED:
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
    ((relay,), _) = loaded.relays
    service = of_kind(region, "Service")[relay.host]["spec"]
    assert service["clusterIP"] == "None"
    assert {(p["port"], p.get("protocol")) for p in service["ports"]} == {
        (relay.port, "UDP"),
        (relay.port, "TCP"),
    }


def test_every_region_falls_back_on_another_whose_relays_let_it_in() -> None:
    regions = {name: overlay(name) for name in OVERLAYS}
    published = {
        of_kind(region, "Service")["relay"]["metadata"]["annotations"][PUBLISHED]: name
        for name, region in regions.items()
    }
    networks = {name: admitted(region) for name, region in regions.items()}
    own = {
        name: set.intersection(
            *(networks[other] for other in OVERLAYS if other != name)
        )
        for name in OVERLAYS
    }
    for name, region in regions.items():
        loaded = environment.load(TransceiverSettings, environ(region, "transceiver"))
        ((near,), (far,)) = loaded.relays
        fallback = published[far.host]
        assert fallback != name
        assert near.port == far.port
        policy = of_kind(region, "NetworkPolicy")["transceiver"]["spec"]
        _, *abroad = policy["egress"][0]["to"]
        assert {peer["ipBlock"]["cidr"] for peer in abroad} == own[fallback]
        assert len(own[name]) == 1
        assert own[name].isdisjoint(networks[name])  # callers of its own, by label


def admitted(region: list[Object]) -> set[str]:
    """Return the networks that may reach a region's relays."""
    (_, *abroad) = of_kind(region, "NetworkPolicy")["relay"]["spec"]["ingress"][0][
        "from"
    ]
    return {peer["ipBlock"]["cidr"] for peer in abroad}


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
            assert not ports or rule["from"][0] == ours
            assert all(set(peer) == {"ipBlock"} for peer in rule["from"][1:] if ports)
            assert all("endPort" not in port for port in rule["ports"])
    assert protocols == {"UDP", "TCP"}


# --- what a pod may do ---


def test_no_pod_that_holds_calls_holds_a_token_of_the_cluster(
    region: list[Object],
) -> None:
    accounts = of_kind(region, "ServiceAccount")
    for name, pod in pods(region).items():
        assert pod["serviceAccountName"] == name
        assert pod["automountServiceAccountToken"] is (name not in CALLED)
        assert accounts[name]["automountServiceAccountToken"] is False


def test_the_one_token_lets_pods_be_listed_and_annotated(region: list[Object]) -> None:
    (role,) = of_kind(region, "Role").values()
    (binding,) = of_kind(region, "RoleBinding").values()
    assert role["rules"] == [
        {"apiGroups": [""], "resources": ["pods"], "verbs": ["list", "patch"]}
    ]
    assert binding["roleRef"]["name"] == role["metadata"]["name"]
    (subject,) = binding["subjects"]
    account = of_kind(region, "ServiceAccount")[subject["name"]]
    assert account["metadata"]["namespace"] == subject["namespace"]


def test_the_pods_whose_cost_is_kept_are_found_and_reached(
    region: list[Object],
) -> None:
    policies = of_kind(region, "NetworkPolicy")
    keeper = {"podSelector": {"matchLabels": {NAME: "deletion-cost"}}}
    for name, thing in called(region).items():
        labels = thing["spec"]["template"]["metadata"]["labels"]
        for key, value in re.findall(r"([\w./-]+)=([\w-]+)", OURS):
            assert labels[key] == value
        assert labels[NAME] in OURS
        (container,) = containers(thing)
        assert STATUS_PORT in {port["name"] for port in container["ports"]}
        (rule,) = (
            rule
            for rule in policies[name]["spec"]["ingress"]
            if rule["ports"] == [{"protocol": "TCP", "port": STATUS_PORT}]
        )
        assert keeper in rule["from"]


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
