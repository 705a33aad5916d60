"""The link between one transceiver and one relay; PROTOCOL.md is its specification.

Decisions are pure (`link` and below take `now` and return data); `udp` is the shell
that both services use. Imports neither service.
"""
