"""Turns and barge-in, without a loop: inputs with `now` in, commands out."""

import orjson
import pytest

from relay.interruptions import FLUSH_TIMEOUT_S, MAX_PENDING
from relay.turn import (
    MAX_RESPONSES,
    PLAYOUT_GRACE_S,
    TRANSITIONS,
    Action,
    Command,
    FlushEdge,
    Input,
    State,
    ToClient,
    ToUpstream,
    Turn,
)
from relay.upstream.events import (
    AudioBegan,
    AudioDelta,
    AudioDone,
    EventIds,
    ResponseCreated,
    ResponseDone,
    SessionConfigured,
)

SECOND = bytes(48_000)


class Scene:
    """A turn, played through step by step; remembers what was commanded."""

    def __init__(self) -> None:
        self.turn = Turn(EventIds())
        self.commands: list[Command] = []

    def create(self, response: str = "resp_1", out_of_band: bool = False) -> None:
        event = ResponseCreated(response, out_of_band)
        self.commands += self.turn.response_created(event, 0.0)

    def announce(self, response: str = "resp_1", item: str = "item_1") -> None:
        self.turn.audio_began(AudioBegan(response, item, 0))

    def say(
        self, pcm: bytes = SECOND, response: str = "resp_1", item: str = "item_1"
    ) -> None:
        self.commands += self.turn.audio(AudioDelta(response, item, 0, pcm), 0.0)

    def send(self, frames: int = 10**6, now: float = 0.0) -> None:
        """Let frames leave, as the clock would."""
        speech = self.turn.speech
        if not speech.in_talkspurt:
            speech.begin_talkspurt()
        for _ in range(frames):
            if not speech.has_frames:
                break
            speech.take(0)
        self.commands += self.turn.frames_sent(now + 1.0, now)

    def done(self, response: str = "resp_1", now: float = 0.0) -> None:
        self.commands += self.turn.audio_done(AudioDone(response))
        self.commands += self.turn.response_done(ResponseDone(response), now)

    def hear(self, talkspurt: int, samples: int, now: float = 0.0) -> None:
        self.commands += self.turn.heard(talkspurt, samples, now)

    def speak(self, now: float = 0.0) -> None:
        self.commands += self.turn.speech_started(now)

    def told(self) -> list[tuple[str, ...]]:
        """Return the commands so far, short, and forget them."""
        commands, self.commands = self.commands, []
        return [_short(command) for command in commands]


def _short(command: Command) -> tuple[str, ...]:
    if isinstance(command, FlushEdge):
        return ("flush", str(command.talkspurt))
    event = orjson.loads(command.payload)
    whom = "client" if isinstance(command, ToClient) else "upstream"
    keys = ("response_id", "item_id", "audio_end_ms")
    return (whom, event["type"], *(str(event[key]) for key in keys if key in event))


def speaking_scene(samples: int = 24_000) -> Scene:
    scene = Scene()
    scene.create()
    scene.say(bytes(2 * samples))
    scene.send()
    scene.told()
    return scene


@pytest.mark.parametrize("state", State)
@pytest.mark.parametrize("step", Input)
def test_the_table_knows_every_pair(state: State, step: Input) -> None:
    successor, action = TRANSITIONS[state, step]
    assert isinstance(successor, State)
    assert isinstance(action, Action)


CHANGES = {
    (State.LISTENING, Input.RESPONSE_BEGAN): (State.THINKING, Action.NONE),
    (State.LISTENING, Input.AUDIO): (State.SPEAKING, Action.NONE),
    (State.THINKING, Input.AUDIO): (State.SPEAKING, Action.NONE),
    (State.THINKING, Input.RESPONSES_ENDED): (State.LISTENING, Action.NONE),
    (State.THINKING, Input.BARGE_IN): (State.LISTENING, Action.INTERRUPT),
    (State.THINKING, Input.CLEAR): (State.LISTENING, Action.INTERRUPT),
    (State.SPEAKING, Input.PLAYED_OUT): (State.LISTENING, Action.STOP),
    (State.SPEAKING, Input.BARGE_IN): (State.LISTENING, Action.INTERRUPT),
    (State.SPEAKING, Input.CLEAR): (State.LISTENING, Action.INTERRUPT),
}


