"""What the rule-based reply answers, in the words that speech to text really writes."""

from datetime import UTC, datetime
from fractions import Fraction
from typing import Any

import orjson
import pytest

from relay.engine.ports import (
    Call,
    Called,
    Image,
    Pause,
    Request,
    Returned,
    Said,
    Say,
    Turn,
)  # fmt: skip
from relay.engine.reply_rules import RuleReply, answer
from relay.engine.rules import arithmetic, functions, numbers

NOW = datetime(2026, 11, 21, 15, 5, tzinfo=UTC)


def said(*texts: str, **rules: Any) -> str:
    """Return the answer to texts of the user, each but the last answered."""
    turns: list[Turn] = []
    for text in texts:
        turns += [Said("user", text), Said("assistant", "Yes.")]
    pieces = answer(Request(turns=tuple(turns[:-1]), **rules), NOW)
    return "".join(piece.text for piece in pieces if isinstance(piece, Say)).strip()


@pytest.mark.parametrize(
    ("text", "reply"),
    [
        ("What is seven times six?", "7 times 6 is 42."),
        ("What is 7 times 6?", "7 times 6 is 42."),
        ("what's seven x six", "7 times 6 is 42."),
        ("What is 12 plus 34?", "12 plus 34 is 46."),
        ("How much is one hundred divided by four?", "100 divided by 4 is 25."),
        ("What time is it?", "It is 3:05 PM."),
        ("Can you tell me the time, please?", "It is 3:05 PM."),
        ("Stop at please and tell me what time it is.", "It is 3:05 PM."),
        ("What day is it today?", "Today is Saturday, November 21."),
        ("Repeat after me, hello world.", "Hello world."),
        (
            "Please repeat after me the weather is lovely today.",
            "The weather is lovely today.",
        ),
        ("Say after me: one two three.", "One two three."),
        ("Please say good morning.", "Good morning."),
        ("My name is Peter.", "Nice to meet you, Peter."),
        ("Hello, my name is Anna.", "Nice to meet you, Anna."),
        ("I'm Peter.", "Nice to meet you, Peter."),
        ("What's my name?", "You have not told me your name."),
        ("Hello there.", "Hello! How can I help you?"),
        ("Good morning!", "Hello! How can I help you?"),
        ("Good-bye.", "Goodbye!"),
        ("Bye-bye.", "Goodbye!"),
        ("Thank you very much.", "You are welcome."),
        ("How are you?", "I am well, thank you. How can I help?"),
        ("", "Sorry, I did not catch that."),
    ],
)
def test_a_question_has_its_answer(text: str, reply: str) -> None:
    assert said(text) == reply


def test_what_no_rule_knows_is_said_back() -> None:
    assert said("My dog likes cheese") == "I heard you say: My dog likes cheese."


def test_a_name_is_remembered_across_turns() -> None:
    assert said("My name is Peter.", "Lovely day.", "What's my name?") == (
        "Your name is Peter."
    )
    assert said("My name is Peter.", "Good-bye.") == "Goodbye, Peter!"


def test_the_last_name_given_counts() -> None:
    texts = ("My name is Peter.", "Call me Anna.", "What is my name?")
    assert said(*texts) == "Your name is Anna."


def test_a_question_broken_by_a_pause_is_put_together() -> None:
    turns = (Said("user", "What is seven"), Said("user", "times six?"))
    assert answer(Request(turns=turns), NOW) == [Say("7 times 6 is 42.")]


def test_the_second_of_two_questions_asked_at_once_has_its_answer() -> None:
    turns = (
        Said("user", "What is two plus three?"),
        Said("user", "What is four plus five?"),
        Said("assistant", "2 plus 3 is 5."),
    )
    assert answer(Request(turns=turns), NOW) == [Say("4 plus 5 is 9.")]


def test_the_last_answer_is_said_again() -> None:
    turns = (
        Said("user", "Hi."),
        Said("assistant", "Hello!"),
        Said("user", "Say that again."),
    )
    assert answer(Request(turns=turns), NOW) == [Say("Hello!")]


def test_counting_slowly_is_numbers_with_pauses() -> None:
    pieces = answer(Request(turns=(Said("user", "Count slowly to 3."),)), NOW)
    assert pieces == [
        Say("One. "),
        Pause(700),
        Say("Two. "),
        Pause(700),
        Say("Three. "),
    ]


