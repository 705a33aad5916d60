"""What a session opens with."""

from transceiver.auth import Caller
from transceiver.client_secrets import ClientSecret
from transceiver.opening import Opening, opening, overlaid

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
    assert opening(caller(locked=True), None) == Opening(SERVER, SERVER)


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


def test_the_client_adds_to_a_locked_session_but_changes_nothing_of_it() -> None:
    wished = {
        "instructions": "Be rude.",
        "audio": {"input": {"turn_detection": None}, "output": {"voice": "ash"}},
    }
    assert opening(caller(locked=True), wished) == Opening(
        {
            **SERVER,
            "audio": {**SERVER["audio"], "output": {"voice": "ash"}},  # type: ignore[dict-item]  # an object
        },
        SERVER,
    )


def test_null_clears_and_a_list_is_one_value() -> None:
    assert overlaid(SERVER, {"audio": {"input": None}})["audio"] == {"input": None}
    assert overlaid({"tools": [1, 2]}, {"tools": [3]}) == {"tools": [3]}
    assert overlaid({"prompt": None}, {"prompt": {"id": "p"}}) == {
        "prompt": {"id": "p"}
    }


def test_objects_of_one_type_merge_and_of_another_replace() -> None:
    under = {"turn_detection": {"type": "server_vad", "threshold": 0.7}}
    same = {"turn_detection": {"type": "server_vad", "silence_duration_ms": 200}}
    silent = {"turn_detection": {"threshold": 0.1}}
    other = {"turn_detection": {"type": "semantic_vad"}}
    assert overlaid(under, same)["turn_detection"] == {
        "type": "server_vad",
        "threshold": 0.7,
        "silence_duration_ms": 200,
    }
    assert overlaid(under, silent)["turn_detection"]["threshold"] == 0.1
    assert overlaid(under, other) == other


def test_neither_side_is_changed() -> None:
    under = {"audio": {"output": {"voice": "ash"}}}
    over = {"audio": {"output": {"speed": 1.2}}}
    overlaid(under, over)
    assert under == {"audio": {"output": {"voice": "ash"}}}
    assert over == {"audio": {"output": {"speed": 1.2}}}
