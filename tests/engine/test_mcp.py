"""MCP servers named by a client: said not to be available, and nothing else changes."""

from typing import Any

from tests.engine.talk import Talk, error_of, kinds, only

DECLINED = [
    "conversation.item.added",
    "mcp_list_tools.in_progress",
    "mcp_list_tools.failed",
    "conversation.item.done",
]


def server(label: str) -> dict[str, Any]:
    """Return an MCP tool."""
    return {"type": "mcp", "server_label": label, "server_url": "https://mcp.example"}


def test_the_tools_of_a_server_fail_to_be_listed() -> None:
    talk = Talk()
    events = talk.update(tools=[server("maps")])
    assert kinds(events) == ["session.updated", *DECLINED]
    item = events[1]["item"]
    assert (item["type"], item["server_label"]) == ("mcp_list_tools", "maps")
    assert item["tools"] == []
    assert only(events, "mcp_list_tools.failed")["item_id"] == item["id"]


def test_a_server_is_told_of_once() -> None:
    talk = Talk()
    talk.update(tools=[server("maps")])
    assert kinds(talk.update(tools=[server("maps")])) == ["session.updated"]
    again = talk.update(tools=[server("maps"), server("mail")])
    assert only(again, "conversation.item.added")["item"]["server_label"] == "mail"


def test_a_server_of_one_response_is_told_of_and_the_response_goes_on() -> None:
    talk = Talk()
    events = talk.send("response.create", response={"tools": [server("maps")]})
    assert kinds(events) == ["response.created", *DECLINED]
    ended = only(talk.answer("Hello."), "response.done")
    assert ended["response"]["status"] == "completed"


def test_a_reply_reads_nothing_of_it() -> None:
    talk = Talk()
    talk.update(tools=[server("maps")])
    talk.send("response.create")
    assert talk.respond_command().request.turns == ()


def test_a_server_needs_a_label() -> None:
    tool = {"type": "mcp", "server_url": "https://mcp.example"}
    error = error_of(Talk().update(tools=[tool]))
    assert error["param"] == "session.tools[0].server_label"
