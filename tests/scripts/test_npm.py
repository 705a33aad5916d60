"""What the lock of the JavaScript packages promises."""

import json
import re

import pytest

from scripts import npm

LOCKED = json.loads((npm.FOLDER / "package-lock.json").read_text())["packages"]
WANTED = json.loads((npm.FOLDER / "package.json").read_text())["dependencies"]


@pytest.mark.parametrize("name", [name for name in LOCKED if name])
def test_every_package_is_locked_by_its_hash_and_by_no_address(name: str) -> None:
    assert LOCKED[name]["integrity"].startswith("sha512-")
    assert "resolved" not in LOCKED[name]


@pytest.mark.parametrize("name", WANTED)
def test_what_is_wanted_is_one_release_and_is_locked(name: str) -> None:
    assert re.fullmatch(r"\d+\.\d+\.\d+", WANTED[name])
    assert LOCKED[f"node_modules/{name}"]["version"] == WANTED[name]
