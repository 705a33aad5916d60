"""Replies by any OpenAI-compatible chat endpoint, streamed as server-sent events."""

import logging
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from dataclasses import replace
from typing import Any

import aiohttp
import orjson

from relay.engine.errors import StageError
from relay.engine.ports import (
    Call,
    Called,
    Image,
    Pause,
    Request,
    Returned,
    Said,
    Say,
    Turn,
)  # fmt: skip

log = logging.getLogger(__name__)

_SPOKEN = (
    "You are speaking on a call. Answer briefly, in plain sentences without markup."
)
_UNSEEN = "(Here is an image that you cannot see.)"
"""What a model that takes no images reads in place of one."""

_REFUSALS = frozenset({400, 404, 413, 415, 422, 501})
"""Answers by which chat endpoints refuse content that their model does not take."""

_TIMEOUT = aiohttp.ClientTimeout(total=120, connect=10, sock_read=30)


class _RefusedError(StageError):
    """The endpoint does not take what it was asked."""


class ChatReply:
    """A `Reply` from a language model.

    Images go along; an endpoint that refuses them is asked again without. It is not
    remembered: one caller's broken image says nothing about the next one's.
    """

    def __init__(
        self, client: aiohttp.ClientSession, url: str, key: str, model: str
    ) -> None:
        base = url.rstrip("/")
        suffix = "/chat/completions"
        self._client = client
        self._url = base if base.endswith(suffix) else base + suffix
        self._headers = {"Authorization": f"Bearer {key}"} if key else {}
        self._model = model

    async def respond(
        self, request: Request
    ) -> AsyncGenerator[Say | Pause | Call, None]:
        """Yield the answer as it is written, then the functions it calls."""
        calls: dict[int, dict[str, str]] = {}
        try:
            async for chunk in self._chunks(request):
                delta = delta_of(chunk)
                if text := delta.get("content"):
                    yield Say(text)
                collect_calls(calls, delta.get("tool_calls") or [])
        except StageError as error:  # its message is a status, or an exception's name
            log.warning("no reply", extra={"code": error.code, "why": error.message})
            raise
        for call in calls.values():
            yield Call(call["name"], call["arguments"] or "{}")

    async def _chunks(self, request: Request) -> AsyncIterator[Mapping[str, Any]]:
        try:
            async for chunk in self._stream(body_of(request, self._model)):
                yield chunk
        except _RefusedError:
            if not any(
                isinstance(turn, Said) and turn.images for turn in request.turns
            ):
                raise
        else:
            return
        async for chunk in self._stream(body_of(_unseen(request), self._model)):
            yield chunk

    async def _stream(
        self, body: Mapping[str, Any]
    ) -> AsyncIterator[Mapping[str, Any]]:
        try:
            async with self._client.post(
                self._url,
                data=orjson.dumps(body),
                headers={**self._headers, "Content-Type": "application/json"},
                timeout=_TIMEOUT,
            ) as response:
                if response.status != 200:
                    is_refused = response.status in _REFUSALS
                    raise (_RefusedError if is_refused else StageError)(
                        "chat_endpoint_error",
                        f"The chat endpoint answered {response.status}.",
                    )
                async for line in response.content:
                    if (chunk := parse_line(line)) is not None:
                        yield chunk
        except (TimeoutError, aiohttp.ClientError, ValueError) as error:
            raise StageError(
                "chat_endpoint_error",
                f"The chat endpoint failed: {type(error).__name__}.",
            ) from error


def parse_line(line: bytes) -> Mapping[str, Any] | None:
    """Return the chunk of one line of the stream, or None when it carries none.

    Raises:
        ValueError: The line is not what the protocol says.
    """
    if not line.startswith(b"data:"):
        return None
    data = line[5:].strip()
    if data == b"[DONE]":
        return None
    chunk = orjson.loads(data)
    return chunk if isinstance(chunk, dict) else None


def delta_of(chunk: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return what a chunk adds to the message."""
    choices = chunk.get("choices") or [{}]
    return choices[0].get("delta") or {}


def collect_calls(calls: dict[int, dict[str, str]], deltas: list[Any]) -> None:
    """Put the pieces of function calls together, by their index."""
    for delta in deltas:
        call = calls.setdefault(delta.get("index", 0), {"name": "", "arguments": ""})
        function = delta.get("function") or {}
        call["name"] += function.get("name") or ""
        call["arguments"] += function.get("arguments") or ""


def body_of(request: Request, model: str) -> dict[str, Any]:
    """Return the chat request."""
    instructions = f"{request.instructions}\n\n{_SPOKEN}".strip()
    messages = [{"role": "system", "content": instructions}]
    messages += messages_of(request.turns)
    if request.is_idle:
        messages.append(
            {"role": "system", "content": "The caller has been silent a while."}
        )
    body: dict[str, Any] = {"messages": messages, "stream": True}
    if model:
        body["model"] = model
    functions = [
        _function(tool) for tool in request.tools if tool.get("type") == "function"
    ]
    if functions:
        body["tools"] = functions
        body["tool_choice"] = _choice(request.tool_choice)
    if request.max_output_tokens is not None:
        body["max_tokens"] = request.max_output_tokens
    return body


def _function(tool: Mapping[str, Any]) -> dict[str, Any]:
    kept = ("name", "description", "parameters")
    function = {key: tool[key] for key in kept if tool.get(key) is not None}
    return {"type": "function", "function": function}


def _choice(choice: str | Mapping[str, Any]) -> Any:
    if isinstance(choice, Mapping):
        return {"type": "function", "function": {"name": choice.get("name", "")}}
    return choice


def messages_of(turns: tuple[Turn, ...]) -> list[dict[str, Any]]:
    """Return the conversation as chat messages."""
    messages: list[dict[str, Any]] = []
    for turn in turns:
        match turn:
            case Said(role, text, images):
                if text or images:
                    messages.append({"role": role, "content": _content(text, images)})
            case Called(call_id, name, arguments):
                function = {"name": name, "arguments": arguments}
                call = {"id": call_id, "type": "function", "function": function}
                last = messages[-1] if messages else {}
                if "tool_calls" in last:
                    last["tool_calls"].append(call)
                else:
                    messages.append(
                        {"role": "assistant", "content": None, "tool_calls": [call]}
                    )
            case Returned(call_id, output):
                messages.append(
                    {"role": "tool", "tool_call_id": call_id, "content": output}
                )
    return messages


def _content(text: str, images: tuple[Image, ...]) -> str | list[dict[str, Any]]:
    if not images:
        return text
    parts: list[dict[str, Any]] = [{"type": "text", "text": text}] if text else []
    for url, detail in images:
        shown = {"url": url, "detail": detail}
        parts.append({"type": "image_url", "image_url": shown})
    return parts


def _unseen(request: Request) -> Request:
    """Return a request that has words where images were."""
    turns = tuple(
        Said(turn.role, f"{turn.text} {_UNSEEN}".strip())
        if isinstance(turn, Said) and turn.images
        else turn
        for turn in request.turns
    )
    return replace(request, turns=turns)
