"""`openai` for WebRTC: it mints secrets, opens calls, takes part in them, hangs up.

The peer is a stock aiortc; the package only carries the offer and the answer.
"""

from collections.abc import AsyncIterator

import openai
import pytest
import pytest_asyncio
from openai import AsyncOpenAI
from openai.types.realtime import RealtimeServerEvent

from tests.interop.python.conftest import KEY
from tests.support import event_rules
from tests.support.caller import Caller
from tests.support.services import Stack

pytestmark = [
    pytest.mark.interop,
    pytest.mark.speech,
    pytest.mark.asyncio(loop_scope="package"),
]

pytest.importorskip("tests.support.speech", exc_type=ImportError)

MODEL = "gpt-realtime"
INSTRUCTIONS = "Speak like a pirate."


@pytest_asyncio.fixture(loop_scope="package")
async def server(stack: Stack) -> AsyncIterator[AsyncOpenAI]:
    """The package as the application's server has it."""
    url = f"{stack.url}/v1"
    async with AsyncOpenAI(base_url=url, api_key=KEY, max_retries=0) as client:
        yield client


@pytest_asyncio.fixture(loop_scope="package")
async def caller() -> AsyncIterator[Caller]:
    """A peer that has not called yet."""
    caller = Caller()
    try:
        yield caller
    finally:
        await caller.close()


async def call_id_of(
    client: AsyncOpenAI, caller: Caller, *, with_session: bool = False
) -> str:
    """Open a call through the package and return its id, as JavaScript's SDK does."""
    offer = await caller.offer()
    if with_session:
        created = await client.realtime.calls.create(
            sdp=offer,
            session={
                "type": "realtime",
                "model": MODEL,
                "instructions": INSTRUCTIONS,
                "audio": {"output": {"voice": "cedar"}},
            },
        )
    else:
        created = await client.realtime.calls.create(sdp=offer)
    await caller.take_answer(created.text)
    return str(created.response.headers["Location"]).rpartition("/")[2]


async def test_a_secret_of_the_server_opens_a_call(
    server: AsyncOpenAI, stack: Stack, caller: Caller
) -> None:
    secret = await server.realtime.client_secrets.create(
        expires_after={"anchor": "created_at", "seconds": 60},
        session={"type": "realtime", "model": MODEL, "instructions": INSTRUCTIONS},
    )
    assert secret.value.startswith("ek_")
    assert secret.session.type == "realtime"
    assert secret.session.instructions == INSTRUCTIONS
    url = f"{stack.url}/v1"
    async with AsyncOpenAI(base_url=url, api_key=secret.value) as browser:
        call_id = await call_id_of(browser, caller)
    assert call_id.startswith("rtc_")
    session = (await caller.wait_for("session.created"))["session"]
    assert session["instructions"] == INSTRUCTIONS
    assert session["model"] == MODEL


async def test_a_call_is_held_and_hung_up(server: AsyncOpenAI, caller: Caller) -> None:
    call_id = await call_id_of(server, caller, with_session=True)
    session = (await caller.wait_for("session.created"))["session"]
    assert session["audio"]["output"]["voice"] == "cedar"
    text = {"type": "input_text", "text": "Hello, my name is Anna."}
    item = {"type": "message", "role": "user", "content": [text]}
    caller.send({"type": "conversation.item.create", "item": item})
    caller.send({"type": "response.create"})
    done = await caller.wait_for("response.output_audio_transcript.done")
    assert "Anna" in done["transcript"]
    await caller.wait_for("output_audio_buffer.stopped")
    for event in caller.events:
        event_rules.strict_parse(event)
    event_rules.check(caller.events, is_over=True)
    await server.realtime.calls.hangup(call_id)
    await caller.wait_until(
        lambda: caller.channel.readyState == "closed", "end of the call"
    )
    with pytest.raises(openai.NotFoundError):
        await server.realtime.calls.hangup(call_id)


async def test_the_server_takes_part_in_a_call(
    server: AsyncOpenAI, caller: Caller
) -> None:
    call_id = await call_id_of(server, caller, with_session=True)
    await caller.wait_for("session.created")
    async with server.realtime.connect(call_id=call_id) as sideband:
        seen: list[RealtimeServerEvent] = [await sideband.recv()]
        assert seen[0].type == "session.created"
        await sideband.session.update(
            session={"type": "realtime", "instructions": "Be brief."}
        )
        await sideband.response.create(response={"instructions": "Greet the caller."})
        while seen[-1].type != "response.done":
            seen.append(await sideband.recv())
    kinds = {event.type for event in seen}
    assert "session.updated" in kinds
    assert "response.output_audio.delta" not in kinds
    assert "error" not in kinds
    updated = await caller.wait_for("session.updated")
    assert updated["session"]["instructions"] == "Be brief."


async def test_a_wrong_key_is_told_as_the_api_tells_it(stack: Stack) -> None:
    url = f"{stack.url}/v1"
    async with AsyncOpenAI(base_url=url, api_key="sk-wrong") as stranger:
        with pytest.raises(openai.AuthenticationError) as refused:
            await stranger.realtime.client_secrets.create()
        assert refused.value.code == "invalid_api_key"
        with pytest.raises(openai.AuthenticationError):
            await stranger.realtime.calls.hangup("rtc_of_somebody")
