"""What a session opens with."""

from transceiver.auth import Caller
from transceiver.client_secrets import ClientSecret
from transceiver.opening import Opening, opening

SERVER = {
    "type": "realtime",
    "instructions": "Be kind.",
    "audio": {"input": {"turn_detection": {"type": "server_vad", "threshold": 0.7}}},
}


def caller(*, locked: bool) -> Caller:
    return Caller("key-1", ClientSecret("key-1", 0, SERVER, locked))


def test_an_api_keys_session_is_what_its_client_wishes() -> None:
    assert opening(Caller("key-1", None), None) == Opening(None, None)
    assert opening(Caller("key-1", None), {"a": 1}) == Opening({"a": 1}, None)


def test_a_client_secrets_session_holds_where_the_client_says_nothing() -> None:
    assert opening(caller(locked=False), None) == Opening(SERVER, None)
    assert opening(caller(locked=True), None) == Opening(None, SERVER)


def test_the_client_overrides_a_session_that_is_not_locked() -> None:
    wished = {"instructions": "Be rude.", "audio": {"output": {"voice": "ash"}}}
    assert opening(caller(locked=False), wished) == Opening(
        {
            "type": "realtime",
            "instructions": "Be rude.",
            "audio": {**SERVER["audio"], "output": {"voice": "ash"}},  # type: ignore[dict-item]  # an object
        },
        None,
    )


def test_what_a_client_wishes_stays_apart_from_what_is_locked() -> None:
    wished = {"instructions": "Be rude.", "audio": {"output": {"voice": "ash"}}}
    assert opening(caller(locked=True), wished) == Opening(wished, SERVER)
