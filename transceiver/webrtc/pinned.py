"""The private names of aiortc and aioice that this room stands on."""

from typing import Any

import aiortc
from aiortc import RTCConfiguration, RTCPeerConnection


def check_aiortc() -> None:
    """Assert the private names that this adapter stands on.

    Raises:
        RuntimeError: Another aiortc is installed than the one pinned.
    """
    probe = RTCPeerConnection(RTCConfiguration(iceServers=[]))
    transceiver: Any = probe.addTransceiver("audio")
    transport: Any = transceiver.receiver.transport
    sctp: Any = aiortc.RTCSctpTransport(transport)
    wanted = [
        (probe, ["_RTCPeerConnection__connect", "_RTCPeerConnection__certificates"]),
        (
            sctp,
            [
                *("_handle_data", "_send_chunk", "_advertised_rwnd"),
                *("_inbound_streams", "_sack_misordered"),
                *("_t1_cancel", "_t2_cancel", "_t3_cancel", "_reconfig_timer_cancel"),
            ],
        ),
        (transceiver, ["_codecs", "_headerExtensions"]),
        (transceiver.sender, ["_ssrc"]),
        (transport, ["_rx_srtp", "_tx_srtp", "_srtp_profiles", "_recv_next"]),
        (transport.transport, ["_connection"]),
        (
            transport.transport._connection,
            [
                *("_local_username", "_nominated", "_protocols", "_queue"),
                *("_remote_candidates", "_check_list", "_check_list_state"),
                *("_early_checks", "_early_checks_done", "_query_consent_task"),
                *("_local_candidates", "_local_candidates_start"),
                "_local_candidates_end",
            ],
        ),
    ]
    missing = [
        f"{type(owner).__name__}.{name}"
        for owner, names in wanted
        for name in names
        if not hasattr(owner, name)
    ]
    if missing:
        raise RuntimeError(
            f"aiortc {aiortc.__version__} lacks {', '.join(missing)}: install the "
            "version that the lock file names"
        )
