"""What keeps the deletion costs says in one line what its service account lacks."""

import asyncio
import logging
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest
from aiohttp import ClientSession

from deploy.deletion_cost.cluster import Cluster
from deploy.deletion_cost.service import Keeper
from deploy.deletion_cost.settings import DeletionCostSettings
from runtime.settings import SettingsError, load
from tests.support.service_account import TOKEN, service_account


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a service account's that lacks nothing."""
    service_account(tmp_path)
    return tmp_path


def settings(folder: Path) -> DeletionCostSettings:
    return load(DeletionCostSettings, {"TANDEM_SERVICE_ACCOUNT": str(folder)})


def test_a_service_account_is_read(folder: Path) -> None:
    account = settings(folder).account()
    assert account.namespace == "tandem"
    assert account.token() == TOKEN
    assert account.tls.cert_store_stats()["x509"] == 1
    (folder / "token").write_text("renewed")
    assert account.token() == "renewed"


@pytest.mark.parametrize("name", ["token", "ca.crt", "namespace"])
@pytest.mark.parametrize(
    ("content", "why"), [(None, ": No such file or directory"), (b"\n", " is empty")]
)
def test_a_file_that_is_missing_or_empty_is_named(
    folder: Path, name: str, content: bytes | None, why: str
) -> None:
    if content is None:
        (folder / name).unlink()
    else:
        (folder / name).write_bytes(content)
    with pytest.raises(SettingsError) as caught:
        settings(folder)
    assert str(caught.value) == f"TANDEM_SERVICE_ACCOUNT: {folder / name}{why}"


@pytest.mark.parametrize("content", [b"tandem", b"\xff\xfe"])
def test_an_authority_that_is_none_is_named(folder: Path, content: bytes) -> None:
    (folder / "ca.crt").write_bytes(content)
    with pytest.raises(SettingsError, match=r"ca\.crt is no certificate in PEM$"):
        settings(folder)


def test_a_token_that_has_gone_is_trouble_and_no_end(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    given, nobody = settings(folder), cast("ClientSession", SimpleNamespace(get=None))
    keeper = Keeper(Cluster(nobody, given.api, given.account()), nobody)
    (folder / "token").unlink()
    with caplog.at_level(logging.WARNING):
        asyncio.run(keeper.look())
    assert keeper.reason_not_ready() == (
        f"the service account: {folder / 'token'}: No such file or directory"
    )
    assert "costs cannot be kept" in caplog.text
