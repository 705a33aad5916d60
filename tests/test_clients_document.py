"""The versions in docs/clients.md are those that the tests install."""

import json
import pathlib
import re
import tomllib

ROOT = pathlib.Path(__file__).parents[1]
TEXT = ROOT.joinpath("docs/clients.md").read_text()


def told(client: str) -> str:
    """Return the version that the document tells of a client."""
    found = re.search(rf"^\| .*`{client}`.* \| ([\d.]+) \|", TEXT, re.MULTILINE)
    assert found, client
    return found.group(1)


def test_python_clients_are_of_the_told_versions() -> None:
    project = tomllib.loads(ROOT.joinpath("pyproject.toml").read_text())
    pinned = "\n".join(project["dependency-groups"]["interop"])
    for client in ("openai", "openai-agents", "livekit-plugins-openai", "pipecat-ai"):
        assert re.search(rf"^{client}=={told(client)}\.\*", pinned, re.MULTILINE), (
            client
        )


def test_javascript_clients_are_of_the_told_versions() -> None:
    package = ROOT / "tests/interop/javascript/package.json"
    pinned = json.loads(package.read_text())["dependencies"]
    assert told("@openai/agents-realtime") == pinned["@openai/agents-realtime"]
    assert f"| npm `openai` | {pinned['openai']} |" in TEXT
