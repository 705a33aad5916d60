"""PROTOCOL.md 3 and 4: from the pre-shared key to the keys of three epochs."""

import hmac
from typing import Any

from proto.seal import expand
from tests.vectors.making import handshake
from tests.vectors.making.inputs import KEY, PSK

EPOCHS = 3


def vectors() -> dict[str, Any]:
    root = hmac.digest(b"tandem link 1", PSK, "sha256")
    offer, answer = handshake.transcript()
    secrets = KEY.secrets(offer + answer)
    return {
        "psk": PSK.hex(),
        "root": root.hex(),
        "key_id": KEY.id.hex(),
        "hello_key": KEY.hello.hex(),
        "welcome_key": KEY.welcome.hex(),
        "offer": offer.hex(),
        "answer": answer.hex(),
        "master": hmac.digest(offer + answer, root, "sha256").hex(),
        "finish_key": secrets.finish.hex(),
        "up": _epochs(secrets.up),
        "down": _epochs(secrets.down),
    }


def _epochs(secret: bytes) -> list[dict[str, Any]]:
    epochs = []
    for epoch in range(EPOCHS):
        key, iv = expand(secret, b"key"), expand(secret, b"iv", 12)
        epochs.append(
            {
                "epoch": epoch,
                "secret": secret.hex(),
                "key": key.hex(),
                "iv": iv.hex(),
            }
        )
        secret = expand(secret, b"next")
    return epochs
