"""Overlays rendered without kustomize: as much of it as k8s/ uses, and no more.

A field that this does not know fails; a test holds the result against `kubectl
kustomize` wherever that is installed.
"""

import copy
import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

yaml = pytest.importorskip("yaml")

Object = dict[str, Any]

ROOT = Path(__file__).resolve().parents[2]
OVERLAYS = sorted(path.name for path in (ROOT / "k8s" / "overlays").iterdir())

_KNOWN = {
    *("apiVersion", "kind", "namespace", "resources", "labels", "images"),
    *("components", "configMapGenerator", "patches"),
}


def load(path: Path) -> Any:
    """Return a file's one document."""
    return yaml.safe_load(path.read_text())


def load_all(text: str) -> list[Object]:
    """Return all documents of a text."""
    return list(yaml.safe_load_all(text))


def overlay(name: str) -> list[Object]:
    """Return the objects of a region, names of configuration hashed."""
    return rendered(ROOT / "k8s" / "overlays" / name)


def rendered(folder: Path) -> list[Object]:
    """Return the objects of a folder, names of configuration hashed."""
    objects = _folder(folder, [])
    hashed = {
        thing["metadata"]["name"]: _hashed(thing)
        for thing in objects
        if thing["kind"] == "ConfigMap"
    }
    for thing in objects:
        if thing["kind"] == "ConfigMap":
            thing["metadata"]["name"] = hashed[thing["metadata"]["name"]]
        for source in _configurations(thing):
            source["name"] = hashed[source["name"]]
    return objects


def _folder(folder: Path, objects: list[Object]) -> list[Object]:
    """Return what a folder makes; a component changes the objects that are there."""
    plan = load(folder / "kustomization.yaml")
    assert set(plan) <= _KNOWN, f"{folder}: {set(plan) - _KNOWN}"
    for name in plan.get("resources", []):
        path = folder / name
        objects += _folder(path, []) if path.is_dir() else load_all(path.read_text())
    for name in plan.get("components", []):
        _folder(folder / name, objects)
    for generator in plan.get("configMapGenerator", []):
        _configure(objects, generator)
    for patch in plan.get("patches", []):
        _patch(objects, patch)
    for thing in objects:
        _transform(thing, plan)
    return objects


def _configure(objects: list[Object], generator: Object) -> None:
    data = dict(line.split("=", 1) for line in generator["literals"])
    if generator.get("behavior") == "merge":
        _one(objects, "ConfigMap", generator["name"])["data"].update(data)
        return
    metadata = {"name": generator["name"]}
    objects.append(
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data}
    )


def _patch(objects: list[Object], patch: Object) -> None:
    """Apply the operations of RFC 6902 that are used: add and replace."""
    thing = _one(objects, patch["target"]["kind"], patch["target"]["name"])
    for operation in yaml.safe_load(patch["patch"]):
        *path, last = operation["path"].strip("/").split("/")
        at: Any = thing
        for step in path:
            at = at[int(step) if isinstance(at, list) else step]
        if isinstance(at, list) and operation["op"] == "add":
            at.insert(len(at) if last == "-" else int(last), operation["value"])
            continue
        key = int(last) if isinstance(at, list) else last
        assert operation["op"] == "add" or at[key] is not None
        at[key] = operation["value"]


def _transform(thing: Object, plan: Object) -> None:
    if "namespace" in plan and thing["kind"] != "Namespace":
        thing["metadata"]["namespace"] = plan["namespace"]
        for subject in thing.get("subjects", []):
            subject["namespace"] = plan["namespace"]
    places = [thing["metadata"]]
    if thing["kind"] == "Deployment":
        places.append(thing["spec"]["template"]["metadata"])
    for label in plan.get("labels", []):
        for place in places:
            place.setdefault("labels", {}).update(copy.copy(label["pairs"]))
    tags = {image["name"]: image["newTag"] for image in plan.get("images", [])}
    for container in containers(thing):
        name = container["image"].partition(":")[0]
        if name in tags:
            container["image"] = f"{name}:{tags[name]}"


def containers(thing: Object) -> list[Object]:
    """Return the containers of a Deployment; none of anything else."""
    if thing["kind"] != "Deployment":
        return []
    found: list[Object] = thing["spec"]["template"]["spec"]["containers"]
    return found


def _configurations(thing: Object) -> Iterator[Object]:
    for container in containers(thing):
        for source in container.get("envFrom", []):
            yield source["configMapRef"]


def _hashed(thing: Object) -> str:
    content = json.dumps(thing["data"], sort_keys=True).encode()
    return f"{thing['metadata']['name']}-{hashlib.sha256(content).hexdigest()[:10]}"


def _one(objects: list[Object], kind: str, name: str) -> Object:
    (thing,) = (
        thing
        for thing in objects
        if (thing["kind"], thing["metadata"]["name"]) == (kind, name)
    )
    return thing
