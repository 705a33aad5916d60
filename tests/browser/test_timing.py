"""The measure of the caller's wait, fed with levels by hand, run in a browser."""

from typing import Any

import pytest

from tests.browser.playground import Playground

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="module")]

WINDOW_S = 0.005
QUIET, ROOM, VOICE = 0.0, 0.004, 0.1

MEASURE = """async steps => {
    const timing = await import("/page/timing.js");
    const answers = [];
    let state = timing.NO_TIMING;
    let at = 0;
    for (const step of steps) {
        if (step === "started") state = timing.speechStarted(state);
        else if (step === "stopped") state = timing.speechStopped(state, "u1");
        else {
            const [seconds, you, agent] = step;
            const windows = Math.round(seconds / WINDOW_S);
            for (let index = 0; index < windows; index += 1) {
                const report = { at, window_s: WINDOW_S, you: [you], agent: [agent] };
                const [next, answer] = timing.hear(state, report);
                state = next;
                at += WINDOW_S;
                if (answer !== null) answers.push(answer.reply_ms);
            }
        }
    }
    return answers;
}""".replace("WINDOW_S", str(WINDOW_S))

Step = str | tuple[float, float, float]
"""An event, or seconds of a microphone level and an agent level."""


async def measure(playground: Playground, *steps: Step) -> list[float]:
    answers: list[float] = await playground.page.evaluate(MEASURE, steps)
    return answers


def about(milliseconds: float) -> Any:
    return pytest.approx(milliseconds, abs=2000 * WINDOW_S)


async def test_the_wait_is_from_the_last_voice_to_the_first_sound(
    playground: Playground,
) -> None:
    answers = await measure(
        playground,
        (1.0, QUIET, QUIET),
        (0.2, VOICE, QUIET),
        "started",
        (1.0, VOICE, QUIET),
        (0.5, QUIET, QUIET),
        "stopped",
        (0.25, QUIET, QUIET),
        (1.0, QUIET, VOICE),
    )
    assert answers == [about(750)]


async def test_pauses_inside_the_answer_measure_nothing(playground: Playground) -> None:
    answers = await measure(
        playground,
        (0.2, VOICE, QUIET),
        "started",
        (0.5, QUIET, QUIET),
        "stopped",
        (0.5, QUIET, VOICE),
        (0.5, QUIET, QUIET),
        (0.5, QUIET, VOICE),
    )
    assert answers == [about(500)]


async def test_steady_noise_of_the_room_is_no_voice(playground: Playground) -> None:
    answers = await measure(
        playground,
        (1.0, ROOM, QUIET),
        (0.5, VOICE, QUIET),
        "started",
        (0.6, ROOM, QUIET),
        "stopped",
        (0.1, ROOM, VOICE),
    )
    assert answers == [about(600)]


async def test_a_caller_who_goes_on_is_measured_from_the_later_end(
    playground: Playground,
) -> None:
    answers = await measure(
        playground,
        (0.2, VOICE, QUIET),
        "started",
        (0.5, QUIET, QUIET),
        "stopped",
        (0.5, VOICE, QUIET),
        "started",
        (0.4, QUIET, QUIET),
        "stopped",
        (0.5, QUIET, VOICE),
    )
    assert answers == [about(400)]


async def test_the_old_answer_that_still_sounds_is_not_the_new_one(
    playground: Playground,
) -> None:
    answers = await measure(
        playground,
        (0.2, VOICE, VOICE),
        "started",
        (0.3, QUIET, VOICE),
        "stopped",
        (0.2, QUIET, VOICE),
        (0.5, QUIET, QUIET),
        (0.2, QUIET, VOICE),
    )
    assert answers == [about(1000)]


async def test_a_turn_in_which_no_voice_was_heard_is_not_measured(
    playground: Playground,
) -> None:
    answers = await measure(
        playground,
        (0.2, VOICE, QUIET),
        (5.0, QUIET, QUIET),
        "started",
        (0.5, QUIET, QUIET),
        "stopped",
        (0.2, QUIET, VOICE),
    )
    assert answers == []
