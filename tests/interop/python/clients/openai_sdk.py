"""`openai`: the Realtime connection of the official package, with no framework."""

import asyncio
import base64
import json

from openai import AsyncOpenAI
from openai.resources.realtime.realtime import AsyncRealtimeConnection
from openai.types.realtime import (
    RealtimeConversationItemFunctionCall,
    RealtimeServerEvent,
)
from openai.types.realtime.realtime_function_tool_param import RealtimeFunctionToolParam

from tests.interop.python.clients import stage
from tests.interop.python.clients.player import Player
from tests.interop.python.clients.stage import MODEL, WEATHER, Stage

TOOL: RealtimeFunctionToolParam = {
    "type": "function",
    "name": "get_weather",
    "description": "Get the weather of a city.",
    "parameters": {
        "type": "object",
        "properties": {"city": {"type": "string"}},
        "required": ["city"],
    },
}


class Conversation:
    """One session; it plays what comes and truncates what the user talks over."""

    def __init__(self, stage: Stage, connection: AsyncRealtimeConnection) -> None:
        self.stage = stage
        self.connection = connection
        self.player = Player(stage, lambda: stage.replied(self.text))
        self.item_id = ""
        self.text = ""

    async def write(self, text: str) -> None:
        """Send a text and ask for the reply."""
        await self.connection.conversation.item.create(
            item={
                "type": "message",
                "role": "user",
                "content": [{"type": "input_text", "text": text}],
            }
        )
        await self.connection.response.create()

    async def speak(self) -> None:
        """Send the microphone for as long as the session lasts."""
        async for pcm in self.stage.microphone.frames():
            audio = base64.b64encode(pcm).decode()
            await self.connection.input_audio_buffer.append(audio=audio)

    async def listen(self) -> None:
        """Follow the server's events."""
        async for event in self.connection:
            self.play(event)
            match event.type:
                case "session.updated":
                    self.stage.saw("ready")
                case "conversation.item.input_audio_transcription.completed":
                    self.stage.saw("user", text=event.transcript)
                case "response.output_item.done":
                    if event.item.type == "function_call":
                        await self.answer(event.item)
                case "input_audio_buffer.speech_started":
                    await self.interrupt()
                case "error":
                    self.stage.saw("error", message=event.error.message)
                case _:
                    pass

    def play(self, event: RealtimeServerEvent) -> None:
        """Play the sound in an event, if it has any."""
        match event.type:
            case "response.output_audio.delta":
                self.item_id = event.item_id
                self.player.queue(base64.b64decode(event.delta))
            case "response.output_audio.done":
                self.player.finish()
            case "response.output_audio_transcript.done":
                self.text = event.transcript
            case _:
                pass

    async def interrupt(self) -> None:
        """Stop playing, and tell the server where the user stopped listening."""
        if not self.player.is_playing:
            return
        self.player.stop()
        await self.connection.conversation.item.truncate(
            item_id=self.item_id, content_index=0, audio_end_ms=self.player.played_ms
        )
        self.stage.saw("interrupted")
        self.stage.replied(self.text)

    async def answer(self, call: RealtimeConversationItemFunctionCall) -> None:
        """Answer a function call and ask for the reply."""
        self.stage.saw("tool", arguments=json.loads(call.arguments))
        await self.connection.conversation.item.create(
            item={
                "type": "function_call_output",
                "call_id": call.call_id or "",
                "output": json.dumps({"weather": WEATHER}),
            }
        )
        await self.connection.response.create()


async def hold(stage_: Stage) -> None:
    """Connect, configure, converse."""
    async with (
        AsyncOpenAI(base_url=stage_.base_url, api_key=stage_.api_key) as client,
        client.realtime.connect(model=MODEL) as connection,
        asyncio.TaskGroup() as tasks,
    ):
        conversation = Conversation(stage_, connection)
        listening = tasks.create_task(conversation.listen())
        await connection.session.update(
            session={
                "type": "realtime",
                "instructions": "Be brief.",
                "audio": {
                    "input": {
                        "transcription": {"model": "gpt-4o-mini-transcribe"},
                        "turn_detection": {"type": "server_vad"},
                    },
                    "output": {"voice": "marin"},
                },
                "tools": [TOOL],
            }
        )
        await stage_.wait("ready", 1)
        speaking = tasks.create_task(conversation.speak())
        await stage.converse(stage_, conversation.write)
        speaking.cancel()
        listening.cancel()


if __name__ == "__main__":
    stage.run(hold)
