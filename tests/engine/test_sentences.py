"""Text on its way to speech: pieces that sound whole, and nothing lost between them."""

from itertools import pairwise

from hypothesis import given, strategies as st

from relay.engine.sentences import MAX_PIECE_CHARACTERS, Sentences, speakable


def pieces_of(*texts: str) -> list[str]:
    """Return the pieces of streamed text."""
    sentences = Sentences()
    pieces = [piece for text in texts for piece in sentences.feed(text)]
    return pieces + sentences.flush()


def test_a_piece_is_a_sentence() -> None:
    text = "Hello there. How are you? I am well."
    assert pieces_of(text) == ["Hello there. ", "How are you? ", "I am well."]


def test_a_sentence_that_is_complete_is_not_cut_at_its_clauses() -> None:
    assert pieces_of("Nice to meet you very much, Peter.") == [
        "Nice to meet you very much, Peter."
    ]


def test_the_first_clause_of_an_unfinished_answer_goes_first() -> None:
    sentences = Sentences()
    assert sentences.feed("That is quite a long story, but") == [
        "That is quite a long story, "
    ]
    assert sentences.feed(" here it comes, in one go") == []


def test_a_decimal_point_ends_no_sentence() -> None:
    assert pieces_of("It is 3.5 metres.") == ["It is 3.5 metres."]


@given(st.lists(st.text(alphabet="ab .,!?\n", max_size=300), max_size=5))
def test_pieces_are_bounded_and_lose_no_words(texts: list[str]) -> None:
    pieces = pieces_of(*texts)
    assert "".join(pieces).strip() == "".join(texts).strip()
    assert all(len(piece) <= MAX_PIECE_CHARACTERS for piece in pieces)


@given(st.text(alphabet="ab .,!?", max_size=300), st.integers(1, 9))
def test_later_pieces_do_not_depend_on_how_the_text_came(text: str, step: int) -> None:
    cuts = [*range(0, len(text), step), len(text)]
    streamed = pieces_of(*[text[start:end] for start, end in pairwise(cuts)])
    assert "".join(streamed).strip() == text.strip()


def test_markup_is_not_spoken() -> None:
    assert speakable("**Bold** and [a link](https://x)") == "Bold  and a link"
    assert speakable("* `") == ""