@pytest.mark.parametrize("state", State)
@pytest.mark.parametrize("step", Input)
def test_the_table_is_the_one_in_the_docstring(state: State, step: Input) -> None:
    unchanged = (state, Action.NONE)
    assert TRANSITIONS[state, step] == CHANGES.get((state, step), unchanged)


def test_a_reply_goes_from_thinking_to_speaking_to_listening() -> None:
    scene = Scene()
    states = [scene.turn.state]
    scene.create()
    states.append(scene.turn.state)
    scene.say()
    states.append(scene.turn.state)
    scene.send()
    scene.done()
    scene.hear(1, 24_000)
    states.append(scene.turn.state)
    assert states == [
        State.LISTENING,
        State.THINKING,
        State.SPEAKING,
        State.LISTENING,
    ]


def test_started_goes_out_with_the_first_frame_and_once() -> None:
    scene = Scene()
    scene.create()
    scene.say()
    assert scene.told() == []
    scene.send(frames=1)
    scene.send(frames=1)
    assert scene.told() == [("client", "output_audio_buffer.started", "resp_1")]


def test_stopped_waits_for_the_ear_and_for_the_response() -> None:
    scene = speaking_scene()
    scene.hear(1, 23_999)
    scene.done()
    assert scene.told() == []
    scene.hear(1, 24_000)
    assert scene.told() == [("client", "output_audio_buffer.stopped", "resp_1")]


def test_stopped_comes_after_response_done_when_that_is_late() -> None:
    scene = speaking_scene()
    scene.hear(1, 24_000)
    assert scene.told() == []
    scene.done()
    assert scene.told() == [("client", "output_audio_buffer.stopped", "resp_1")]


def test_a_muted_caller_is_taken_to_have_heard_after_a_grace() -> None:
    scene = speaking_scene()
    scene.done()
    due_s = scene.turn.next_timeout()
    assert due_s == 1.0 + PLAYOUT_GRACE_S
    assert scene.turn.handle_timeout(due_s - 0.01) == []
    scene.commands += scene.turn.handle_timeout(due_s)
    assert scene.told() == [("client", "output_audio_buffer.stopped", "resp_1")]
    assert scene.turn.next_timeout() is None


def test_the_end_is_heard_as_long_after_it_was_due_as_what_was_told() -> None:
    scene = speaking_scene()
    scene.done()
    scene.hear(1, 12_000, now=0.9)
    assert scene.turn.next_timeout() == pytest.approx(1.4)
    scene.hear(1, 18_000, now=0.95)
    assert scene.turn.next_timeout() == pytest.approx(1.2)
    assert scene.turn.handle_timeout(1.19) == []
    scene.commands += scene.turn.handle_timeout(1.21)
    assert scene.told() == [("client", "output_audio_buffer.stopped", "resp_1")]


@pytest.mark.parametrize(
    ("samples", "now", "end_s"), [(12_000, 0.3, 1.0), (12_000, 3.0, 1.5)]
)
def test_nothing_told_moves_the_end_ahead_of_its_time_or_beyond_the_grace(
    samples: int, now: float, end_s: float
) -> None:
    scene = speaking_scene()
    scene.done()
    scene.hear(1, samples, now)
    assert scene.turn.next_timeout() == end_s


def test_what_is_told_of_another_talkspurt_says_nothing_of_this_ones_end() -> None:
    scene = speaking_scene()
    scene.done()
    scene.hear(0, 12_000, now=0.7)
    assert scene.turn.next_timeout() == 1.0 + PLAYOUT_GRACE_S


def test_the_end_of_a_response_under_way_is_heard_when_that_is_told() -> None:
    scene = speaking_scene()
    scene.hear(1, 12_000, now=0.7)
    assert scene.turn.next_timeout() == 1.0 + PLAYOUT_GRACE_S
    scene.speak(now=1.3)
    scene.told()
    scene.commands += scene.turn.flush_done(1, 18_000)
    cut = ("upstream", "conversation.item.truncate", "item_1", "750")
    assert cut in scene.told()


