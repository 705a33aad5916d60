"""What goes to one client: beta names, and what its transport takes."""

from typing import Any

import orjson
import pytest
from hypothesis import given, strategies as st

from relay.client.outlet import Outlet
from tests.support.event_rules import strict_parse

MAX_BYTES = 2_000
AUDIO = "A" * 4_000
IMAGE = "data:image/png;base64," + "A" * 4_000


def channel(speaks_beta: bool = False) -> Outlet:
    return Outlet(speaks_beta=speaks_beta, max_event_bytes=MAX_BYTES)


def shaped(event: Any, outlet: Outlet | None = None) -> Any:
    (message,) = (outlet or channel()).shape(orjson.dumps(event))
    assert len(message) <= MAX_BYTES
    return orjson.loads(message)


def message_item(role: str, **part: Any) -> dict[str, Any]:
    return {"id": "item", "type": "message", "role": role, "content": [part]}


SPOKEN = message_item("assistant", type="output_audio", transcript="Hi", audio=AUDIO)
HEARD = message_item("user", type="input_audio", transcript="Ho", audio=AUDIO)
SHOWN = message_item("user", type="input_image", image_url=IMAGE, detail="auto")
TALKED = message_item("user", type="input_text", text="A" * 4_000)
IN_RESPONSE = {"event_id": "e", "response_id": "r", "output_index": 0}


@pytest.mark.parametrize("message", [b"no JSON", b'{"type":"x",  "y":1}', b"[]"])
def test_what_fits_passes_as_the_bytes_it_came_in(message: bytes) -> None:
    for outlet in (channel(), Outlet(speaks_beta=False, max_event_bytes=None)):
        assert outlet.shape(message) == (message,)


def test_without_a_bound_nothing_is_too_large() -> None:
    message = b"x" * 1_000_000
    outlet = Outlet(speaks_beta=False, max_event_bytes=None)
    assert outlet.shape(message) == (message,)


def test_an_event_may_be_exactly_as_large_as_the_bound() -> None:
    length = MAX_BYTES - len(b'{"type":""}')
    message = b'{"type":"%s"}' % (b"x" * length)
    assert channel().shape(message) == (message,)
    (error,) = channel().shape(b'{"type":"%s"}' % (b"x" * (length + 1)))
    assert orjson.loads(error)["type"] == "error"


@pytest.mark.parametrize("item", [SPOKEN, HEARD], ids=["assistant", "user"])
@pytest.mark.parametrize(
    "kind",
    [
        "conversation.item.added",
        "conversation.item.created",
        "conversation.item.done",
        "conversation.item.retrieved",
        "response.output_item.added",
        "response.output_item.done",
    ],
)
def test_an_items_audio_is_left_out(kind: str, item: dict[str, Any]) -> None:
    around = IN_RESPONSE if kind.startswith("response") else {"event_id": "e"}
    event = {"type": kind, **around, "item": item}
    result = shaped(event)
    (part,) = result["item"]["content"]
    (before,) = item["content"]
    assert part == {"type": before["type"], "transcript": before["transcript"]}
    assert {**result, "item": item} == event
    strict_parse(result)


def test_a_responses_audio_is_left_out() -> None:
    response = {"id": "r", "status": "completed", "output": [SPOKEN, SPOKEN]}
    event = {"type": "response.done", "event_id": "e", "response": response}
    result = shaped(event)
    assert [i["content"][0]["transcript"] for i in result["response"]["output"]] == [
        "Hi",
        "Hi",
    ]
    strict_parse(result)


def test_a_parts_audio_is_left_out() -> None:
    part = {"type": "audio", "transcript": "Hi", "audio": AUDIO}
    event = {
        "type": "response.content_part.done",
        **IN_RESPONSE,
        "item_id": "item",
        "content_index": 0,
        "part": part,
    }
    result = shaped(event)
    assert result["part"] == {"type": "audio", "transcript": "Hi"}
    strict_parse(result)


def test_an_image_is_left_out_when_it_is_too_large() -> None:
    event = {"type": "conversation.item.added", "event_id": "e", "item": SHOWN}
    result = shaped(event)
    assert result["item"]["content"] == [{"type": "input_image", "detail": "auto"}]
    strict_parse(result)


