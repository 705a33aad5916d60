"""One file a server. To add one, add a file: it is found by its name.

A peer runs on a Python of its own, with the packages that its head names (PEP 723,
locked by `make lock` to requirements/compare-NAME.txt) and none of Tandem's. It is

    python bench/compare/peers/NAME.py HTTP_PORT UDP_PORT

It answers `POST /v1/realtime/calls` (an SDP offer) with an SDP answer, plays each
caller's voice back to it, ends on SIGTERM, and when ready prints one line of JSON:

    {"codec": "what it encodes with", "pids": {"name": 123, ...}}

The first process named is the one that is measured and compared; the others are
reported beside it. A peer may use other UDP ports than the one it is given.
"""
