from collections.abc import Iterable

from runtime.segments import Data
from runtime.udp import UdpAddress

MAX_DATAGRAMS: int

def receive(fd: int, burst: list[tuple[bytes, UdpAddress]]) -> int: ...
def send(fd: int, outbox: Iterable[tuple[Data, UdpAddress]]) -> int: ...
