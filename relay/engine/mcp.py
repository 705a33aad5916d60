"""Tools of MCP servers: accepted in a session, and at once said not to be available.

The engine opens no connections on behalf of a client, so it cannot ask a server for its
tools. The API's own word for that is `mcp_list_tools.failed`: clients know it, and the
session goes on with its other tools.

    conversation.item.added             an item of type mcp_list_tools without tools
    mcp_list_tools.in_progress, mcp_list_tools.failed
    conversation.item.done
"""

from collections.abc import Iterable, Sequence

from relay.engine.conversation import Conversation
from relay.engine.items import Item
from relay.engine.outbox import Outbox
from relay.engine.schema import Json


def new_servers(before: Sequence[Json], after: Iterable[Json]) -> list[str]:
    """Return the labels of the MCP servers that only the later tools name."""
    return [
        tool["server_label"]
        for tool in after
        if tool["type"] == "mcp" and tool not in before
    ]


def decline(labels: Iterable[str], conversation: Conversation, outbox: Outbox) -> None:
    """Tell the client that the tools of these servers cannot be listed."""
    for label in labels:
        item = Item(
            {
                "id": outbox.new_id("mcpl"),
                "type": "mcp_list_tools",
                "server_label": label,
                "tools": [],
            }
        )
        place = {"previous_item_id": conversation.add(item), "item": item.wire()}
        outbox.emit("conversation.item.added", **place)
        outbox.emit("mcp_list_tools.in_progress", item_id=item.id)
        outbox.emit("mcp_list_tools.failed", item_id=item.id)
        outbox.emit("conversation.item.done", **place)