@pytest.mark.parametrize(
    ("text", "first", "last", "count"),
    [
        ("Count slowly to twenty.", "One.", "Twenty.", 20),
        ("Can you count aloud to 25?", "One.", "Twenty-five.", 25),
        ("Count from five to nine.", "Five.", "Nine.", 5),
        ("Count down from ten.", "Ten.", "One.", 10),
        ("Start counting.", "One.", "Ten.", 10),
        ("Counts slowly to twenty.", "One.", "Twenty.", 20),
    ],
)
def test_counting_goes_where_it_is_asked(
    text: str, first: str, last: str, count: int
) -> None:
    words = [
        piece.text.strip()
        for piece in answer(Request(turns=(Said("user", text),)), NOW)
        if isinstance(piece, Say)
    ]
    assert (words[0], words[-1], len(words)) == (first, last, count)


def test_counting_has_a_bound() -> None:
    assert said("Count to one million.") == "That is far. I count to 100 at most."


def test_nobody_having_spoken_is_a_reason_to_greet() -> None:
    pieces = answer(Request(turns=()), NOW)
    assert isinstance(pieces[0], Say)
    assert pieces[0].text.startswith("Hello!")


def test_a_silent_caller_is_asked_for() -> None:
    assert said("", is_idle=True) == "Are you still there?"


@pytest.mark.parametrize(
    "instructions",
    [
        'Say "Welcome back."',
        "Say exactly: Welcome back.",
        "Greet them with: Welcome back.",
    ],
)
def test_words_given_with_the_response_are_said(instructions: str) -> None:
    assert said("Hm.", instructions=instructions, is_directed=True) == "Welcome back."


def test_words_in_the_rules_of_the_session_are_not_said() -> None:
    assert said("Goodbye.", instructions='Never say "Welcome".') == "Goodbye!"


@pytest.mark.asyncio
async def test_a_reply_reads_the_clock_when_it_is_asked() -> None:
    reply = RuleReply(lambda: NOW)
    request = Request(turns=(Said("user", "What time is it?"),))
    assert [piece async for piece in reply.respond(request)] == [Say("It is 3:05 PM.")]


@pytest.mark.parametrize(
    ("text", "reply"),
    [
        ("", "Sorry, I cannot see pictures."),
        ("What is 2 plus 2?", "Sorry, I cannot see pictures. 2 plus 2 is 4."),
    ],
)
def test_a_picture_is_said_not_to_be_seen(text: str, reply: str) -> None:
    turns = (Said("user", text, (Image("data:image/png;base64,AA=="),)),)
    pieces = answer(Request(turns=turns), NOW)
    assert "".join(p.text for p in pieces if isinstance(p, Say)).strip() == reply


# Functions

WEATHER = {
    "type": "function",
    "name": "get_weather",
    "description": "Tells the weather of a city",
    "parameters": {
        "type": "object",
        "properties": {
            "city": {"type": "string"},
            "unit": {"type": "string", "enum": ["celsius", "fahrenheit"]},
        },
        "required": ["city"],
    },
}
LAMP = {
    "type": "function",
    "name": "setLampBrightness",
    "description": "Dims the lamp",
    "parameters": {
        "type": "object",
        "properties": {"level": {"type": "integer"}},
        "required": ["level"],
    },
}
TOOLS = (WEATHER, LAMP)


def call_of(text: str, **rules: Any) -> tuple[str, Any] | None:
    """Return the name and the arguments of the call a text leads to."""
    request = Request(turns=(Said("user", text),), **{"tools": TOOLS, **rules})
    pieces = answer(request, NOW)
    if not isinstance(pieces[0], Call):
        return None
    return pieces[0].name, orjson.loads(pieces[0].arguments)


@pytest.mark.parametrize(
    ("text", "call"),
    [
        ("What's the weather in Paris?", ("get_weather", {"city": "Paris"})),
        (
            "How is the weather in New York today, please?",
            ("get_weather", {"city": "New York"}),
        ),
        (
            "Weather for Berlin in celsius.",
            ("get_weather", {"city": "Berlin", "unit": "celsius"}),
        ),
        ("Set the lamp to forty percent.", ("setLampBrightness", {"level": 40})),
        ("Dim the lamp to 5.", ("setLampBrightness", {"level": 5})),
        ("What is seven times six?", None),
        ("Hello there.", None),
    ],
)
def test_a_function_is_called_when_its_words_are_said(
    text: str, call: tuple[str, Any] | None
) -> None:
    assert call_of(text) == call


