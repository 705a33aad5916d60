"""`python -m relay`."""

import sys

from relay.service import serve, share
from relay.settings import RelaySettings
from runtime.main import run_workers

sys.exit(
    run_workers(
        "relay",
        RelaySettings,
        serve,
        lambda settings: settings.drain_s,
        share,
        what="Holds each call's session with a Realtime API, for the transceivers.",
    )
)
