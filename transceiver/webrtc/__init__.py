"""A caller's WebRTC connection, up to its SRTP keys and its data channel.

The only room that knows aiortc and aioice. They keep SDP, ICE, DTLS and SCTP; media
passes them by.
"""