def test_a_response_that_is_done_late_has_been_heard_by_then() -> None:
    scene = speaking_scene()
    scene.hear(1, 12_000, now=0.7)
    scene.done(now=1.3)
    assert scene.turn.next_timeout() == pytest.approx(1.2)
    scene.commands += scene.turn.handle_timeout(1.3)
    assert scene.told() == [("client", "output_audio_buffer.stopped", "resp_1")]


def test_a_delta_without_a_sound_leaves_the_grace_as_it_was() -> None:
    scene = speaking_scene()
    scene.say(b"")
    scene.done()
    scene.commands += scene.turn.handle_timeout(1.0 + PLAYOUT_GRACE_S)
    assert scene.told() == [("client", "output_audio_buffer.stopped", "resp_1")]


def test_the_grace_of_an_unfinished_response_ends_with_the_response() -> None:
    scene = speaking_scene()
    scene.commands += scene.turn.handle_timeout(9.0)
    assert scene.told() == []
    scene.done()
    assert scene.told() == [("client", "output_audio_buffer.stopped", "resp_1")]


def test_the_next_response_stops_the_one_before() -> None:
    scene = speaking_scene()
    scene.done()
    scene.create("resp_2")
    scene.say(response="resp_2", item="item_2")
    scene.send()
    assert scene.told() == [
        ("client", "output_audio_buffer.stopped", "resp_1"),
        ("client", "output_audio_buffer.started", "resp_2"),
    ]


def test_a_response_begun_while_another_plays_is_thought_about_afterwards() -> None:
    scene = speaking_scene()
    scene.done()
    scene.create("resp_2")
    scene.hear(1, 24_000)
    assert scene.turn.state is State.THINKING


def test_a_barge_in_flushes_at_once_and_truncates_when_the_edge_has_answered() -> None:
    scene = speaking_scene()
    scene.speak()
    assert scene.told() == [("flush", "1")]
    scene.done()
    scene.commands += scene.turn.flush_done(1, 12_000)
    assert scene.told() == [
        ("upstream", "conversation.item.truncate", "item_1", "500"),
        ("client", "output_audio_buffer.cleared", "resp_1"),
    ]
    assert scene.turn.next_timeout() is None


def test_a_response_that_the_upstream_does_not_cancel_is_cancelled() -> None:
    scene = speaking_scene()
    scene.speak()
    scene.commands += scene.turn.flush_done(1, 2400)
    assert scene.told()[1:] == [
        ("upstream", "response.cancel", "resp_1"),
        ("upstream", "conversation.item.truncate", "item_1", "100"),
        ("client", "output_audio_buffer.cleared", "resp_1"),
    ]


def test_an_item_of_which_nothing_was_heard_is_deleted() -> None:
    scene = speaking_scene()
    scene.speak()
    scene.done()
    scene.commands += scene.turn.flush_done(0, 0)
    assert scene.told()[1:] == [
        ("upstream", "conversation.item.delete", "item_1"),
        ("client", "output_audio_buffer.cleared", "resp_1"),
    ]


def test_without_an_answer_the_last_heard_position_counts() -> None:
    scene = speaking_scene()
    scene.hear(1, 4800)
    scene.speak(now=5.0)
    scene.hear(1, 7200)
    scene.done()
    assert scene.turn.handle_timeout(5.0 + FLUSH_TIMEOUT_S - 0.01) == []
    scene.commands += scene.turn.handle_timeout(5.0 + FLUSH_TIMEOUT_S)
    assert scene.told()[1:] == [
        ("upstream", "conversation.item.truncate", "item_1", "300"),
        ("client", "output_audio_buffer.cleared", "resp_1"),
    ]


def test_an_answer_after_the_timeout_changes_nothing() -> None:
    scene = speaking_scene()
    scene.speak()
    scene.commands += scene.turn.handle_timeout(FLUSH_TIMEOUT_S)
    scene.told()
    assert scene.turn.flush_done(1, 24_000) == []


def test_late_audio_of_an_interrupted_response_never_plays() -> None:
    scene = speaking_scene()
    scene.speak()
    scene.say()
    assert not scene.turn.speech.has_frames
    assert scene.turn.state is State.LISTENING


