"""What the repository promises about itself: documents, locks, contracts, hygiene."""

import dataclasses
import importlib
import pathlib
import re
import tomllib
from collections.abc import Iterator
from typing import Any

import pytest
from packaging.requirements import Requirement

from runtime import settings as environment
from scripts import compile as compiling, run, settings_table

ROOT = pathlib.Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
LOCKS = {
    name: ROOT / "requirements" / f"{name}.txt"
    for name in ("core", "speech", "dev", "interop", "compile", "compiler")
}
BINARY = {".wav", ".png", ".ico", ".bin", ".woff2", ".opus", ".pcm"}


def ignored() -> set[str]:
    """Return the names of folders and files that git does not track."""
    lines = (ROOT / ".gitignore").read_text().splitlines()
    return {".git", *(line.strip("/*") for line in lines if line.strip())}


def files(folder: pathlib.Path = ROOT) -> Iterator[pathlib.Path]:
    """Yield the repository's own text files."""
    skipped = ignored()
    for path in sorted(folder.iterdir()):
        if path.name in skipped or path.suffix in BINARY | {".pyc", ".so", ".egg-info"}:
            continue
        if path.is_dir():
            yield from files(path)
        else:
            yield path


def found(pattern: str, *, but: tuple[str, ...] = ()) -> list[str]:
    """Return the places where a pattern occurs, as path:line: text."""
    return [
        f"{path.relative_to(ROOT)}:{number}: {line.strip()[:100]}"
        for path in files()
        if str(path.relative_to(ROOT)) not in but
        for number, line in enumerate(path.read_text().splitlines(), 1)
        if re.search(pattern, line)
    ]


# --- settings ---


def settings_classes() -> dict[str, type[Any]]:
    """Return every class that declares settings in a module named settings."""
    classes = {}
    for path in files():
        names = path.relative_to(ROOT).with_suffix("").parts
        if names[-1] != "settings" or names[0] not in {"relay", "transceiver"}:
            continue
        module = importlib.import_module(".".join(names))
        for value in vars(module).values():
            if getattr(value, "__module__", "") == module.__name__ and hasattr(
                value, "__dataclass_fields__"
            ):
                classes[f"{module.__name__}.{value.__name__}"] = value
    return classes


def declared() -> dict[str, set[str]]:
    """Return each variable that the services read, with its default(s)."""
    defaults: dict[str, set[str]] = {}
    for settings in settings_classes().values():
        for row in environment.rows(settings):
            defaults.setdefault(row.variable, set()).add(row.default)
    return defaults


def test_services_agree_on_the_defaults_of_shared_settings() -> None:
    assert {name: d for name, d in declared().items() if len(d) > 1} == {}


def test_every_settings_class_is_documented() -> None:
    documented = set(settings_table.SERVICES.values())
    assert documented == set(settings_classes().values())


def test_no_settings_text_shows_a_key() -> None:
    for settings in settings_classes().values():
        for field in dataclasses.fields(settings):
            variable = field.metadata["row"].variable.removesuffix("_PER_KEY")
            is_key = variable.endswith(("_KEY", "_KEYS"))
            assert field.repr is not is_key, field.name


def test_the_readme_s_settings_table_is_the_code_s() -> None:
    rest = (ROOT / "README.md").read_text().partition("<!-- settings:")[2]
    table = re.findall(r"^\|.*\n", rest.partition("## ")[0], re.MULTILINE)
    assert "".join(table) == settings_table.markdown(), (
        "write it anew: python -m scripts.settings_table --write"
    )


def test_make_run_has_the_services_defaults() -> None:
    code = declared()
    for row in environment.rows(run.RunSettings):
        assert {row.default} == code[row.variable], row.variable


# --- architecture ---


def packages() -> set[str]:
    """Return the top-level packages, tools and tests aside."""
    found = {path.parent.name for path in ROOT.glob("*/__init__.py")}
    return found - {"bench", "scripts", "tests"}


def test_every_package_stands_under_the_import_contracts() -> None:
    linter = PROJECT["tool"]["importlinter"]
    (layers,) = (c for c in linter["contracts"] if c["type"] == "layers")
    layered = {name.strip() for row in layers["layers"] for name in row.split("|")}
    assert set(linter["root_packages"]) == layered == packages()
    assert set(PROJECT["tool"]["coverage"]["run"]["source"]) == packages()


def test_modules_are_compiled_wherever_services_have_them() -> None:
    assert set(compiling.PACKAGES) == packages() - {"deploy"}


