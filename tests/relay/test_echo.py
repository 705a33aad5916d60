"""The upstream that says what it hears, at once or later, in virtual time."""

import asyncio
from dataclasses import dataclass, field

from proto.frames import FRAME_BYTES
from relay.upstream.echo import Echo
from relay.upstream.events import AudioDelta, UpstreamEvent
from tests.support import clock as virtual

SPOKEN = [bytes((number,)) * FRAME_BYTES for number in range(10)]


@dataclass
class Ear:
    """Notes what is said, and when."""

    has_media = True
    heard: list[tuple[float, bytes]] = field(default_factory=list)

    def upstream_connected(self) -> None: ...

    def upstream_event(self, event: UpstreamEvent, message: bytes) -> None:
        del message
        if isinstance(event, AudioDelta):
            now = asyncio.get_running_loop().time()
            self.heard.append((round(now, 3), event.pcm))


def converse(after_s: float, *said: tuple[float, bytes]) -> list[tuple[float, bytes]]:
    """Say audio at some times; return what came back within a minute, and when."""

    async def main() -> list[tuple[float, bytes]]:
        echo, ear = Echo(after_s), Ear()
        async with asyncio.TaskGroup() as tasks:
            running = tasks.create_task(echo.run(ear, tasks))
            await asyncio.sleep(0)
            loop = asyncio.get_running_loop()
            for at_s, pcm in said:
                loop.call_at(at_s, echo.append, pcm)
            await asyncio.sleep(60.0)
            running.cancel()
        return ear.heard

    return virtual.run(main())


def spoken(from_s: float) -> list[tuple[float, bytes]]:
    """Return frames of speech, one each 20 ms."""
    return [(round(from_s + 0.02 * n, 3), pcm) for n, pcm in enumerate(SPOKEN)]


def later(after_s: float, *said: tuple[float, bytes]) -> list[tuple[float, bytes]]:
    return [(round(at_s + after_s, 3), pcm) for at_s, pcm in said]


def test_an_echo_comes_at_once() -> None:
    alone = (2.0, SPOKEN[0])
    assert converse(0.0, *spoken(1.0), alone) == [*spoken(1.0), alone]


def test_an_echo_may_come_later_and_keeps_what_is_said_meanwhile() -> None:
    said = [*spoken(1.0), *spoken(2.0), *spoken(6.0)]
    assert converse(3.0, *said) == later(3.0, *said)


def test_later_nobody_answers_comfort_noise() -> None:
    noise = [(1.0 + 0.4 * n, SPOKEN[n]) for n in range(5)]
    assert converse(3.0, *noise) == []
    assert converse(3.0, *noise, *spoken(5.0)) == later(3.0, *spoken(5.0))


def test_a_long_piece_is_no_comfort_noise() -> None:
    piece = (1.0, SPOKEN[0] + SPOKEN[1])
    assert converse(3.0, piece) == later(3.0, piece)
