"""`openai-agents`: a RealtimeAgent behind a RealtimeRunner, as in its guide."""

import asyncio
import json
from collections.abc import Sequence
from typing import Any

from agents import function_tool
from agents.realtime import RealtimeAgent, RealtimeRunner, RealtimeSession

from tests.interop.python.clients import stage
from tests.interop.python.clients.player import Player
from tests.interop.python.clients.stage import MODEL, WEATHER, Stage


class Conversation:
    """One session; its audio is played as its default tracker assumes: at once."""

    def __init__(self, stage: Stage, session: RealtimeSession) -> None:
        self.stage = stage
        self.session = session
        self.player = Player(stage, lambda: stage.replied(self.text))
        self.text = ""

    async def speak(self) -> None:
        """Send the microphone for as long as the session lasts."""
        async for pcm in self.stage.microphone.frames():
            await self.session.send_audio(pcm)

    async def listen(self) -> None:
        """Follow the session's events."""
        async for event in self.session:
            match event.type:
                case "audio":
                    self.player.queue(event.audio.data)
                case "audio_end":
                    self.player.finish()
                case "audio_interrupted":
                    self.interrupt()
                case "tool_end":
                    self.stage.saw("tool", arguments=json.loads(event.arguments))
                case "history_updated":
                    self.remember(event.history)
                case "error":
                    self.stage.saw("error", message=str(event.error))
                case _:
                    pass

    def remember(self, history: Sequence[Any]) -> None:
        """Take the last reply's text from the history that the framework keeps."""
        for item in history:
            if getattr(item, "role", "") == "assistant":
                texts = [part.transcript for part in item.content if part.transcript]
                self.text = " ".join(texts)

    def interrupt(self) -> None:
        """Stop playing; the framework tells the server where."""
        if self.player.is_playing:
            self.player.stop()
            self.stage.saw("interrupted")
            self.stage.replied(self.text)


async def hold(stage_: Stage) -> None:
    """Connect and converse."""

    @function_tool
    def get_weather(city: str) -> str:
        """Get the weather of a city."""
        return f"The weather in {city} is {WEATHER}."

    agent = RealtimeAgent(
        name="Assistant", instructions="Be brief.", tools=[get_weather]
    )
    runner = RealtimeRunner(
        starting_agent=agent, config={"model_settings": {"model_name": MODEL}}
    )
    session = await runner.run(
        model_config={
            "api_key": stage_.api_key,
            "url": f"{stage_.websocket_url}?model={MODEL}",
        }
    )
    async with session, asyncio.TaskGroup() as tasks:
        conversation = Conversation(stage_, session)
        listening = tasks.create_task(conversation.listen())
        speaking = tasks.create_task(conversation.speak())
        await stage.converse(stage_, session.send_message)
        speaking.cancel()
        listening.cancel()


if __name__ == "__main__":
    stage.run(hold)
