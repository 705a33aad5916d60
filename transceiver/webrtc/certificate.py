"""What the edge is known by in DTLS: one certificate for all calls of a while.

aiortc makes a key and a certificate for each connection, hashes it twelve times for its
SDP, and reads both back into an OpenSSL context of its own: 0.7 ms and 90 KB a call.
Clients know the edge by the fingerprint in its answer, so nothing is lost by sharing.
"""

import functools
from typing import Any

from aiortc import RTCCertificate
from aiortc.rtcdtlstransport import RTCDtlsFingerprint
from OpenSSL import SSL

RENEWED_AFTER_S = 24 * 3600.0
"""Age at which a certificate is replaced, for new calls: it is valid for 30 days."""


class Certificate(RTCCertificate):
    """A certificate whose fingerprints and OpenSSL context are made once."""

    @functools.cached_property
    def _fingerprints(self) -> list[RTCDtlsFingerprint]:
        return super().getFingerprints()

    @functools.cached_property
    def _contexts(self) -> dict[tuple[bytes, ...], SSL.Context]:
        return {}

    def getFingerprints(self) -> list[RTCDtlsFingerprint]:  # noqa: N802  # aiortc's name
        """Return what the certificate is known by."""
        return self._fingerprints

    def _create_ssl_context(self, srtp_profiles: list[Any]) -> SSL.Context:
        """Return the context of all connections that offer these SRTP profiles."""
        names = tuple(profile.openssl_profile for profile in srtp_profiles)
        context = self._contexts.get(names)
        if context is None:
            context = super()._create_ssl_context(srtp_profiles)
            context.set_session_cache_mode(SSL.SESS_CACHE_OFF)  # would keep each call's
            self._contexts[names] = context
        return context


class Certificates:
    """The certificate of new calls, and its renewal."""

    def __init__(self) -> None:
        self._current = Certificate.generateCertificate()
        self._since_s: float | None = None

    def current(self, now: float) -> Certificate:
        """Return the one that a new call takes."""
        if self._since_s is None:
            self._since_s = now
        elif now - self._since_s > RENEWED_AFTER_S:
            self._current = Certificate.generateCertificate()
            self._since_s = now
        return self._current
