"""What docker-compose.yml and the images promise."""

import re
from typing import Any

import pytest

from relay.engine.settings import EngineSettings
from relay.settings import RelaySettings
from runtime import settings as environment
from runtime.collector import ENDPOINTS
from scripts.compile import modules
from tests.deploy.rendering import ROOT, load
from transceiver.ingress.settings import IngressSettings
from transceiver.settings import TransceiverSettings

COMPOSE = load(ROOT / "docker-compose.yml")
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
TRACES = set(COMPOSE["x-traces"])
OWN: dict[str, type[Any]] = {
    "transceiver": TransceiverSettings,
    "ingress": IngressSettings,
    "relay": RelaySettings,
    "engine": EngineSettings,
}
NOT_HANDED: dict[str, set[str]] = {
    "transceiver": {"TANDEM_UDP_HOST"},
    "ingress": {"TANDEM_INGRESS_HOST", "TANDEM_INGRESS_INNER_HOST"},
    "relay": set(),
    "engine": {"TANDEM_UPSTREAM_KEY"},  # the remote API's; only the relay reaches it
}
IMAGES = [name for name in OWN if name != "ingress"]  # which is the transceiver's
DOCKERFILE = (ROOT / "Dockerfile").read_text()


def entry(service: str) -> str:
    """Return the part of the Dockerfile that makes an image."""
    return DOCKERFILE.partition(f"FROM final AS {service}\n")[2].partition("\nFROM ")[0]


def stage(name: str) -> str:
    """Return the part of the Dockerfile that makes what images copy from."""
    (text,) = re.findall(
        rf"^FROM \S+ AS {name}\n(.*?)(?=^FROM )", DOCKERFILE, re.M | re.S
    )
    return str(text)


@pytest.mark.parametrize("service", OWN)
def test_what_a_service_is_told_are_settings_of_its_own(service: str) -> None:
    known = {row.variable for row in environment.rows(OWN[service])}
    assert set(SERVICES[service]["environment"]) - TRACES <= known


def test_what_carries_calls_can_be_told_where_traces_go() -> None:
    assert ENDPOINTS[-1] in TRACES
    assert all(name.startswith("OTEL_") for name in TRACES)
    for service, container in SERVICES.items():
        told = TRACES & set(container.get("environment", {}))
        assert told == (TRACES if service in {"transceiver", "relay"} else set())


@pytest.mark.parametrize("service", OWN)
def test_every_setting_that_is_no_port_can_be_set_from_outside(service: str) -> None:
    known = {row.variable for row in environment.rows(OWN[service])}
    handed = set(SERVICES[service]["environment"])
    left = {name for name in known - handed if not name.endswith("_PORT")}
    assert left == NOT_HANDED[service]


@pytest.mark.parametrize("service", IMAGES)
def test_an_image_listens_on_the_ports_that_its_service_has(service: str) -> None:
    defaults = {row.variable: row.default for row in environment.rows(OWN[service])}
    ports = {number for name, number in defaults.items() if name.endswith("_PORT")}
    ports.discard("")  # one that is closed unless set
    if service == "relay":
        ports.remove(defaults["TANDEM_ENGINE_PORT"])  # where it goes, not where it is
    exposed = re.findall(r"^EXPOSE (.*)$", entry(service), re.MULTILINE)
    assert {port.partition("/")[0] for port in exposed[0].split()} == ports


@pytest.mark.parametrize("service", IMAGES)
def test_a_service_is_the_first_process_of_its_image(service: str) -> None:
    module = "relay.engine" if service == "engine" else service
    assert f'ENTRYPOINT ["python", "-m", "{module}"]' in entry(service)
    assert "HEALTHCHECK" in entry(service)


def test_no_image_runs_as_root_or_holds_a_compiler() -> None:
    final = DOCKERFILE.partition("AS final\n")[2]
    assert re.findall(r"^USER (.*)$", final, re.MULTILINE) == ["10001:10001"]
    assert "PIP_ONLY_BINARY=:all:" in DOCKERFILE
    assert "PIP_REQUIRE_HASHES=1" in DOCKERFILE
    assert "apt-get" not in DOCKERFILE
    assert "RUN" not in final
    copied = set(re.findall(r"--from=([a-z-]+)", final))
    assert copied == {*(f"{service}-build" for service in IMAGES), "volumes"}


