"""Token counts for `usage`, estimated: no tokenizer runs here.

Audio counts as OpenAI's does: a token per 100 ms of the caller, per 50 ms of the model.
Text counts four characters to a token, the usual rule of thumb for English.
"""

from typing import Any

from relay.engine.audio import milliseconds
from relay.engine.ports import Called, Returned, Said, Turn

_CHARACTERS_PER_TOKEN = 4
_MODEL_AUDIO_TOKEN_MS = 50


def text_tokens(text: str) -> int:
    """Return the estimated tokens of a text."""
    return -(-len(text) // _CHARACTERS_PER_TOKEN)


def turn_tokens(turns: tuple[Turn, ...]) -> int:
    """Return the estimated tokens of a conversation read as text."""
    total = 0
    for turn in turns:
        match turn:
            case Said(text=text):
                total += text_tokens(text)
            case Called(name=name, arguments=arguments):
                total += text_tokens(name + arguments)
            case Returned(output=output):
                total += text_tokens(output)
    return total


def of_response(input_tokens: int, text: int, audio_samples: int) -> dict[str, Any]:
    """Return the `usage` of a response.

    Args:
        input_tokens: Text tokens the reply read.
        text: Text tokens written.
        audio_samples: Audio spoken.
    """
    audio = -(-milliseconds(audio_samples) // _MODEL_AUDIO_TOKEN_MS)
    return {
        "total_tokens": input_tokens + text + audio,
        "input_tokens": input_tokens,
        "output_tokens": text + audio,
        "input_token_details": {
            "text_tokens": input_tokens,
            "audio_tokens": 0,
            "image_tokens": 0,
            "cached_tokens": 0,
        },
        "output_token_details": {"text_tokens": text, "audio_tokens": audio},
    }
