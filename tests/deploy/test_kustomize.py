"""The tests' own renderer against the real one, wherever that is installed."""

import json
import re
import shutil
import subprocess

import pytest

from tests.deploy.rendering import OVERLAYS, ROOT, Object, load_all, rendered

FOLDERS = [
    *(f"overlays/{name}" for name in OVERLAYS),
    *(f"examples/{name}" for name in ("behind-ingress", "no-key")),
]
COMMANDS = {"kubectl": "kustomize", "kustomize": "build"}
INSTALLED = [name for name in COMMANDS if shutil.which(name)]


def unhashed(objects: list[Object]) -> list[str]:
    """Return objects in an order, without the hashes: kustomize has another one."""
    return sorted(
        re.sub(r'"([\w-]+)-[0-9a-z]{10}"', r'"\1"', json.dumps(thing, sort_keys=True))
        for thing in objects
    )


@pytest.mark.skipif(not INSTALLED, reason="neither kubectl nor kustomize here")
@pytest.mark.parametrize("folder", FOLDERS)
def test_kustomize_renders_the_same(folder: str) -> None:
    command = INSTALLED[0]
    done = subprocess.run(
        [command, COMMANDS[command], str(ROOT / "k8s" / folder)],
        capture_output=True,
        text=True,
        check=True,
    )
    assert not re.search("deprecated", done.stderr, re.IGNORECASE)
    own = rendered(ROOT / "k8s" / folder)
    assert unhashed(load_all(done.stdout)) == unhashed(own)
