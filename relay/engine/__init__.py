"""The built-in engine: a Realtime server whose models come inside ordinary packages.

It is spoken to over its WebSocket only, exactly as OpenAI is; nothing else of the relay
imports it, and it imports nothing else of the relay.
"""