def test_late_audio_of_a_response_never_announced_never_plays() -> None:
    scene = Scene()
    scene.say()
    scene.send()
    scene.speak()
    scene.say()
    assert not scene.turn.speech.has_frames


def test_the_queue_is_dropped_at_a_barge_in() -> None:
    scene = Scene()
    scene.create()
    scene.say()
    scene.send(frames=5)
    scene.speak()
    assert not scene.turn.speech.has_frames


def test_the_next_response_may_play_before_the_edge_has_answered() -> None:
    scene = speaking_scene()
    scene.speak()
    scene.done()
    scene.create("resp_2")
    scene.say(response="resp_2", item="item_2")
    scene.send()
    scene.hear(2, 2400)
    scene.commands += scene.turn.flush_done(1, 12_000)
    assert scene.told() == [
        ("flush", "1"),
        ("client", "output_audio_buffer.started", "resp_2"),
        ("upstream", "conversation.item.truncate", "item_1", "500"),
        ("client", "output_audio_buffer.cleared", "resp_1"),
    ]
    assert scene.turn.state is State.SPEAKING


def test_a_flush_that_came_after_the_end_of_what_it_names_cut_nothing_off() -> None:
    scene = speaking_scene()
    scene.done()
    scene.speak()
    scene.create("resp_2")
    scene.say(response="resp_2", item="item_2")
    scene.send()
    scene.told()
    scene.commands += scene.turn.flush_done(2, 480)
    assert scene.told() == [("client", "output_audio_buffer.cleared", "resp_1")]


def test_what_the_edge_sent_before_it_fell_silent_is_heard_of_each_item() -> None:
    scene = Scene()
    scene.create()
    scene.say(item="item_1")
    scene.say(item="item_2")
    scene.say(item="item_3")
    scene.send()
    scene.told()
    scene.speak()
    scene.done()
    scene.commands += scene.turn.flush_done(1, 24_000 + 480)
    assert scene.told()[1:] == [
        ("upstream", "conversation.item.truncate", "item_2", "20"),
        ("upstream", "conversation.item.delete", "item_3"),
        ("client", "output_audio_buffer.cleared", "resp_1"),
    ]


def interrupted_twice() -> Scene:
    """Two replies interrupted before the edge has answered the first flush."""
    scene = speaking_scene()
    scene.hear(1, 2400)
    scene.speak()
    scene.done()
    scene.create("resp_2")
    scene.say(response="resp_2", item="item_2")
    scene.send()
    scene.told()
    scene.speak()
    scene.done("resp_2")
    assert scene.told() == [("flush", "2")]
    return scene


def test_the_answer_to_a_second_flush_is_the_firsts_too() -> None:
    scene = interrupted_twice()
    scene.commands += scene.turn.flush_done(1, 12_000)
    assert scene.told() == [
        ("upstream", "conversation.item.truncate", "item_1", "500"),
        ("client", "output_audio_buffer.cleared", "resp_1"),
        ("upstream", "conversation.item.delete", "item_2"),
        ("client", "output_audio_buffer.cleared", "resp_2"),
    ]


def test_an_answer_of_the_second_talkspurt_settles_the_first_where_last_told() -> None:
    scene = interrupted_twice()
    scene.hear(1, 11_520)
    scene.hear(2, 480)
    scene.commands += scene.turn.flush_done(2, 4800)
    assert scene.told() == [
        ("upstream", "conversation.item.truncate", "item_1", "480"),
        ("client", "output_audio_buffer.cleared", "resp_1"),
        ("upstream", "conversation.item.truncate", "item_2", "200"),
        ("client", "output_audio_buffer.cleared", "resp_2"),
    ]


def test_each_of_two_barge_ins_unanswered_ends_in_its_time() -> None:
    scene = interrupted_twice()
    scene.commands += scene.turn.handle_timeout(FLUSH_TIMEOUT_S)
    assert [told[-1] for told in scene.told()] == ["100", "resp_1", "item_2", "resp_2"]
    assert scene.turn.next_timeout() is None


