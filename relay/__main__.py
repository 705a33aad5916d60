"""`python -m relay`."""

import sys

from relay.service import serve
from relay.settings import RelaySettings
from runtime.main import run

sys.exit(
    run(
        "relay",
        RelaySettings,
        serve,
        lambda settings: settings.drain_s,
        what="Holds each call's session with a Realtime API, for the transceivers.",
    )
)
