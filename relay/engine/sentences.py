"""Cuts streamed text into pieces worth speaking at once.

A piece is a sentence, which sounds best. While the first one is still being written,
its first clause is a piece, so that the caller hears something soon. The pieces joined
are the text.
"""

import re

_SENTENCE_END = re.compile(r"[.!?\u2026][\"')\]\u201d\u2019]*\s+|\n+")
_CLAUSE_END = re.compile(r"[,;:\u2014]\s+(?=\S)")
_COMPLETE = re.compile(r"[.!?\u2026][\"')\]\u201d\u2019]*$")
_MIN_CLAUSE_CHARACTERS = 24
"""A clause shorter than this ("Well, ...") is not worth a breath of its own."""

MAX_PIECE_CHARACTERS = 240
"""Longest piece: about 15 s of speech, 150 ms of work."""


class Sentences:
    """Collects text; gives it back in pieces."""

    def __init__(self) -> None:
        self._text = ""
        self._is_first = True

    def feed(self, text: str) -> list[str]:
        """Add text; return the pieces now complete."""
        self._text += text
        pieces = []
        while (end := self._next_end()) is not None:
            pieces.append(self._text[:end])
            self._text = self._text[end:]
            self._is_first = False
        return pieces

    def flush(self) -> list[str]:
        """Return what is left."""
        rest, self._text = self._text, ""
        self._is_first = self._is_first and not rest.strip()
        return [rest] if rest.strip() else []

    def _next_end(self) -> int | None:
        text = self._text
        sentence = _SENTENCE_END.search(text)
        if sentence is not None and sentence.end() <= MAX_PIECE_CHARACTERS:
            return sentence.end()
        if self._is_first and not _COMPLETE.search(text):
            for clause in _CLAUSE_END.finditer(text):
                if clause.end() >= _MIN_CLAUSE_CHARACTERS:
                    return min(clause.end(), MAX_PIECE_CHARACTERS)
        if len(text) > MAX_PIECE_CHARACTERS:
            space = text.rfind(" ", 1, MAX_PIECE_CHARACTERS)
            return space + 1 if space > 0 else MAX_PIECE_CHARACTERS
        return None


_MARKUP = re.compile(r"[*_`#>|~]+|\[([^\]]*)\]\([^)]*\)")


def speakable(text: str) -> str:
    """Return text without the markup that chat models like to write."""
    return _MARKUP.sub(lambda match: match.group(1) or " ", text).strip()
