"""`livekit-plugins-openai`: its RealtimeModel in an AgentSession, without a room."""

import time
from collections.abc import AsyncIterator

from livekit import rtc
from livekit.agents import (
    Agent,
    AgentSession,
    ConversationItemAddedEvent,
    ErrorEvent,
    UserInputTranscribedEvent,
    function_tool,
)
from livekit.agents.voice import io
from livekit.plugins import openai

from tests.interop.python.clients import stage
from tests.interop.python.clients.player import Player
from tests.interop.python.clients.stage import MODEL, RATE_HZ, WEATHER, Stage


class Microphone(io.AudioInput):
    """The caller, as the framework wants an input."""

    def __init__(self, frames: AsyncIterator[bytes]) -> None:
        super().__init__(label="microphone")
        self._frames = frames

    async def __anext__(self) -> rtc.AudioFrame:
        """Return the next 20 ms."""
        pcm = await anext(self._frames)
        return rtc.AudioFrame(pcm, RATE_HZ, 1, len(pcm) // 2)


class Speaker(io.AudioOutput):
    """A loudspeaker, as the framework wants an output."""

    def __init__(self, stage: Stage) -> None:
        capabilities = io.AudioOutputCapabilities(pause=False)
        super().__init__(
            label="speaker", capabilities=capabilities, sample_rate=RATE_HZ
        )
        self._player = Player(stage, lambda: self._ended(interrupted=False))

    async def capture_frame(self, frame: rtc.AudioFrame) -> None:
        """Play this after what is queued."""
        await super().capture_frame(frame)
        if not self._player.is_playing:
            self.on_playback_started(created_at=time.time())  # noqa: TID251  # its API
        self._player.queue(frame.data.tobytes())

    def flush(self) -> None:
        """Take note that the reply is whole."""
        super().flush()
        self._player.finish()

    def clear_buffer(self) -> None:
        """Fall silent."""
        if self._player.is_playing:
            self._player.stop()
            self._ended(interrupted=True)

    def _ended(self, *, interrupted: bool) -> None:
        self.on_playback_finished(
            playback_position=self._player.played_ms / 1000, interrupted=interrupted
        )


class Assistant(Agent):
    """The agent, with one tool."""

    def __init__(self, stage: Stage) -> None:
        super().__init__(instructions="Be brief.")
        self._stage = stage

    @function_tool
    async def get_weather(self, city: str) -> str:
        """Get the weather of a city."""
        self._stage.saw("tool", arguments={"city": city})
        return f"The weather in {city} is {WEATHER}."


def report(session: AgentSession, stage: Stage) -> None:
    """Report what the framework tells of a session."""

    def heard(event: UserInputTranscribedEvent) -> None:
        if event.is_final:
            stage.saw("user", text=event.transcript)

    def added(event: ConversationItemAddedEvent) -> None:
        if getattr(event.item, "role", "") == "assistant":
            if event.item.interrupted:
                stage.saw("interrupted")
            stage.replied(event.item.text_content or "")

    def failed(event: ErrorEvent) -> None:
        stage.saw("error", message=str(event.error))

    session.on("user_input_transcribed", heard)
    session.on("conversation_item_added", added)
    session.on("error", failed)


async def hold(stage_: Stage) -> None:
    """Start the agent and converse."""
    model = openai.realtime.RealtimeModel(
        base_url=stage_.base_url, api_key=stage_.api_key, model=MODEL
    )
    async with model, AgentSession(llm=model) as session:
        session.input.audio = Microphone(stage_.microphone.frames())
        session.output.audio = Speaker(stage_)
        report(session, stage_)
        await session.start(Assistant(stage_))

        async def write(text: str) -> None:
            session.generate_reply(user_input=text)

        await stage.converse(stage_, write)


if __name__ == "__main__":
    stage.run(hold)
