"""A load generator: many WebRTC calls against a server, from one core.

aiortc makes the offer, ICE and DTLS; after that a call is one socket and two SRTP
contexts, driven by a clock that all calls share. Speech is encoded once for all.
"""
