"""An utterance that lives on the thread of its stage, from its opening to its close.

A session may end while its job runs; opened and closed by jobs of one thread, nothing
of the model is closed in use or left open.
"""

from relay.engine.ports import Samples, SpeechToText, Utterance


class Ear:
    """One turn's utterance; every method is a job of the hearing stage."""

    def __init__(self, hearing: SpeechToText) -> None:
        self._hearing = hearing
        self._utterance: Utterance | None = None

    def add(self, pcm: Samples) -> str:
        """Take more audio; return the text of all of it so far.

        Raises:
            StageError: The model failed.
        """
        if self._utterance is None:
            self._utterance = self._hearing.open()
        return self._utterance.add(pcm)

    def close(self) -> None:
        """Release the utterance if there is one."""
        if self._utterance is not None:
            self._utterance.close()
