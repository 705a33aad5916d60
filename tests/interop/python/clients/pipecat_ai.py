"""`pipecat-ai`: its OpenAI Realtime service in a pipeline that ends in a speaker."""

import asyncio

from pipecat.adapters.llm.schemas.function_schema import FunctionSchema
from pipecat.adapters.llm.schemas.tools_schema import ToolsSchema
from pipecat.frames.frames import (
    ErrorFrame,
    InputAudioRawFrame,
    LLMRunFrame,
    OutputAudioRawFrame,
    StartFrame,
)
from pipecat.pipeline.pipeline import Pipeline
from pipecat.pipeline.worker import PipelineParams, PipelineWorker
from pipecat.processors.aggregators.llm_context import LLMContext
from pipecat.processors.aggregators.llm_response_universal import (
    AssistantTurnStoppedMessage,
    LLMContextAggregatorPair,
    UserTurnMessageAddedMessage,
)
from pipecat.services.llm_service import FunctionCallParams
from pipecat.services.openai.realtime import events
from pipecat.services.openai.realtime.llm import OpenAIRealtimeLLMService
from pipecat.transports.base_output import BaseOutputTransport
from pipecat.transports.base_transport import TransportParams
from pipecat.workers.runner import WorkerRunner

from tests.interop.python.clients import stage
from tests.interop.python.clients.stage import MODEL, RATE_HZ, WEATHER, Stage

TOOL = FunctionSchema(
    name="get_weather",
    description="Get the weather of a city.",
    properties={"city": {"type": "string"}},
    required=["city"],
)


class Speaker(BaseOutputTransport):
    """A loudspeaker in real time, as the framework wants a transport."""

    def __init__(self, stage: Stage) -> None:
        super().__init__(
            TransportParams(audio_out_enabled=True, audio_out_end_silence_secs=0)
        )
        self._stage = stage
        self._due_s = 0.0

    async def start(self, frame: StartFrame) -> None:
        """Tell the framework that sound can be played."""
        await super().start(frame)
        await self.set_transport_ready(frame)

    async def write_audio_frame(self, frame: OutputAudioRawFrame) -> bool:
        """Play a piece; return when the next may follow."""
        now_s = asyncio.get_running_loop().time()
        self._due_s = max(self._due_s, now_s) + frame.num_frames / RATE_HZ
        self._stage.played(frame.audio)
        await asyncio.sleep(self._due_s - now_s)
        return True


def service_of(stage: Stage) -> OpenAIRealtimeLLMService:
    """Return the service, with its function."""
    audio = events.AudioInput(transcription=events.InputAudioTranscription())
    service = OpenAIRealtimeLLMService(
        api_key=stage.api_key,
        base_url=stage.websocket_url,
        settings=OpenAIRealtimeLLMService.Settings(
            model=MODEL,
            system_instruction="Be brief.",
            session_properties=events.SessionProperties(
                audio=events.AudioConfiguration(input=audio)
            ),
        ),
    )

    async def get_weather(params: FunctionCallParams) -> None:
        stage.saw("tool", arguments=dict(params.arguments))
        await params.result_callback({"weather": WEATHER})

    service.register_function(TOOL.name, get_weather)
    return service


def report(
    worker: PipelineWorker, aggregators: LLMContextAggregatorPair, stage: Stage
) -> None:
    """Report what the framework tells of a conversation."""

    async def heard(_: object, message: UserTurnMessageAddedMessage) -> None:
        stage.saw("user", text=message.content)

    async def replied(_: object, message: AssistantTurnStoppedMessage) -> None:
        if message.interrupted:
            stage.saw("interrupted")
        stage.replied(message.content)

    async def failed(_: object, frame: ErrorFrame) -> None:
        stage.saw("error", message=frame.error)

    user, assistant = aggregators.user(), aggregators.assistant()
    user.add_event_handler("on_user_turn_message_added", heard)
    assistant.add_event_handler("on_assistant_turn_stopped", replied)
    worker.add_event_handler("on_pipeline_error", failed)


async def hold(stage_: Stage) -> None:
    """Run the pipeline and converse."""
    context = LLMContext(tools=ToolsSchema(standard_tools=[TOOL]))
    aggregators = LLMContextAggregatorPair(context)
    user, assistant = aggregators.user(), aggregators.assistant()
    worker = PipelineWorker(
        Pipeline([user, service_of(stage_), Speaker(stage_), assistant]),
        params=PipelineParams(
            audio_in_sample_rate=RATE_HZ, audio_out_sample_rate=RATE_HZ
        ),
    )
    report(worker, aggregators, stage_)

    async def speak() -> None:
        async for pcm in stage_.microphone.frames():
            await worker.queue_frame(InputAudioRawFrame(pcm, RATE_HZ, 1))

    async def write(text: str) -> None:
        context.add_message({"role": "user", "content": text})
        await worker.queue_frame(LLMRunFrame())

    runner = WorkerRunner(handle_sigint=False)
    await runner.add_workers(worker)
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(runner.run())
        speaking = tasks.create_task(speak())
        await stage.converse(stage_, write)
        speaking.cancel()
        await runner.cancel()
        await running


if __name__ == "__main__":
    stage.run(hold)
