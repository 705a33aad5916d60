"""Alerts and dashboards look at what the services export, and every alert is tried."""

import dataclasses
import json
import pathlib
import re
import shutil
import subprocess
from typing import Any

import pytest

from proto.errors import CloseCode
from proto.stats import FrameCounts
from relay.metrics import STAGES as RELAY_STAGES, TRANSPORTS, Traffic
from tests.deploy.exported import exported_metrics, registries
from tests.deploy.rendering import ROOT, load
from tests.transceiver.leg import Leg
from transceiver.ingress.metrics import DROPPED
from transceiver.sight import LINK, STAGES, UNTIL
from transceiver.webrtc.ice import PortCounters

PROMETHEUS = ROOT / "deploy" / "prometheus"
DASHBOARDS = sorted((ROOT / "deploy" / "grafana" / "dashboards").glob("*.json"))
IN_CLUSTER = ROOT / "k8s" / "examples" / "prometheus.yaml"
UNIT_TESTS = ROOT / "tests" / "deploy" / "alerts_test.yml"

OWN = {"up"}
"""Prometheus's own metrics that are used."""


def told(family: str, label: str) -> set[str]:
    """Return the values of a label that a service tells before anything happened."""
    return {
        sample.labels[label]
        for registry in registries().values()
        for one in registry.collect()
        if one.name == family
        for sample in one.samples
        if label in sample.labels
    }


CODES = {code.name.lower() for code in CloseCode}

VALUES = {
    ("tandem_calls_ended_total", "code"): CODES,
    ("tandem_media_total", "kind"): set(Leg().media.counts()),
    ("tandem_datagrams_dropped_total", "reason"): {
        "unsent",
        *(field.name for field in dataclasses.fields(PortCounters)),
    },
    ("tandem_relay_traffic_total", "kind"): {
        field.name for field in dataclasses.fields(Traffic)
    },
    ("tandem_link_frames_total", "kind"): set(FrameCounts.__slots__),
    ("tandem_link_changes_total", "kind"): told("tandem_link_changes", "kind"),
    ("tandem_link_datagrams_total", "kind"): told("tandem_link_datagrams", "kind"),
    ("tandem_stage_seconds_bucket", "stage"): {*STAGES, LINK, *RELAY_STAGES},
    ("tandem_set_up_seconds_bucket", "until"): set(UNTIL),
    ("tandem_ingress_dropped_total", "reason"): {*DROPPED, "unsent"},
    ("tandem_relay_sessions_closed_total", "code"): CODES,
    ("tandem_relay_sessions", "transport"): set(TRANSPORTS),
    ("tandem_relay_tenant_session_seconds_total", "transport"): set(TRANSPORTS),
    ("up", "job"): {"transceiver", "ingress", "relay", "engine"},
}
"""Values that a label can have; a matcher of any other value matches nothing."""


def rules() -> list[dict[str, Any]]:
    groups = load(PROMETHEUS / "alerts.yml")["groups"]
    return [rule for group in groups for rule in group["rules"]]


def panels() -> list[dict[str, Any]]:
    """Return the panels of all dashboards that ask for something."""
    return [
        panel
        for path in DASHBOARDS
        for panel in json.loads(path.read_text())["panels"]
        if panel["type"] not in {"row", "text"}
    ]


def queries() -> list[dict[str, Any]]:
    return [target for panel in panels() for target in panel["targets"]]


def expressions() -> list[str]:
    return [one["expr"] for one in (*rules(), *queries())]


EXPRESSIONS = expressions()


def test_there_are_dashboards() -> None:
    assert [path.stem for path in DASHBOARDS] == ["call", "region", "sound"]


@pytest.mark.parametrize("expression", EXPRESSIONS)
def test_every_metric_asked_for_is_exported(expression: str) -> None:
    names = set(re.findall(r"\b(?:tandem_\w+|up\b)", expression))
    assert names
    assert names - OWN <= exported_metrics()


@pytest.mark.parametrize("expression", EXPRESSIONS)
def test_every_value_matched_is_one_that_is_exported(expression: str) -> None:
    for metric, matchers in re.findall(r"(\w+)\{([^}]*)\}", expression):
        for label, _, values in re.findall(r'(\w+)(=~|!~|=|!=)"([^"]*)"', matchers):
            assert set(values.split("|")) <= VALUES[metric, label]


