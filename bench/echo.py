"""Delay and CPU of a call's whole path: `python -m bench.echo [--calls N]`.

Starts transceiver and relay with the echo upstream and calls them over loopback. Each
caller sends Opus speech at a steady 20 ms and taps the packets that come back. Sound is
matched by cross-correlation, so the delay is what the ear gets: from the moment a
packet was sent to the moment the same sound came back, codec look-ahead included; the
caller's own codec is taken out by comparing with its own decoded packets. CPU is that
of the services' processes; the C calls that the path cannot do without are timed
beside it.
"""

import argparse
import asyncio
import os
import pathlib
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import aiortc
import numpy as np
import uvloop
from numpy.typing import NDArray

from codec.opus import Decoder, Encoder
from proto.frames import FRAME_MS, FRAME_SAMPLES, SAMPLE_RATE_HZ
from tests.support.ear import find
from tests.support.services import running_stack
from tests.support.sound import babble, lag_samples
from transceiver import rtp

FRAME_S = FRAME_MS / 1000
WARM_UP_FRAMES = 50
MATCHED_SAMPLES = SAMPLE_RATE_HZ
"""1 s is matched at a time: where the echo pauses for a loss, the rest is shifted."""

MIN_S = WARM_UP_FRAMES * FRAME_S + 1.0
"""Shortest call: what is warmed up by, and a second that is matched."""

CLOCK_TICKS_HZ = 100
"""Units of /proc/PID/stat (Linux USER_HZ)."""


@dataclass
class Tap:
    """What one caller sent and got back."""

    sent_s: list[float] = field(default_factory=list)
    arrived: list[tuple[float, rtp.RtpPacket]] = field(default_factory=list)


async def call(
    url: str, payloads: list[bytes], headers: Mapping[str, str] | None = None
) -> Tap:
    """Hold one call: send every payload on time, tap what returns."""
    tap = Tap()
    loop = asyncio.get_running_loop()
    connection = aiortc.RTCPeerConnection(aiortc.RTCConfiguration(iceServers=[]))
    transceiver: Any = connection.addTransceiver("audio", direction="sendrecv")
    connection.createDataChannel("oai-events")
    transceiver.sender.send = transceiver.receiver.receive = _nothing
    transport = transceiver.receiver.transport
    await connection.setLocalDescription(await connection.createOffer())
    async with (
        aiohttp.ClientSession() as http,
        http.post(
            f"{url}/v1/realtime/calls",
            data=connection.localDescription.sdp,
            headers={"Content-Type": "application/sdp", **(headers or {})},
        ) as response,
    ):
        response.raise_for_status()
        answer = aiortc.RTCSessionDescription(await response.text(), "answer")

    async def returned(data: bytes, arrival_time_ms: int) -> None:
        tap.arrived.append((loop.time(), rtp.parse(data)))

    transport._handle_rtp_data = returned
    connected = loop.create_future()

    def changed() -> None:
        if transport.state == "connected":
            connected.set_result(None)

    transport.on("statechange", changed)
    await connection.setRemoteDescription(answer)
    await connected
    ssrc, started_s = transceiver.sender._ssrc, loop.time() + 0.05
    for number, payload in enumerate(payloads):
        await asyncio.sleep(started_s + number * FRAME_S - loop.time())
        header = rtp.build_header(
            transceiver._codecs[0].payloadType,
            number,
            number * FRAME_SAMPLES * rtp.TICKS_PER_SAMPLE,
            ssrc,
            marker=number == 0,
        )
        tap.sent_s.append(loop.time())
        await transport._send_rtp(header + payload)
    await asyncio.sleep(0.3)
    await connection.close()
    return tap


async def _nothing(*_: object) -> None:
    """Stand where aiortc would start a media task."""


