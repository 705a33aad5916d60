"""Which words count as heard, whatever was said and wherever it was cut."""

from hypothesis import given, strategies as st

from relay.engine.spoken import Spoken, heard, spoken
from tests.engine.talk import tone

_TEXTS = st.lists(st.text("ab ,.", max_size=20), max_size=6)


def said(texts: list[str]) -> list[Spoken]:
    """Return pieces in a row, 10 ms for each character."""
    pieces: list[Spoken] = []
    position = 0
    for text in texts:
        pcm = tone(10 * len(text))
        pieces.append(spoken(text, pcm, position))
        position += len(pcm)
    return pieces


def text_of(pieces: list[Spoken]) -> str:
    """Return the text of pieces."""
    return "".join(piece.text for piece in pieces)


@given(_TEXTS, st.integers(0, 50_000), st.integers(0, 50_000))
def test_what_was_heard_begins_what_was_said(
    texts: list[str], one: int, other: int
) -> None:
    whole = "".join(texts)
    less, more = (
        text_of(heard(said(texts), cut)).rstrip() for cut in sorted((one, other))
    )
    assert whole.startswith(more)
    assert more.startswith(less)


@given(_TEXTS)
def test_to_the_end_is_all_of_it(texts: list[str]) -> None:
    length = sum(len(text) for text in texts) * 240
    assert text_of(heard(said(texts), length)) == "".join(texts)


@given(_TEXTS, st.integers(0, 50_000))
def test_words_are_never_cut_in_two(texts: list[str], cut: int) -> None:
    words = {word for text in texts for word in text.split()}
    for piece in heard(said(texts), cut):
        assert set(piece.text.split()) <= words


@given(_TEXTS, st.integers(0, 50_000), st.integers(0, 50_000))
def test_a_second_cut_is_as_if_it_were_the_first(
    texts: list[str], one: int, other: int
) -> None:
    twice = heard(heard(said(texts), max(one, other)), min(one, other))
    assert text_of(heard(said(texts), min(one, other))).startswith(text_of(twice))
