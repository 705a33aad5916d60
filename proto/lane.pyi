from proto.laneless import (
    FrameOpener as FrameOpener,
    FrameSealer as FrameSealer,
    FrameSender as FrameSender,
)
