"""Replies from a chat endpoint: what is asked, and what is made of the stream."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, cast

import aiohttp
import orjson
import pytest

from relay.engine.errors import StageError
from relay.engine.ports import Call, Called, Image, Request, Returned, Said, Say
from relay.engine.reply_chat import ChatReply, body_of

REQUEST = Request(turns=(Said("user", "Hello."),), instructions="Be brief.")


class FakeEndpoint:
    """Stands for the client session; answers every request with the same lines."""

    def __init__(self, *lines: bytes, statuses: tuple[int, ...] = (200,)) -> None:
        self._lines = lines
        self._statuses = statuses
        self.asked: list[tuple[str, dict[str, str], dict[str, Any]]] = []

    @asynccontextmanager
    async def post(
        self, url: str, *, data: bytes, headers: dict[str, str], **_: object
    ) -> AsyncIterator[Any]:
        self.asked.append((url, headers, orjson.loads(data)))
        yield self

    @property
    def status(self) -> int:
        return self._statuses[len(self.asked) - 1]

    @property
    async def content(self) -> AsyncIterator[bytes]:
        for line in self._lines:
            if line == b"broken":
                raise aiohttp.ClientPayloadError
            yield line


def chunk(**delta: Any) -> bytes:
    """Return a line of the stream."""
    return b"data: " + orjson.dumps({"choices": [{"delta": delta}]}) + b"\n"


async def pieces_of(endpoint: FakeEndpoint, request: Request = REQUEST) -> list[Any]:
    """Return all pieces of a reply."""
    client = cast("aiohttp.ClientSession", endpoint)
    reply = ChatReply(client, "http://chat/v1/", "sk", "small")
    return [piece async for piece in reply.respond(request)]


@pytest.mark.asyncio
async def test_text_is_passed_on_as_it_comes() -> None:
    endpoint = FakeEndpoint(
        chunk(role="assistant", content=""),
        chunk(content="Hel"),
        b": comment\n",
        b"\n",
        chunk(content="lo."),
        b'data: {"choices": [], "usage": {}}\n',
        b"data: [DONE]\n",
    )
    assert await pieces_of(endpoint) == [Say("Hel"), Say("lo.")]
    url, headers, body = endpoint.asked[0]
    assert url == "http://chat/v1/chat/completions"
    assert headers["Authorization"] == "Bearer sk"
    assert (body["model"], body["stream"]) == ("small", True)


@pytest.mark.asyncio
async def test_calls_are_put_together_from_their_pieces() -> None:
    first = {"index": 0, "id": "c", "function": {"name": "get", "arguments": '{"a"'}}
    second = {"index": 1, "function": {"name": "put", "arguments": ""}}
    rest = {"index": 0, "function": {"arguments": ":1}"}}
    endpoint = FakeEndpoint(
        chunk(tool_calls=[first]), chunk(tool_calls=[second]), chunk(tool_calls=[rest])
    )
    assert await pieces_of(endpoint) == [Call("get", '{"a":1}'), Call("put", "{}")]


@pytest.mark.asyncio
@pytest.mark.parametrize(
    "endpoint",
    [
        FakeEndpoint(statuses=(500,)),
        FakeEndpoint(b"data: {not json\n"),
        FakeEndpoint(b"broken"),
    ],
)
async def test_an_endpoint_that_fails_is_a_stage_error(
    endpoint: FakeEndpoint, caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(StageError) as raised:
        await pieces_of(endpoint)
    assert raised.value.code == "chat_endpoint_error"
    (entry,) = caplog.records
    assert (entry.levelname, entry.message) == ("WARNING", "no reply")
    assert "chat_endpoint_error" in vars(entry).values()
    assert "Hello" not in str(vars(entry))


def test_the_conversation_becomes_chat_messages() -> None:
    turns = (
        Said("system", "Be kind."),
        Said("user", "Weather?"),
        Called("c1", "get", "{}"),
        Called("c2", "put", "{}"),
        Returned("c1", "21"),
        Said("user", ""),
    )
    messages = body_of(Request(turns=turns, instructions="Be brief."), "m")["messages"]
    assert messages[0]["content"].startswith("Be brief.")
    assert [message["role"] for message in messages[1:]] == [
        "system",
        "user",
        "assistant",
        "tool",
    ]
    assert [call["id"] for call in messages[3]["tool_calls"]] == ["c1", "c2"]
    assert messages[4] == {"role": "tool", "tool_call_id": "c1", "content": "21"}


PICTURE = Request(
    turns=(
        Said("user", "What is this?", (Image("data:image/png;base64,AA==", "low"),)),
    )
)


@pytest.mark.asyncio
async def test_images_go_along() -> None:
    endpoint = FakeEndpoint(chunk(content="A dot."))
    assert await pieces_of(endpoint, PICTURE) == [Say("A dot.")]
    picture = {"url": "data:image/png;base64,AA==", "detail": "low"}
    assert endpoint.asked[0][2]["messages"][1]["content"] == [
        {"type": "text", "text": "What is this?"},
        {"type": "image_url", "image_url": picture},
    ]


@pytest.mark.asyncio
async def test_an_endpoint_that_refuses_images_is_asked_in_words() -> None:
    endpoint = FakeEndpoint(chunk(content="What?"), statuses=(400, 200))
    assert await pieces_of(endpoint, PICTURE) == [Say("What?")]
    assert [asked[2]["messages"][1]["content"] for asked in endpoint.asked][1] == (
        "What is this? (Here is an image that you cannot see.)"
    )


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("request_", "statuses", "count"),
    [(REQUEST, (400,), 1), (PICTURE, (401,), 1), (PICTURE, (400, 400), 2)],
)
async def test_a_refusal_that_words_cannot_mend_is_a_stage_error(
    request_: Request, statuses: tuple[int, ...], count: int
) -> None:
    endpoint = FakeEndpoint(statuses=statuses)
    with pytest.raises(StageError):
        await pieces_of(endpoint, request_)
    assert len(endpoint.asked) == count


def test_functions_are_offered_in_the_form_of_the_chat_api() -> None:
    tool: dict[str, Any] = {
        "type": "function",
        "name": "get",
        "description": None,
        "parameters": {},
    }
    request = Request(
        turns=(),
        tools=(tool, {"type": "mcp", "server_label": "s"}),
        tool_choice={"type": "function", "name": "get"},
        max_output_tokens=9,
    )
    body = body_of(request, "")
    assert "model" not in body
    function = {"name": "get", "parameters": {}}
    assert body["tools"] == [{"type": "function", "function": function}]
    assert body["tool_choice"] == {"type": "function", "function": {"name": "get"}}
    assert body["max_tokens"] == 9
