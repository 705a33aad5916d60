"""A certificate that cannot be shown is told of at start, in one line."""

import base64
import ssl
from pathlib import Path

import pytest

from runtime.settings import SettingsError, load
from tests.support.certificates import Certificate, encrypted, self_signed
from transceiver.settings import TransceiverSettings

KEY = {"TANDEM_LINK_KEY": base64.b64encode(bytes(32)).decode()}


def refused(shown: Certificate) -> str:
    with pytest.raises(SettingsError) as caught:
        load(TransceiverSettings, KEY | shown.settings)
    text = str(caught.value)
    assert "\n" not in text
    return text


def test_a_certificate_and_its_key_make_a_context_of_tls_1_2_and_later(
    tmp_path: Path,
) -> None:
    settings = load(TransceiverSettings, KEY | self_signed(tmp_path).settings)
    context = settings.tls_context()
    assert context is not None
    assert context.minimum_version == ssl.TLSVersion.TLSv1_2


def test_without_either_there_is_no_tls() -> None:
    assert load(TransceiverSettings, KEY).tls_context() is None


@pytest.mark.parametrize("missing", ["TANDEM_TLS_CERTIFICATE", "TANDEM_TLS_KEY"])
def test_one_without_the_other_is_refused_by_name(missing: str, tmp_path: Path) -> None:
    environ = KEY | self_signed(tmp_path).settings
    del environ[missing]
    with pytest.raises(SettingsError, match=f"^{missing}: is not set"):
        load(TransceiverSettings, environ)


def test_files_that_cannot_be_read_are_refused_by_name(tmp_path: Path) -> None:
    made = self_signed(tmp_path)
    away = tmp_path / "away.pem"
    assert refused(made._replace(certificate=away)).startswith("TANDEM_TLS_CERT")
    assert refused(made._replace(key=away)).startswith("TANDEM_TLS_KEY: ")
    assert refused(made._replace(key=tmp_path)).startswith("TANDEM_TLS_KEY: ")


def test_a_key_of_another_certificate_is_refused(tmp_path: Path) -> None:
    made, other = self_signed(tmp_path), self_signed(tmp_path, "other")
    assert "mismatch" in refused(made._replace(key=other.key))


def test_what_is_no_pem_is_refused(tmp_path: Path) -> None:
    made, junk = self_signed(tmp_path), tmp_path / "junk.pem"
    junk.write_text("junk")
    bad = refused(made._replace(certificate=junk))
    assert bad == f"TANDEM_TLS_CERTIFICATE: {junk} is no certificate in PEM"
    assert "no certificate and its key" in refused(made._replace(key=junk))


def test_an_encrypted_key_is_refused_without_asking_for_its_password(
    tmp_path: Path,
) -> None:
    made = encrypted(self_signed(tmp_path), b"secret of the key")
    assert "no certificate and its key" in refused(made)
