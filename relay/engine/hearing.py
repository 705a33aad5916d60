"""Speech to text by Moonshine, streaming: the tiny English model inside its wheel.

Each utterance is a stream of one shared transcriber. Moonshine finds the sentences in
it and works only on the one that still changes, so the last text costs one sentence.
"""

from moonshine_voice import ModelArch, MoonshineError, get_model_path
from moonshine_voice.transcriber import (
    MOONSHINE_FLAG_FORCE_UPDATE,
    Stream,
    Transcriber,
)

from relay.engine.audio import Resampler
from relay.engine.errors import StageError
from relay.engine.ports import SAMPLE_RATE_HZ, Samples

_MODEL_RATE_HZ = 16_000
_FULL_SCALE = 32768.0
_NEVER_S = 1e9
"""Update interval of the streams: only when asked."""


class MoonshineUtterance:
    """An `Utterance`."""

    def __init__(self, stream: Stream) -> None:
        self._stream = stream
        self._resampler = Resampler(SAMPLE_RATE_HZ, _MODEL_RATE_HZ)

    def add(self, pcm: Samples) -> str:
        """Take more audio; return the text of all of it so far."""
        audio = self._resampler.feed(pcm) / _FULL_SCALE
        try:
            self._stream.add_audio(audio.tolist(), _MODEL_RATE_HZ)
            transcript = self._stream.update_transcription(MOONSHINE_FLAG_FORCE_UPDATE)
        except MoonshineError as error:
            raise StageError("transcription_failed", str(error)) from error
        texts = (line.text.strip() for line in transcript.lines)
        return " ".join(text for text in texts if text)

    def close(self) -> None:
        """Release the stream."""
        self._stream.close()


class MoonshineHearing:
    """A `SpeechToText`; loading takes about a second."""

    def __init__(self) -> None:
        self._transcriber = Transcriber(
            get_model_path("tiny-en"),
            ModelArch.TINY,
            update_interval=_NEVER_S,
            options={"return_audio_data": "false"},
        )

    def open(self) -> MoonshineUtterance:
        """Begin an utterance.

        Raises:
            StageError: The model failed.
        """
        try:
            stream = self._transcriber.create_stream()
            stream.start()
        except MoonshineError as error:
            raise StageError("transcription_failed", str(error)) from error
        return MoonshineUtterance(stream)
