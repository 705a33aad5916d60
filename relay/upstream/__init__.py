"""The Realtime API behind the relay: its events, its protocol, its connections."""