def test_every_alert_is_tried_firing_and_quiet() -> None:
    fired: set[str] = set()
    quiet: set[str] = set()
    for trial in load(UNIT_TESTS)["tests"]:
        for check in trial["alert_rule_test"]:
            (fired if check.get("exp_alerts") else quiet).add(check["alertname"])
    assert fired == quiet == {rule["alert"] for rule in rules()}


def test_every_alert_says_how_urgent_it_is_and_what_to_look_at() -> None:
    for rule in rules():
        assert rule["labels"]["severity"] in {"critical", "warning"}
        assert set(rule["annotations"]) == {"summary", "description"}


def test_prometheus_scrapes_every_service() -> None:
    jobs = load(PROMETHEUS / "prometheus.yml")["scrape_configs"]
    assert {job["job_name"] for job in jobs} == VALUES["up", "job"]


def test_dashboards_use_the_data_source_that_is_provisioned() -> None:
    folder = ROOT / "deploy" / "grafana" / "provisioning" / "datasources"
    (source,) = load(folder / "prometheus.yml")["datasources"]
    for one in (*panels(), *queries()):
        assert one["datasource"] == {"type": "prometheus", "uid": source["uid"]}


@pytest.mark.parametrize("path", DASHBOARDS, ids=lambda path: path.stem)
def test_a_dashboard_is_one_that_grafana_can_lay_out(path: pathlib.Path) -> None:
    """No Grafana is at hand to show it: what its JSON model asks for is held here."""
    board = json.loads(path.read_text())
    assert board["uid"] == f"tandem-{path.stem}"
    assert board["schemaVersion"] == 39
    taken: set[tuple[int, int]] = set()
    for panel in board["panels"]:
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= 24
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert taken.isdisjoint(cells), panel["title"]
        taken |= cells
        assert panel["type"] in {"row", "text", "stat", "timeseries"}
        if panel["type"] == "text":
            assert panel["options"]["mode"] == "markdown"
    ids = [panel["id"] for panel in board["panels"]]
    assert len(set(ids)) == len(ids)


def test_panels_ask_in_units_and_letters_that_grafana_knows() -> None:
    units = {"short", "s", "pps", "percentunit", "bool"}
    for panel in panels():
        assert panel["fieldConfig"]["defaults"]["unit"] in units
        letters = [target["refId"] for target in panel["targets"]]
        assert len(set(letters)) == len(letters)


def test_a_legend_names_labels_that_its_query_keeps() -> None:
    for target in queries():
        named = set(re.findall(r"\{\{(\w+)\}\}", target["legendFormat"]))
        grouped = re.findall(r"by \(([^)]*)\)", target["expr"])
        if grouped:
            assert named <= set(re.findall(r"\w+", grouped[0])), target["expr"]


@pytest.mark.skipif(shutil.which("promtool") is None, reason="no promtool here")
def test_promtool_finds_no_fault_with_the_scrape_of_a_cluster(
    tmp_path: pathlib.Path,
) -> None:
    """But for what finds the pods, which Debian's build knows nothing of."""
    told = load(IN_CLUSTER)
    (job,) = told["scrape_configs"]
    job["static_configs"] = [{"targets": ["a:1"]}]
    assert job.pop("kubernetes_sd_configs")[0]["role"] == "pod"
    file = tmp_path / "prometheus.json"  # YAML is a superset of it
    file.write_text(json.dumps(told))
    done = subprocess.run(
        ["promtool", "check", "config", "--syntax-only", str(file)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.skipif(shutil.which("promtool") is None, reason="no promtool here")
def test_promtool_can_read_what_the_dashboards_ask(tmp_path: pathlib.Path) -> None:
    recorded = [
        {"record": f"panel:{number}", "expr": target["expr"]}
        for number, target in enumerate(queries())
    ]
    file = tmp_path / "dashboards.json"  # YAML is a superset of it
    file.write_text(json.dumps({"groups": [{"name": "all", "rules": recorded}]}))
    done = subprocess.run(
        ["promtool", "check", "rules", str(file)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.skipif(shutil.which("promtool") is None, reason="no promtool here")
@pytest.mark.parametrize(
    "command",
    [
        ("check", "config", str(PROMETHEUS / "prometheus.yml")),
        ("test", "rules", str(UNIT_TESTS)),
    ],
    ids=["configuration", "alerts"],
)
def test_promtool_finds_no_fault(command: tuple[str, ...]) -> None:
    done = subprocess.run(
        ["promtool", *command], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
