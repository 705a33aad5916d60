"""Test vectors of PROTOCOL.md, for any implementation; README.md says the format."""
