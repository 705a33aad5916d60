"""`python -m transceiver`."""

import sys

from runtime.main import run_workers
from transceiver.service import serve, share
from transceiver.settings import TransceiverSettings

sys.exit(
    run_workers(
        "transceiver",
        TransceiverSettings,
        serve,
        lambda settings: settings.drain_s,
        share,
        what="The edge: takes WebRTC calls and WebSocket clients, and reaches relays.",
    )
)
