"""What docker-compose.yml and the images promise."""

import re
from typing import Any

import pytest

from relay.engine.settings import EngineSettings
from relay.settings import RelaySettings
from runtime import settings as environment
from tests.deploy.rendering import ROOT, load
from transceiver.settings import TransceiverSettings

COMPOSE = load(ROOT / "docker-compose.yml")
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
OWN: dict[str, type[Any]] = {
    "transceiver": TransceiverSettings,
    "relay": RelaySettings,
    "engine": EngineSettings,
}
NOT_HANDED: dict[str, set[str]] = {
    "transceiver": {  # the last two: no forwarder stands in front
        "TANDEM_UDP_HOST",
        "TANDEM_INGRESS_ADDRESS",
        "TANDEM_INGRESS_ROUTE",
    },
    "relay": set(),
    "engine": {"TANDEM_UPSTREAM_KEY"},  # the remote API's; only the relay reaches it
}
DOCKERFILE = (ROOT / "Dockerfile").read_text()


def entry(service: str) -> str:
    """Return the part of the Dockerfile that makes an image."""
    return DOCKERFILE.partition(f"FROM final AS {service}\n")[2].partition("\nFROM ")[0]


@pytest.mark.parametrize("service", OWN)
def test_what_a_service_is_told_are_settings_of_its_own(service: str) -> None:
    known = {row.variable for row in environment.rows(OWN[service])}
    assert set(SERVICES[service]["environment"]) <= known


@pytest.mark.parametrize("service", OWN)
def test_every_setting_that_is_no_port_can_be_set_from_outside(service: str) -> None:
    known = {row.variable for row in environment.rows(OWN[service])}
    handed = set(SERVICES[service]["environment"])
    left = {name for name in known - handed if not name.endswith("_PORT")}
    assert left == NOT_HANDED[service]


@pytest.mark.parametrize("service", OWN)
def test_an_image_listens_on_the_ports_that_its_service_has(service: str) -> None:
    defaults = {row.variable: row.default for row in environment.rows(OWN[service])}
    ports = {number for name, number in defaults.items() if name.endswith("_PORT")}
    ports.discard("")  # one that is closed unless set
    if service == "relay":
        ports.remove(defaults["TANDEM_ENGINE_PORT"])  # where it goes, not where it is
    exposed = re.findall(r"^EXPOSE (.*)$", entry(service), re.MULTILINE)
    assert {port.partition("/")[0] for port in exposed[0].split()} == ports


@pytest.mark.parametrize("service", OWN)
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
