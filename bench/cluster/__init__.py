"""A cluster in network namespaces, and what its calls live through.

Two transceivers, two relays, two forwarders behind one address, and the callers, each
in a namespace of its own (Linux, root). One service after the other is rolled, drained
or killed; what counts is what the callers hear.
"""