def test_speech_while_the_next_reply_is_thought_about_leaves_the_flush_be() -> None:
    scene = speaking_scene()
    scene.hear(1, 2400)
    scene.speak()
    scene.done()
    scene.create("resp_2")
    scene.told()
    scene.speak()
    assert scene.told() == []
    scene.commands += scene.turn.flush_done(1, 12_000)
    assert scene.told() == [
        ("upstream", "conversation.item.truncate", "item_1", "500"),
        ("client", "output_audio_buffer.cleared", "resp_1"),
    ]
    scene.commands += scene.turn.handle_timeout(FLUSH_TIMEOUT_S)
    assert scene.told() == [("upstream", "response.cancel", "resp_2")]


def test_of_too_many_barge_ins_unanswered_the_oldest_is_settled() -> None:
    scene = Scene()
    for number in range(1, MAX_PENDING + 2):
        response = f"resp_{number}"
        scene.create(response)
        scene.say(response=response, item=f"item_{number}")
        scene.send()
        scene.hear(number, 480 * number)
        scene.told()
        scene.speak()
        scene.done(response)
    assert scene.told() == [
        ("upstream", "conversation.item.truncate", "item_1", "20"),
        ("client", "output_audio_buffer.cleared", "resp_1"),
        ("flush", str(MAX_PENDING + 1)),
    ]


def test_speech_while_thinking_silences_without_a_flush() -> None:
    scene = Scene()
    scene.create()
    scene.speak()
    assert scene.told() == []
    scene.say()
    assert not scene.turn.speech.has_frames
    scene.commands += scene.turn.handle_timeout(FLUSH_TIMEOUT_S)
    assert scene.told() == [("upstream", "response.cancel", "resp_1")]


def test_speech_while_thinking_needs_nothing_if_the_upstream_cancels() -> None:
    scene = Scene()
    scene.create()
    scene.speak()
    scene.done()
    scene.commands += scene.turn.handle_timeout(FLUSH_TIMEOUT_S)
    assert scene.told() == []


def test_an_item_interrupted_before_its_first_audio_is_deleted() -> None:
    scene = Scene()
    scene.create()
    scene.announce()
    scene.speak()
    scene.done()
    scene.commands += scene.turn.handle_timeout(FLUSH_TIMEOUT_S)
    assert scene.told() == [("upstream", "conversation.item.delete", "item_1")]


def test_an_item_announced_while_another_plays_is_deleted_when_unheard() -> None:
    scene = speaking_scene()
    scene.turn.audio_done(AudioDone("resp_1"))
    scene.announce(item="item_2")
    scene.speak()
    scene.done()
    scene.commands += scene.turn.flush_done(1, 2400)
    assert scene.told()[1:-1] == [
        ("upstream", "conversation.item.truncate", "item_1", "100"),
        ("upstream", "conversation.item.delete", "item_2"),
    ]


def test_an_item_announced_and_heard_to_its_end_stays() -> None:
    scene = Scene()
    scene.create()
    scene.announce()
    scene.say()
    scene.send()
    scene.done()
    scene.hear(1, 24_000)
    scene.create("resp_2")
    scene.speak()
    scene.commands += scene.turn.handle_timeout(FLUSH_TIMEOUT_S)
    assert [one for one in scene.told() if "item" in one[1]] == []


def test_an_item_announced_whose_response_ends_unspoken_stays() -> None:
    scene = Scene()
    scene.create()
    scene.announce()
    scene.done()
    scene.create("resp_2")
    scene.speak()
    scene.commands += scene.turn.handle_timeout(FLUSH_TIMEOUT_S)
    assert scene.told() == [("upstream", "response.cancel", "resp_2")]


@pytest.mark.parametrize("clears", [True, False])
def test_an_item_announced_once_it_is_interrupted_is_deleted(clears: bool) -> None:
    scene = Scene()
    scene.create()
    scene.commands += (
        scene.turn.clear_requested(0.0) if clears else scene.turn.speech_started(0.0)
    )
    scene.announce()
    scene.done()
    scene.commands += scene.turn.handle_timeout(FLUSH_TIMEOUT_S)
    scene.announce(item="item_2")  # too late: that was settled
    assert scene.told()[clears:] == [("upstream", "conversation.item.delete", "item_1")]