def test_tool_choice_none_calls_nothing() -> None:
    assert call_of("What's the weather in Paris?", tool_choice="none") is None


def test_tool_choice_required_calls_something() -> None:
    found = call_of("Hello there.", tool_choice="required")
    assert found is not None
    assert found[0] == "get_weather"


def test_tool_choice_may_name_the_function() -> None:
    choice = {"type": "function", "name": "setLampBrightness"}
    found = call_of("The weather at 30.", tool_choice=choice)
    assert found == ("setLampBrightness", {"level": 30})


@pytest.mark.parametrize(
    ("output", "speech"),
    [
        ('{"temperature": 21, "sky": "clear"}', "temperature is 21, sky is clear."),
        ('{"result": "It rains."}', "It rains."),
        ("sunny", "sunny."),
        ('["a", "b"]', "a, b."),
        ("true", "yes."),
        ("", "Done."),
        ("{}", "Done."),
        ("null", "Done."),
    ],
)
def test_what_a_function_gave_back_is_spoken(output: str, speech: str) -> None:
    turns = (
        Said("user", "What's the weather?"),
        Called("c", "get_weather", "{}"),
        Returned("c", output),
    )
    request = Request(turns=turns, tools=TOOLS, tool_choice="required")
    assert answer(request, NOW) == [Say(f"{speech} ")]


@pytest.mark.parametrize(
    "parameters",
    [
        None,
        {},
        {"properties": []},
        {"properties": {"a": 5}, "required": 3},
        {"properties": {"a": {"type": ["string", "null"]}}},
        {"properties": {"a": {"enum": []}}, "required": ["a"]},
        {"properties": {"a": {"type": "boolean"}}, "required": ["a"]},
        {"properties": {"a": {"type": "object"}, "when": {"type": "string"}}},
    ],
)
def test_any_schema_gives_arguments_that_are_json(parameters: Any) -> None:
    tool = {"type": "function", "name": "f", "parameters": parameters}
    assert isinstance(orjson.loads(functions.arguments("do it at noon", tool)), dict)


# Numbers and sums


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("zero", 0),
        ("seven", 7),
        ("forty two", 42),
        ("forty-two", 42),
        ("one hundred", 100),
        ("a hundred and five", 105),
        ("two thousand and seventeen", 2017),
        ("nine hundred ninety nine thousand", 999_000),
        ("three million", 3_000_000),
        ("1,250", 1250),
        ("3 million", 3_000_000),
        ("3.5", 3.5),
        ("two point five", 2.5),
    ],
)
def test_numbers_are_read_from_words_and_digits(text: str, value: float) -> None:
    words = numbers.tokens(text.replace("-", " "))
    found = numbers.read(words, 0)
    assert found is not None
    assert float(found[0]) == value
    assert found[1] == len(words)


def test_every_number_in_words_reads_back() -> None:
    for value in range(1000):
        words = numbers.tokens(numbers.in_words(value).replace("-", " "))
        assert numbers.read(words, 0) == (Fraction(value), len(words))


@pytest.mark.parametrize(
    ("text", "result"),
    [
        ("2 plus 3 times 4", "2 plus 3 times 4 is 14."),
        ("10 minus 2 minus 3", "10 minus 2 minus 3 is 5."),
        ("two minus five", "2 minus 5 is minus 3."),
        ("1 divided by 3", "1 divided by 3 is about 0.3333."),
        ("1 divided by 8", "1 divided by 8 is 0.125."),
        ("twenty percent of fifty", "20 percent of 50 is 10."),
        ("20% of 50", "20 percent of 50 is 10."),
        ("five squared plus one", "5 to the power of 2 plus 1 is 26."),
        ("the square root of 144", "The square root of 144 is 12."),
        ("add 5 and 7", "5 plus 7 is 12."),
        ("subtract three from ten", "10 minus 3 is 7."),
        ("the sum of 2 and 2", "2 plus 2 is 4."),
        ("to plus for", "2 plus 4 is 6."),
        ("What is too-plus, too?", "2 plus 2 is 4."),
        ("7-3", "7 minus 3 is 4."),
        ("one divided by zero", "You cannot divide by zero."),
        ("9 to the power of 99", "That power is beyond me."),
        ("1000000 to the power of 5", "That is a bigger number than I can say."),
        ("seven", None),
        ("many times over", None),
        ("", None),
    ],
)
def test_sums_are_spoken_with_their_result(text: str, result: str | None) -> None:
    assert arithmetic.answer(text) == result
