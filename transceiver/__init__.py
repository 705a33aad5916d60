"""The edge: terminates a caller's WebRTC, carries audio and events to a relay."""
