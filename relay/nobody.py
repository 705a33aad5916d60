"""Who the parts of an ended session tell.

A part that went on knowing its session would keep it, and with it all that still
waited to be said, until the next collection.
"""


def nobody(*_: object) -> None:
    """Take no note."""
