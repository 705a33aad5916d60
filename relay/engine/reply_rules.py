"""Replies by rule: no model, no network; good for a demonstration and for tests.

Decides between a function call, the words of `response.create` and the rules; all of it
pure but for the clock handed in.
"""

import re
from collections.abc import AsyncGenerator, Callable, Mapping
from datetime import datetime
from typing import Any

from relay.engine.ports import Call, Pause, Request, Returned, Said, Say
from relay.engine.rules import answers, functions

_SAY_EXACTLY = re.compile(
    r"\b(?:say|repeat|greet)\b[^:\"“']*[:\"“']\s*(.+?)[\"”']?\s*$",
    re.IGNORECASE | re.DOTALL,
)


class RuleReply:
    """A `Reply` in English."""

    def __init__(self, clock: Callable[[], datetime]) -> None:
        self._clock = clock

    async def respond(
        self, request: Request
    ) -> AsyncGenerator[Say | Pause | Call, None]:
        """Yield the answer."""
        for piece in answer(request, self._clock()):
            yield piece


def answer(request: Request, now: datetime) -> list[Say | Pause | Call]:
    """Return the whole answer to a request."""
    if returned := _returned(request):
        return [Say(f"{functions.spoken_output(output)} ") for output in returned]
    if request.is_idle:
        return [Say("Are you still there?")]
    if request.is_directed and (words := _SAY_EXACTLY.search(request.instructions)):
        return [Say(words.group(1))]
    if (call := _call(request)) is not None:
        return [call]
    shown = _shown(request)
    if shown is not None:
        blind = Say("Sorry, I cannot see pictures. ")
        return [blind, *(answers.answer(request, now) if shown.text else ())]
    return list(answers.answer(request, now))


def _shown(request: Request) -> Said | None:
    """Return what the user has just said if a picture came with it."""
    last = request.turns[-1] if request.turns else None
    return last if isinstance(last, Said) and last.images else None


def _returned(request: Request) -> list[str]:
    """Return the outputs of functions that nobody has spoken about yet."""
    outputs: list[str] = []
    for turn in reversed(request.turns):
        if not isinstance(turn, Returned):
            break
        outputs.insert(0, turn.output)
    return outputs


def _call(request: Request) -> Call | None:
    text = next(
        (
            turn.text
            for turn in reversed(request.turns)
            if isinstance(turn, Said) and turn.role == "user"
        ),
        "",
    )
    tool = _chosen(request, text)
    if tool is None:
        return None
    return Call(str(tool["name"]), functions.arguments(text, tool))


def _chosen(request: Request, text: str) -> Mapping[str, Any] | None:
    available = [tool for tool in request.tools if tool.get("type") == "function"]
    choice = request.tool_choice
    if isinstance(choice, Mapping):
        named = [tool for tool in available if tool["name"] == choice.get("name")]
        return named[0] if named else None
    if choice == "none" or not available:
        return None
    meant = functions.meant(text, available)
    return meant or (available[0] if choice == "required" else None)
