"""Envelopes: how a client's address travels between forwarder and transceiver.

    label (27) | the datagram as the client sent it, or shall get it

    label = 0xF1 | address (16, IPv4 as mapped) | port (2) | tag (8)
    tag   = HMAC-SHA256(key made of the link key, the 19 bytes before), cut to 64 bits

A label stands for one client, in both directions, and says nothing of what follows it:
so it is made once and then found in a table, and no datagram costs a MAC. 0xF1 begins
no datagram of WebRTC (RFC 7983 section 7).
"""

import hmac
from typing import Final

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from transceiver.ingress.endpoint import ENDPOINT_BYTES, Endpoint, pack

_KIND: Final = b"\xf1"
_INFO: Final = b"tandem ingress label 1"
_TAG_BYTES: Final = 8
_TAG_AT: Final = 1 + ENDPOINT_BYTES

LABEL_BYTES: Final = _TAG_AT + _TAG_BYTES


class Labels:
    """Makes and reads labels.

    Args:
        link_key: The pre-shared key of the cluster's links; labels are made under it.
        other_key: A second one, under which they may have been made, too.
    """

    def __init__(self, link_key: bytes, other_key: bytes | None = None) -> None:
        keys = [key for key in (link_key, other_key) if key is not None]
        self._keys = [HKDF(SHA256(), 32, None, _INFO).derive(key) for key in keys]

    def make(self, client: Endpoint) -> bytes:
        """Return the label of a client."""
        body = _KIND + pack(client)
        return body + _tag(self._keys[0], body)

    def read(self, label: bytes) -> bytes | None:
        """Return the packed endpoint of the client; None: it is no label of ours."""
        if len(label) != LABEL_BYTES or not label.startswith(_KIND):
            return None
        body, tag = label[:_TAG_AT], label[_TAG_AT:]
        for key in self._keys:
            if hmac.compare_digest(_tag(key, body), tag):
                return body[1:]
        return None


def _tag(key: bytes, body: bytes) -> bytes:
    return hmac.digest(key, body, "sha256")[:_TAG_BYTES]
