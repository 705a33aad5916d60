"""`python -m transceiver.ingress`."""

import sys

from runtime.main import run
from transceiver.ingress.service import serve
from transceiver.ingress.settings import IngressSettings

sys.exit(
    run(
        "transceiver.ingress",
        IngressSettings,
        serve,
        lambda settings: settings.drain_s,
        what="The forwarder: one public UDP port in front of several transceivers.",
    )
)
