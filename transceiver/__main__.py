"""`python -m transceiver`."""

import sys

from runtime.main import run
from transceiver.service import serve
from transceiver.settings import TransceiverSettings

sys.exit(
    run(
        "transceiver",
        TransceiverSettings,
        serve,
        lambda settings: settings.drain_s,
        what="The edge: takes WebRTC calls and WebSocket clients, and reaches relays.",
    )
)
