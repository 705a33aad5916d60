"""Unmodified clients from PyPI against the edge, over its WebSocket door."""
