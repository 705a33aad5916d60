from typing import Final

from transceiver.laneless import DownLane as DownLane, UpLane as UpLane

COMPILED: Final = True
