"""Messages that come in several frames (RFC 6455 section 5.4). Pure."""

from relay.upstream import ends


class Fragments:
    """Puts a message together.

    Holds one at a time, and no more of it than a message may have.

    Args:
        max_bytes: Of a message.

    Attributes:
        is_waiting: A message has begun, and its end is to come.
    """

    def __init__(self, max_bytes: int) -> None:
        self.is_waiting = False
        self._max_bytes = max_bytes
        self._text = bytearray()

    def take(self, payload: bytes, *, is_first: bool, is_last: bool) -> bytes | None:
        """Take a frame; return the message that it completes, if it does.

        Args:
            payload: What is in it.
            is_first: It begins a message.
            is_last: It ends one.

        Raises:
            UpstreamLost: It cannot follow what came before, or is too much.
        """
        if is_first is self.is_waiting:
            raise ends.broken()
        if len(self._text) + len(payload) > self._max_bytes:
            raise ends.too_large(self._max_bytes)
        self._text += payload
        self.is_waiting = not is_last
        if self.is_waiting:
            return None
        message = bytes(self._text)
        self._text.clear()
        return message
