"""The audio of items on the wire: what a client gives with one, what it gets back.

It is told by `conversation.item.retrieve` alone, in the session's formats.
"""

import numpy as np

from relay.engine.audio import Decoder, Encoder
from relay.engine.items import Item
from relay.engine.schema import Json
from relay.engine.spoken import spoken
from relay.engine.utterance import Listening


def keep(item: Item, audio: dict[int, str], session: Json) -> Listening | None:
    """Give an item of the client's its audio.

    Args:
        item: A new item.
        audio: Base64 text by content index.
        session: Says the formats.

    Returns:
        A complete turn of the caller's speech that has no transcript, if there is any.

    Raises:
        ClientError: The audio cannot be used.
    """
    turn = Listening(item.id, 0)
    decoder = Decoder(_format(item, session))
    for index, text in audio.items():
        pcm = decoder.decode(text, f"item.content[{index}].audio")
        item.audio[index] = bytearray(pcm.tobytes())
        transcript = item.body["content"][index]["transcript"]
        if item.body["role"] == "assistant":
            item.spoken.append(spoken(transcript or "", pcm, item.audio_samples))
            item.audio_samples += len(pcm)
        elif not transcript:
            turn.extend(pcm.tobytes())
    if not turn.duration_s:
        return None
    turn.end()
    return turn


def whole(item: Item, session: Json) -> Json:
    """Return an item for `conversation.item.retrieved`, with the audio still kept."""
    wire = item.wire()
    for index, pcm in item.audio.items():
        encoder = Encoder(_format(item, session))
        wire["content"][index]["audio"] = encoder.encode(np.frombuffer(pcm, np.int16))
    return wire


def _format(item: Item, session: Json) -> str:
    is_ours = item.body.get("role") == "assistant"
    audio = session["audio"]
    side = audio["output"] if is_ours and "output" in audio else audio["input"]
    return str(side["format"]["type"])