def test_the_engine_s_contract_names_every_other_part_of_the_relay() -> None:
    contracts = PROJECT["tool"]["importlinter"]["contracts"]
    (contract,) = (
        c for c in contracts if c.get("forbidden_modules") == ["relay.engine"]
    )
    parts = {
        f"relay.{path.stem}"
        for path in (ROOT / "relay").iterdir()
        if path.suffix == ".py" or (path / "__init__.py").exists()
    }
    parts -= {"relay.__init__", "relay.__main__", "relay.engine"}
    assert set(contract["source_modules"]) == parts


# --- locks ---


def locked(name: str) -> dict[str, set[str]]:
    """Return the versions that a lock pins, by package."""
    pins: dict[str, set[str]] = {}
    pattern = r"^([a-z0-9.\-]+)==([^ ;\\]+)"
    for package, version in re.findall(pattern, LOCKS[name].read_text(), re.MULTILINE):
        pins.setdefault(package, set()).add(version)
    return pins


@pytest.mark.parametrize("name", LOCKS)
def test_every_locked_package_has_hashes_and_no_address(name: str) -> None:
    text = LOCKS[name].read_text()
    blocks = re.findall(r"^[a-z0-9].*\n(?:    .*\n?)*", text, re.MULTILINE)
    assert len(blocks) == sum(map(len, locked(name).values()))
    assert [block for block in blocks if "--hash=sha256:" not in block] == []
    assert "://" not in text
    assert re.findall(r"^\s*-[-a-z]*(?:index|find-links)", text, re.MULTILINE) == []


@pytest.mark.parametrize(
    ("name", "extras"),
    [("core", ()), ("speech", ("speech",)), ("dev", ("speech", "test", "check"))],
)
def test_a_lock_satisfies_what_pyproject_asks_for(
    name: str, extras: tuple[str, ...]
) -> None:
    asked = list(PROJECT["project"]["dependencies"])
    for extra in extras:
        asked += PROJECT["project"]["optional-dependencies"][extra]
    pins = locked(name)
    for requirement in map(Requirement, asked):
        versions = pins[requirement.name]
        assert all(map(requirement.specifier.contains, versions)), requirement


def test_the_lock_of_the_foreign_clients_holds_what_is_asked_for() -> None:
    pins = locked("interop")
    for requirement in map(Requirement, PROJECT["dependency-groups"]["interop"]):
        versions = pins[requirement.name]
        assert all(map(requirement.specifier.contains, versions)), requirement
    assert pins["openai"] == locked("dev")["openai"]


@pytest.mark.parametrize("name", ["compile", "compiler"])
def test_what_compiles_is_locked_as_asked_for(name: str) -> None:
    asked = list(map(Requirement, PROJECT["dependency-groups"][name]))
    pins = locked(name)
    assert set(pins) == {requirement.name for requirement in asked}
    for requirement in asked:
        assert all(map(requirement.specifier.contains, pins[requirement.name]))


def test_the_locks_agree_with_each_other() -> None:
    core, speech, dev = map(locked, ("core", "speech", "dev"))
    assert core.items() <= speech.items() <= dev.items()
    assert locked("compile").items() <= dev.items()


def test_no_deep_learning_framework_is_installed() -> None:
    assert {"torch", "tensorflow", "jax"} & set(locked("dev")) == set()


# --- hygiene ---


def test_no_file_names_a_package_registry_or_a_developer_s_folder() -> None:
    registry = r"pypi\.org|pythonhosted\.org|registry\.npmjs|registry-1\.docker"
    folders = r"(?<![\w.])/(?:home|Users)/\w|(?<![\w./~])/root/"
    assert found(f"{registry}|{folders}", but=("tests/test_repository.py",)) == []


def test_every_exception_to_a_lint_or_type_rule_has_its_reason() -> None:
    assert found(r"#\s*noqa(?!: [A-Z]+[0-9]+(, ?[A-Z]+[0-9]+)*  ?# \S)") == [], "noqa"
    ignores = r"#\s*type: ignore(?!\[[a-z\-, ]+\]  ?# \S)"
    assert found(ignores, but=("tests/test_repository.py",)) == []


def test_text_files_end_with_one_newline_and_have_no_trailing_blanks() -> None:
    wrong = [
        str(path.relative_to(ROOT))
        for path in files()
        if path.name != "LICENSE"
        if (text := path.read_text())
        if not text.endswith("\n")
        or text.endswith("\n\n")
        or re.search(r"[ \t]\n", text)
    ]
    assert wrong == []


def test_make_help_names_every_target() -> None:
    makefile = (ROOT / "Makefile").read_text()
    (phony,) = re.findall(r"^\.PHONY: (.*)$", makefile, re.MULTILINE)
    explained = re.findall(r"^([a-z]+):.*## .+$", makefile, re.MULTILINE)
    assert set(explained) == set(phony.split())