def test_an_image_elsewhere_is_kept() -> None:
    url = "https://example.org/image.png"
    content = [{"type": "input_image", "image_url": url}, *SHOWN["content"]]
    item = {**SHOWN, "content": content}
    result = shaped({"type": "conversation.item.added", "event_id": "e", "item": item})
    assert result["item"]["content"][0]["image_url"] == url


def test_what_is_still_too_large_is_told_of() -> None:
    event = {"type": "conversation.item.added", "event_id": "e", "item": TALKED}
    outlet = channel()
    first, second = shaped(event, outlet), shaped(event, outlet)
    strict_parse(first)
    error = first["error"]
    assert error["code"] == "event_too_large"
    for fact in (
        "conversation.item.added",
        str(MAX_BYTES),
        str(len(orjson.dumps(event))),
    ):
        assert fact in error["message"]
    assert first["event_id"] != second["event_id"]


@pytest.mark.parametrize("kind", [7, None, "x" * 5_000])
def test_an_error_tells_of_an_event_of_a_strange_type(kind: Any) -> None:
    assert shaped({"type": kind, "x": AUDIO})["error"]["code"] == "event_too_large"


@pytest.mark.parametrize("speaks_beta", [False, True])
def test_what_is_nested_too_deeply_to_be_written_again_does_no_harm(
    speaks_beta: bool,
) -> None:
    deep = b"[" * 300 + b"]" * 300
    message = b'{"type":"response.output_text.done","x":%s}' % deep
    assert channel(speaks_beta).shape(message) == (message,)
    large = b'{"type":"conversation.item.added","x":%s,"y":"%s"}' % (deep, b"y" * 3_000)
    (error,) = channel(speaks_beta).shape(large)
    assert orjson.loads(error)["error"]["code"] == "event_too_large"


def test_a_beta_client_gets_betas_names() -> None:
    event = {"type": "conversation.item.added", "event_id": "e", "item": SPOKEN}
    result = shaped(event, channel(speaks_beta=True))
    assert result["type"] == "conversation.item.created"
    assert result["item"]["content"] == [{"type": "audio", "transcript": "Hi"}]


def test_a_beta_client_gets_nothing_twice() -> None:
    outlet = channel(speaks_beta=True)
    assert outlet.shape(b'{"type":"conversation.item.done","item":{}}') == ()


def test_what_beta_shares_passes_as_the_bytes_it_came_in() -> None:
    message = b'{"type":"input_audio_buffer.cleared",  "event_id":"e"}'
    assert channel(speaks_beta=True).shape(message) == (message,)


names = st.sampled_from(
    ["type", "item", "response", "part", "session", "content", "output", "audio"]
)
values = st.recursive(
    st.none() | st.integers(-9, 9) | st.text(max_size=30),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=4)
    ),
    max_leaves=15,
)


@given(values, st.booleans())
def test_whatever_comes_out_fits_and_nothing_raises(
    event: Any, speaks_beta: bool
) -> None:
    outlet = Outlet(speaks_beta=speaks_beta, max_event_bytes=400)
    for message in outlet.shape(orjson.dumps(event)):
        assert len(message) <= 400


def retrieved(item: Any) -> bytes:
    event = {"type": "conversation.item.retrieved", "event_id": "e", "item": item}
    return orjson.dumps(event)


def test_a_webrtc_client_gets_no_audio_with_what_it_retrieves() -> None:
    outlet = Outlet(speaks_beta=False, max_event_bytes=10**6, has_media=True)
    (message,) = outlet.shape(retrieved(HEARD))
    (part,) = orjson.loads(message)["item"]["content"]
    assert part == {"type": "input_audio", "transcript": "Ho"}
    for other in (retrieved(SHOWN), retrieved({"content": None}), b"[]"):
        assert outlet.shape(other) == (other,)
    quoting = orjson.dumps({"type": "x", "quoted": "conversation.item.retrieved"})
    assert outlet.shape(quoting) == (quoting,)


def test_who_plays_no_media_gets_what_it_retrieves_with_its_audio() -> None:
    outlet = Outlet(speaks_beta=False, max_event_bytes=None)
    assert outlet.shape(retrieved(HEARD)) == (retrieved(HEARD),)
