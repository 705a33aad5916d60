from typing import Final

from proto.laneless import FrameOpener as FrameOpener, FrameSealer as FrameSealer

COMPILED: Final = True