def test_what_is_compiled_runs_on_every_cpu_and_is_all_that_leaves_its_stage() -> None:
    compiled = stage("compiled")
    assert "-mcpu=baseline" in compiled
    assert "-m scripts.compile" in compiled
    taken = re.findall(r"--from=compiled (\S+) (\S+)", DOCKERFILE)
    assert [source for source, _ in taken] == [
        f"/opt/tandem/app/{to}" for _, to in taken
    ]
    for _, package in taken:
        [copied] = re.findall(rf"^COPY (.*) {package}/$", compiled, re.MULTILINE)
        for kind in {source.suffix for source in (ROOT / package).glob("*.p[xy][xd]")}:
            assert f"{package}/*{kind}" in copied.split()
        assert compiled.index(f"COPY {package}/") < compiled.index("-m scripts.compile")


def test_an_image_has_its_compiled_modules() -> None:
    compiled = {module.name.partition(".")[0] for module in modules(ROOT)}
    for service, other in (("transceiver", "relay"), ("relay", "transceiver")):
        for package in compiled - {other}:
            taken = f"--from=compiled /opt/tandem/app/{package} {package}"
            assert taken in stage(f"{service}-build")


def test_no_image_is_built_with_what_was_compiled_on_another_machine() -> None:
    ignored = (ROOT / ".dockerignore").read_text().splitlines()
    assert ignored.index("**/*.so") > ignored.index("!transceiver")


def test_what_the_images_copy_is_not_ignored() -> None:
    known = {
        line[1:]
        for line in (ROOT / ".dockerignore").read_text().splitlines()
        if line.startswith("!")
    }
    for sources in re.findall(r"^COPY (?!--from)(.*) \S+$", DOCKERFILE, re.MULTILINE):
        for source in sources.split():
            folder = re.sub(r"/(\*\.p(yx|xd)|(__init__|fields)\.py)$", "", source)
            assert any(f"{name}/".startswith(f"{folder}/") for name in known), source


@pytest.mark.parametrize("service", SERVICES)
def test_containers_write_nowhere_and_gain_nothing(service: str) -> None:
    container = SERVICES[service]
    assert container["read_only"] is True
    assert container["cap_drop"] == ["ALL"]
    assert container["security_opt"] == ["no-new-privileges:true"]


@pytest.mark.parametrize("service", SERVICES)
def test_everything_is_published_on_this_machine_only(service: str) -> None:
    here = ("127.0.0.1:", "${TANDEM_PUBLISHED_HOST:-127.0.0.1}:")
    assert all(port.startswith(here) for port in SERVICES[service].get("ports", []))


def test_the_edge_is_told_where_it_is_published() -> None:
    edge = SERVICES["transceiver"]["environment"]
    assert edge["TANDEM_PUBLISHED_HOST"] == "${TANDEM_PUBLISHED_HOST:-127.0.0.1}"


def test_status_pages_are_published_nowhere() -> None:
    edge = SERVICES["transceiver"]["environment"]
    assert edge["TANDEM_STATUS_HOST"] == "0.0.0.0"
    status = str(edge["TANDEM_STATUS_PORT"])
    assert not any(status in port for port in SERVICES["transceiver"]["ports"])
    scraped = {
        job["job_name"]: str(job["dns_sd_configs"][0]["port"])
        for job in load(ROOT / "deploy" / "prometheus" / "prometheus.yml")[
            "scrape_configs"
        ]
    }
    assert scraped["transceiver"] == status


def test_the_forwarder_is_there_for_who_asks_and_goes_after_the_edge() -> None:
    forwarder = SERVICES["ingress"]
    assert forwarder["profiles"] == ["ingress"]
    assert forwarder["image"] == SERVICES["transceiver"]["image"]
    needs = SERVICES["transceiver"]["depends_on"]["ingress"]
    assert needs == {"condition": "service_started", "required": False}


def test_no_key_stands_in_the_file() -> None:
    for container in SERVICES.values():
        for name, value in container.get("environment", {}).items():
            if name.endswith(("_KEY", "_KEYS")):
                assert value is None  # handed through from the shell or .env


def test_the_link_s_key_is_made_before_who_needs_it() -> None:
    for service in ("transceiver", "relay"):
        needs = SERVICES[service]["depends_on"]
        assert needs["keys"] == {"condition": "service_completed_successfully"}
        assert "keys:/keys:ro" in SERVICES[service]["volumes"]
    assert "keys:/keys" in SERVICES["keys"]["volumes"]


def test_calls_end_before_what_carries_them() -> None:
    assert "relay" in SERVICES["transceiver"]["depends_on"]
    assert "engine" in SERVICES["relay"]["depends_on"]
