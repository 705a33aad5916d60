"""`python -m relay.engine`."""

import sys

from relay.engine.service import serve
from relay.engine.settings import EngineSettings
from runtime.main import run

sys.exit(
    run(
        "relay.engine",
        EngineSettings,
        serve,
        what="The built-in Realtime API: hears, replies and speaks on this machine.",
    )
)
