"""The rules of one response: the session's, with the overrides of `response.create`."""

from typing import Any

from relay.engine.response import Options
from relay.engine.schema import Json


def options_of(session: Json, overrides: Json, *, is_idle: bool) -> Options:
    """Return the options of a new response; null overrides count as absent."""

    def chosen(key: str, otherwise: Any) -> Any:
        return otherwise if overrides.get(key) is None else overrides[key]

    output = session["audio"]["output"]
    audio = (overrides.get("audio") or {}).get("output") or {}
    modalities = chosen("output_modalities", session["output_modalities"])
    return Options(
        speaks="text" not in modalities,
        format=audio.get("format") or output["format"],
        voice=audio.get("voice") or output["voice"],
        speed=audio.get("speed") or output["speed"],
        instructions=chosen("instructions", session["instructions"]),
        tools=tuple(chosen("tools", session["tools"])),
        tool_choice=chosen("tool_choice", session["tool_choice"]),
        max_output_tokens=chosen("max_output_tokens", session["max_output_tokens"]),
        metadata=overrides.get("metadata"),
        is_directed=overrides.get("instructions") is not None,
        is_idle=is_idle,
    )