def delays_ms(tap: Tap, payloads: list[bytes]) -> NDArray[np.float64]:
    """Return the delay of each returned packet after the warm-up, milliseconds."""
    reference, heard = Decoder(), Decoder()
    sent = np.frombuffer(b"".join(map(reference.decode, payloads)), np.int16)
    packets = sorted(tap.arrived, key=lambda one: one[1].sequence)
    first = packets[0][1].timestamp
    starts = [
        ((p.timestamp - first) & 0xFFFF_FFFF) // rtp.TICKS_PER_SAMPLE
        for _, p in packets
    ]
    back = np.zeros(starts[-1] + FRAME_SAMPLES, np.int16)
    for start, (_, packet) in zip(starts, packets, strict=True):
        pcm = np.frombuffer(heard.decode(packet.payload), np.int16)
        back[start : start + len(pcm)] = pcm[: len(back) - start]
    lags = [
        at - find(back[at : at + MATCHED_SAMPLES], sent)
        for at in range(0, len(back) - MATCHED_SAMPLES + 1, MATCHED_SAMPLES)
    ]
    lag = [lags[min(start // MATCHED_SAMPLES, len(lags) - 1)] for start in starts]
    at = (np.array(starts) - np.array(lag)) / FRAME_SAMPLES
    sent_s = np.interp(at, np.arange(len(tap.sent_s)), tap.sent_s)
    found = (np.array([arrived for arrived, _ in packets]) - sent_s) * 1000
    return np.asarray(found[WARM_UP_FRAMES:])


def look_ahead_ms(pcm: NDArray[np.int16], payloads: list[bytes]) -> float:
    """Return the delay of one more pass through the codec, as the edge makes it."""
    once, encoder, decoder = Decoder(), Encoder(), Decoder()
    decoded = [once.decode(payload) for payload in payloads]
    twice = [decoder.decode(encoder.encode(frame)) for frame in decoded]
    one, two = (np.frombuffer(b"".join(part), np.int16) for part in (decoded, twice))
    return 1000 * lag_samples(one, two) / SAMPLE_RATE_HZ


def limit_ms(payloads: list[bytes]) -> float:
    """Return the CPU of decoding and encoding one call-second: the C calls alone."""
    decoder, encoder = Decoder(), Encoder()
    started_s = time.process_time()
    for payload in payloads:
        encoder.encode(decoder.decode(payload))
    spent_s = time.process_time() - started_s
    return 1000 * spent_s / (len(payloads) * FRAME_S)


def cpu_s(pid: int) -> float:
    """Return the CPU seconds that a process has used."""
    stat = pathlib.Path(f"/proc/{pid}/stat").read_text(encoding="ascii")
    user, system = stat.rpartition(")")[2].split()[11:13]
    return (int(user) + int(system)) / CLOCK_TICKS_HZ


async def measure(calls: int, seconds: float, payload: str) -> None:
    """Run the calls and print the figures."""
    pcm = babble(seconds, seed=1)
    encoder = Encoder()
    frames = pcm[: len(pcm) // FRAME_SAMPLES * FRAME_SAMPLES].reshape(-1, FRAME_SAMPLES)
    payloads = [encoder.encode(frame.tobytes()) for frame in frames]
    async with running_stack("echo", TANDEM_LINK_PAYLOAD=payload) as stack:
        print(f"{calls} call(s) of {seconds:g} s against the echo upstream ...")
        print(f"the link carries {payload}")
        services = {"transceiver": stack.transceiver.pid, "relay": stack.relay.pid}
        before = {name: cpu_s(pid) for name, pid in services.items()}
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(call(stack.url, payloads)) for _ in range(calls)]
        taps = [task.result() for task in tasks]
        spent = {name: cpu_s(pid) - before[name] for name, pid in services.items()}
    delay = np.concatenate([delays_ms(tap, payloads) for tap in taps])
    p50, p95, p99 = np.percentile(delay, [50, 95, 99])
    returned = sum(len(tap.arrived) for tap in taps) / (calls * len(payloads))
    ahead = look_ahead_ms(pcm, payloads)
    print(f"packets returned   {100 * returned:.2f} %")
    print(
        f"added delay, ms    p50 {p50:.1f}  p95 {p95:.1f}  p99 {p99:.1f}  "
        f"max {delay.max():.1f}   (codec look-ahead {ahead:.1f} of it)"
    )
    limit = limit_ms(payloads)
    for name, seconds_spent in spent.items():
        each = 1000 * seconds_spent / (calls * seconds)
        print(
            f"CPU {name:<13}  {each:.1f} ms a call-second, "
            f"{each / limit:.2f} times the codec's C calls alone ({limit:.1f})"
        )


def main() -> None:
    """Read the arguments and measure."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--calls", type=int, default=1, help="calls at a time")
    parser.add_argument("--seconds", type=float, default=20.0, help="length of a call")
    parser.add_argument(
        "--payload",
        choices=("pcm", "opus", "pcmu", "pcma"),
        default=os.environ.get("TANDEM_LINK_PAYLOAD", "pcm"),
        help="what the link carries",
    )
    arguments = parser.parse_args()
    if arguments.seconds < MIN_S:
        parser.error(f"--seconds: at least {MIN_S:g}")
    uvloop.run(measure(arguments.calls, arguments.seconds, arguments.payload))


if __name__ == "__main__":
    main()
