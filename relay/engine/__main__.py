"""`python -m relay.engine`."""

import sys

from runtime.main import run

from .service import serve
from .settings import EngineSettings

sys.exit(run("relay.engine", EngineSettings, serve))
