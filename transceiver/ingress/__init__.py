"""The forwarder: one public UDP port in front of transceivers (docs/ingress.md).

    client ──datagram──► forwarder ──label | datagram──► transceiver
           ◄──datagram──           ◄──label | datagram──

    route     the ufrag of a call, which names its owner to a forwarder alone
    envelope  the label, which names the client to owner and forwarder alone
    flows     which owners hold a client's address; bounded
    router    the two decisions: whom a client's datagram is for, and an owner's
    service   sockets, drain, status pages

It ends no DTLS, keeps no ICE state and could not read the media if it would.
"""
