"""What holds for a region with the built-in engine, and what autoscalers ask for."""

import re
from typing import Any

import pytest

from relay.engine.settings import EngineSettings
from relay.settings import RelaySettings
from runtime import settings as environment
from tests.deploy.exported import exported_metrics
from tests.deploy.rendering import ROOT, Object, containers, load, rendered
from tests.deploy.test_kubernetes import SECRETS, environ, of_kind

EXAMPLE = ROOT / "k8s" / "examples" / "no-key"
NAME = "app.kubernetes.io/name"


@pytest.fixture
def region() -> list[Object]:
    return rendered(EXAMPLE)


def test_relays_speak_to_the_engine_s_service(region: list[Object]) -> None:
    relay = environment.load(RelaySettings, environ(region, "relay"))
    service = of_kind(region, "Service")["engine"]["spec"]
    assert relay.engine.host == "engine"
    assert [port["port"] for port in service["ports"]] == [relay.engine.port]
    assert relay.upstream == "builtin"


def test_an_engine_can_start_with_what_it_is_given(region: list[Object]) -> None:
    (container,) = containers(of_kind(region, "Deployment")["engine"])
    (source,) = container["envFrom"]
    given = of_kind(region, "ConfigMap")[source["configMapRef"]["name"]]["data"]
    loaded = environment.load(EngineSettings, given)
    assert set(given) <= {row.variable for row in environment.rows(EngineSettings)}
    assert loaded.host == "0.0.0.0"
    assert container["ports"] == [{"name": "realtime", "containerPort": loaded.port}]


def test_no_key_is_needed(region: list[Object]) -> None:
    (container,) = containers(of_kind(region, "Deployment")["relay"])
    keys = {
        row["name"]: row["valueFrom"]["secretKeyRef"].get("optional", False)
        for row in container["env"]
    }
    assert keys == {"TANDEM_LINK_KEY": False, "TANDEM_UPSTREAM_KEY": True}
    bare = environ(region, "relay")
    del bare["TANDEM_UPSTREAM_KEY"]
    assert SECRETS.keys() >= keys.keys()
    environment.load(RelaySettings, bare)


def test_only_relays_and_monitoring_reach_the_engine(region: list[Object]) -> None:
    policies = of_kind(region, "NetworkPolicy")
    (rule,) = policies["engine"]["spec"]["ingress"]
    assert rule["from"] == [
        {"podSelector": {"matchLabels": {NAME: "relay"}}},
        {
            "namespaceSelector": {
                "matchLabels": {"kubernetes.io/metadata.name": "monitoring"}
            }
        },
    ]
    (way,) = policies["relay"]["spec"]["egress"]
    assert way["to"] == [{"podSelector": {"matchLabels": {NAME: "engine"}}}]


def test_an_engine_is_as_guarded_as_the_other_pods(region: list[Object]) -> None:
    deployments = of_kind(region, "Deployment")
    engine, relay = (
        deployments[name]["spec"]["template"]["spec"] for name in ("engine", "relay")
    )
    for field in ("securityContext", "automountServiceAccountToken"):
        assert engine[field] == relay[field]
    assert (
        engine["containers"][0]["securityContext"]
        == relay["containers"][0]["securityContext"]
    )
    assert "engine" in of_kind(region, "PodDisruptionBudget")


def test_prometheus_finds_each_pod_once_under_the_job_that_alerts_know(
    region: list[Object],
) -> None:
    (job,) = load(ROOT / "k8s" / "examples" / "prometheus.yaml")["scrape_configs"]
    (ports,) = (
        rule["regex"].split("|")
        for rule in job["relabel_configs"]
        if rule["source_labels"] == ["__meta_kubernetes_pod_container_port_name"]
    )
    for name, thing in of_kind(region, "Deployment").items():
        template = thing["spec"]["template"]
        assert template["metadata"]["labels"][NAME] == name
        (found,) = (
            port["containerPort"]
            for port in template["spec"]["containers"][0]["ports"]
            if port["name"] in ports
        )
        told = template["metadata"]["annotations"]
        assert told == {
            "prometheus.io/scrape": "true",
            "prometheus.io/port": str(found),
        }


def test_the_adapter_serves_what_autoscalers_ask_for(region: list[Object]) -> None:
    values = load(ROOT / "k8s" / "examples" / "prometheus-adapter.yaml")
    (rule,) = values["rules"]["custom"]
    (names,) = re.findall(r'__name__=~"([^"]+)"', rule["seriesQuery"])
    asked: set[Any] = {
        metric["pods"]["metric"]["name"]
        for scaler in of_kind(region, "HorizontalPodAutoscaler").values()
        for metric in scaler["spec"]["metrics"]
    }
    assert set(names.split("|")) == asked <= exported_metrics()