@pytest.mark.parametrize("response", ["resp_aside", "resp_unknown"])
def test_no_item_of_a_response_that_is_not_awaited_is_deleted(response: str) -> None:
    scene = Scene()
    scene.create()
    scene.create("resp_aside", out_of_band=True)
    scene.speak()
    scene.announce(response)
    scene.create("resp_2")
    scene.speak()
    scene.done()
    scene.done("resp_2")
    scene.commands += scene.turn.handle_timeout(FLUSH_TIMEOUT_S)
    assert scene.told() == []


def test_speech_while_listening_does_nothing() -> None:
    scene = Scene()
    scene.speak()
    assert scene.told() == []
    assert scene.turn.next_timeout() is None


def test_speech_does_not_interrupt_where_the_session_forbids_it() -> None:
    scene = speaking_scene()
    scene.turn.configured(SessionConfigured(interrupts=False))
    scene.speak()
    assert scene.told() == []
    assert scene.turn.state is State.SPEAKING


def test_clear_cancels_at_once_and_only_once() -> None:
    scene = speaking_scene()
    scene.commands += scene.turn.clear_requested(0.0)
    assert scene.told() == [("flush", "1"), ("upstream", "response.cancel", "resp_1")]
    scene.commands += scene.turn.flush_done(1, 2400)
    assert scene.told() == [
        ("upstream", "conversation.item.truncate", "item_1", "100"),
        ("client", "output_audio_buffer.cleared", "resp_1"),
    ]


def test_clear_works_where_speech_may_not_interrupt() -> None:
    scene = speaking_scene()
    scene.turn.configured(SessionConfigured(interrupts=False))
    scene.commands += scene.turn.clear_requested(0.0)
    assert ("flush", "1") in scene.told()


def test_clear_of_a_finished_response_cancels_nothing() -> None:
    scene = speaking_scene()
    scene.done()
    scene.commands += scene.turn.clear_requested(0.0)
    assert scene.told() == [("flush", "1")]


def test_clear_while_nothing_plays_does_nothing() -> None:
    scene = Scene()
    scene.commands += scene.turn.clear_requested(0.0)
    assert scene.told() == []


def test_a_response_out_of_band_is_neither_awaited_nor_cancelled() -> None:
    scene = Scene()
    scene.create("resp_aside", out_of_band=True)
    assert scene.turn.state is State.LISTENING
    scene.create()
    scene.speak()
    scene.commands += scene.turn.handle_timeout(FLUSH_TIMEOUT_S)
    assert scene.told() == [("upstream", "response.cancel", "resp_1")]


def test_a_response_out_of_band_that_is_heard_is_interrupted_like_any() -> None:
    scene = Scene()
    scene.create("resp_aside", out_of_band=True)
    scene.say(response="resp_aside")
    scene.send()
    scene.speak()
    scene.commands += scene.turn.flush_done(1, 2400)
    assert ("upstream", "response.cancel", "resp_aside") in scene.told()


def test_a_reply_without_a_whole_frame_is_played_when_its_part_ends() -> None:
    scene = Scene()
    scene.create()
    scene.say(bytes(100))
    assert not scene.turn.speech.has_frames
    scene.turn.audio_done(AudioDone("resp_1"))
    assert scene.turn.speech.has_frames


def test_responses_that_never_end_are_forgotten_at_the_bound() -> None:
    scene = Scene()
    for number in range(MAX_RESPONSES + 5):
        scene.create(f"resp_{number}")
    scene.speak()
    commands = scene.turn.handle_timeout(FLUSH_TIMEOUT_S)
    assert len(commands) == MAX_RESPONSES
    assert all(isinstance(command, ToUpstream) for command in commands)


def test_no_two_events_of_the_relay_share_an_id() -> None:
    scene = speaking_scene()
    scene.say(item="item_2")
    scene.send()
    scene.speak()
    commands = scene.turn.flush_done(1, 0)
    payloads = [c.payload for c in commands if not isinstance(c, FlushEdge)]
    ids = [orjson.loads(payload)["event_id"] for payload in payloads]
    assert len(ids) == len(set(ids)) == 4
