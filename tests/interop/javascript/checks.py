"""What is asked of a session that a client has held."""

from tests.browser.recording import words
from tests.interop.javascript.client import Client, words_of
from tests.support import event_rules


def assert_clean(client: Client) -> None:
    """Hold a finished session against the API's types and order; nothing went wrong."""
    assert client.errors == []
    assert client.complaints == []
    assert client.all("error") == []
    for event in client.events:
        event_rules.strict_parse(event)
    event_rules.check(client.events, is_over=True)


def answers(client: Client) -> list[list[str]]:
    """Return the words of each answer in the history."""
    of_agent = [item for item in client.history if item.get("role") == "assistant"]
    return [words(words_of(item)) for item in of_agent]
