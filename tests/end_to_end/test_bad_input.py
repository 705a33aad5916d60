"""Every bad request gets the API's error shape, and leaves no trace of a call."""

import asyncio
from typing import Any

import aiohttp
import pytest

from tests.end_to_end.conftest import KEY
from tests.support.caller import Caller, calling
from tests.support.scraping import scrape
from tests.support.services import Stack
from tests.support.waiting import until_reads

pytestmark = pytest.mark.interop

SDP = {"Content-Type": "application/sdp"}
UPGRADE = {
    "Connection": "Upgrade",
    "Upgrade": "websocket",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": "AAAAAAAAAAAAAAAAAAAAAA==",
}
IN_PARTS = {"Content-Type": "multipart/form-data; boundary=B"}
GZIP = {"Content-Encoding": "gzip"}
NO_AUDIO = (
    "v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\na=group:BUNDLE 0\r\n"
    "m=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\nc=IN IP4 0.0.0.0\r\n"
    "a=mid:0\r\na=sctp-port:5000\r\na=ice-ufrag:abcd\r\n"
    "a=ice-pwd:abcdefghijklmnopqrstuvwx\r\na=setup:actpass\r\n"
    "a=fingerprint:sha-256 " + ":".join(["AB"] * 32) + "\r\n"
)


def multipart(**parts: str) -> aiohttp.FormData:
    form = aiohttp.FormData(default_to_multipart=True)
    for name, value in parts.items():
        form.add_field(name, value)
    return form


async def metric(stack: Stack, name: str) -> float:
    (value,) = (await scrape(stack.url)).values(name)
    return value


async def assert_refused(
    response: aiohttp.ClientResponse, status: int, code: str
) -> dict[str, Any]:
    assert response.status == status, await response.text()
    assert response.headers["Access-Control-Allow-Origin"] == "*"
    error = (await response.json())["error"]
    assert set(error) == {"message", "type", "code", "param"}
    assert error["code"] == code
    assert error["message"]
    return dict(error)


@pytest.mark.asyncio
async def test_unusable_bodies_are_refused_and_leave_no_call(echo_stack: Stack) -> None:
    url = f"{echo_stack.url}/v1/realtime/calls"
    cases: list[tuple[int, str, dict[str, Any]]] = [
        (400, "missing_sdp", {"data": b"", "headers": SDP}),
        (400, "invalid_offer", {"data": b"hello", "headers": SDP}),
        (400, "invalid_offer", {"data": b"v=0\r\nm=audio\r\n", "headers": SDP}),
        (400, "invalid_offer", {"data": NO_AUDIO, "headers": SDP}),
        (400, "invalid_encoding", {"data": b"\xff\xfe", "headers": SDP}),
        (413, "request_too_large", {"data": b"v=0\r\n" * 20_000, "headers": SDP}),
        (413, "request_too_large", {"data": b"x" * 600_000, "headers": SDP}),
        (415, "unsupported_content_type", {"json": {"sdp": "v=0"}}),
        (400, "missing_sdp", {"data": multipart(session="{}")}),
        (400, "invalid_encoding", {"data": multipart(sdp=NO_AUDIO, session="{")}),
        (400, "invalid_type", {"data": multipart(sdp=NO_AUDIO, session="[]")}),
        (
            400,
            "invalid_type",
            {"data": multipart(sdp=NO_AUDIO, session='{"model": {}}')},
        ),
        (413, "request_too_large", {"data": multipart(sdp="v=0" * 30_000)}),
        (
            400,
            "invalid_multipart",
            {"data": b"junk", "headers": {"Content-Type": "multipart/form-data"}},
        ),
        (400, "invalid_multipart", {"data": b"--B\r\nno header", "headers": IN_PARTS}),
        (
            400,
            "invalid_multipart",
            {"data": b"--B\r\nX: " + b"y" * 20_000, "headers": IN_PARTS},
        ),
        (415, "unsupported_content_encoding", {"data": b"", "headers": SDP | GZIP}),
        (
            415,
            "unsupported_content_encoding",
            {"data": b"junk", "headers": IN_PARTS | GZIP},
        ),
        (415, "unsupported_content_encoding", {"json": {}, "headers": GZIP}),
    ]
    for status, code, request in cases:
        async with (
            aiohttp.ClientSession() as http,  # a refusal may end the connection
            http.post(url, **request) as response,
        ):
            await assert_refused(response, status, code)
    assert await metric(echo_stack, "tandem_calls") == 0
    assert "call opened" not in echo_stack.transceiver.log
    assert "session" not in echo_stack.relay.log.partition("relay listens")[2]


@pytest.mark.asyncio
async def test_a_session_that_cannot_cross_the_link_leaves_no_call(
    echo_stack: Stack,
) -> None:
    """It passes for JSON of the right size; what would be sent does not."""
    caller = Caller()
    offer = await caller.offer()
    await caller.close()
    url = f"{echo_stack.url}/v1/realtime/calls"
    async with aiohttp.ClientSession() as http:
        for status, code, session in (
            (413, "request_too_large", '{"instructions": "%s"}' % ("x" * 262_120)),
            (400, "invalid_type", '{"deep": %s}' % ("[" * 300 + "]" * 300)),
        ):
            body = multipart(sdp=offer, session=session)
            async with http.post(url, data=body) as response:
                await assert_refused(response, status, code)
    assert await metric(echo_stack, "tandem_calls") == 0
    assert "Traceback" not in echo_stack.transceiver.log


@pytest.mark.asyncio
async def test_no_request_of_a_stranger_is_worth_a_traceback(
    locked_stack: Stack,
) -> None:
    start = b"POST /v1/realtime/calls HTTP/1.1\r\nHost: x\r\n"
    cut = (
        start + b"Authorization: Bearer " + KEY.encode() + b"\r\nContent-Length: 99\r\n"
    )
    for request in (
        start + b"Authorization: Bearer \xff\r\n\r\n",
        start + b"Transfer-Encoding: chunked\r\n\r\nno number\r\n",
        cut + b"Content-Type: application/sdp\r\n\r\nv=0",
        cut + b"Content-Type: multipart/form-data; boundary=B\r\n\r\n--B\r\n",
        b"GET /\xff HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET /page/" + b"a" * 3_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
    ):
        reader, writer = await asyncio.open_connection(
            "127.0.0.1", int(locked_stack.environ["TANDEM_HTTP_PORT"])
        )
        writer.write(request)
        writer.write_eof()
        answer = await reader.read()
        assert b" 500 " not in answer.partition(b"\r\n")[0]
        writer.close()
        await writer.wait_closed()
    assert "Traceback" not in locked_stack.transceiver.log


@pytest.mark.asyncio
async def test_unknown_paths_and_methods_are_refused(echo_stack: Stack) -> None:
    async with aiohttp.ClientSession() as http:
        async with http.get(f"{echo_stack.url}/v1/nowhere") as response:
            await assert_refused(response, 404, "unknown_url")
        async with http.put(f"{echo_stack.url}/v1/realtime/calls") as response:
            await assert_refused(response, 405, "method_not_supported")
            assert "POST" in response.headers["Allow"]


@pytest.mark.asyncio
async def test_browsers_may_call_from_any_origin(echo_stack: Stack) -> None:
    async with (
        aiohttp.ClientSession() as http,
        http.options(
            f"{echo_stack.url}/v1/realtime/calls",
            headers={
                "Origin": "https://app.example",
                "Access-Control-Request-Method": "POST",
                "Access-Control-Request-Headers": (
                    "authorization,content-type,x-openai-agents-sdk"
                ),
            },
        ) as response,
    ):
        assert response.status == 204
        assert response.headers["Access-Control-Allow-Origin"] == "*"
        assert "POST" in response.headers["Access-Control-Allow-Methods"]
        allowed = response.headers["Access-Control-Allow-Headers"].lower()
        for header in ("authorization", "content-type", "x-openai-agents-sdk"):
            assert header in allowed
        assert response.headers["Access-Control-Expose-Headers"] == "Location"


@pytest.mark.asyncio
async def test_only_known_keys_may_call(locked_stack: Stack) -> None:
    url = f"{locked_stack.url}/v1/realtime/calls"
    async with aiohttp.ClientSession() as http:
        for header in ({}, {"Authorization": "Bearer wrong"}, {"Authorization": KEY}):
            async with http.post(url, data="v=0", headers=SDP | header) as response:
                error = await assert_refused(response, 401, "invalid_api_key")
                assert error["type"] == "authentication_error"
    assert KEY not in locked_stack.transceiver.log


@pytest.mark.asyncio
async def test_the_call_too_many_is_told_when_to_retry(locked_stack: Stack) -> None:
    key = {"Authorization": f"Bearer {KEY}"}
    second = Caller()
    async with calling(locked_stack.url, key) as first:
        assert first.location.startswith("/v1/realtime/calls/rtc_")
        await first.wait_for("session.created")  # or its hanging up is not heard
        async with (
            aiohttp.ClientSession() as http,
            http.post(
                f"{locked_stack.url}/v1/realtime/calls",
                data=await second.offer(),
                headers=SDP | key,
            ) as response,
        ):
            await assert_refused(response, 503, "server_overloaded")
            assert int(response.headers["Retry-After"]) > 0
        assert await metric(locked_stack, "tandem_calls_refused_total") == 1
        await second.close()
    await until_reads(lambda: metric(locked_stack, "tandem_calls"), 0)
    async with calling(locked_stack.url, key) as third:
        await third.wait_for("session.created")


@pytest.mark.asyncio
async def test_a_websocket_session_takes_the_place_of_a_call(
    locked_stack: Stack,
) -> None:
    key = {"Authorization": f"Bearer {KEY}"}
    async with aiohttp.ClientSession(headers=key) as http:
        second = Caller()
        offer = await second.offer()
        await second.close()
        url = f"{locked_stack.url}/v1/realtime"
        async with http.ws_connect(url) as websocket:
            await websocket.receive_str()
            assert await metric(locked_stack, "tandem_slots_taken") == 1
            async with http.post(f"{url}/calls", data=offer, headers=SDP) as response:
                await assert_refused(response, 503, "server_overloaded")
            async with http.get(url, headers=UPGRADE) as response:
                await assert_refused(response, 503, "server_overloaded")
            assert await metric(locked_stack, "tandem_calls_refused_total") == 2
        await until_reads(lambda: metric(locked_stack, "tandem_slots_taken"), 0)


@pytest.mark.asyncio
async def test_a_header_of_any_length_is_no_reason_to_fail(echo_stack: Stack) -> None:
    url = f"{echo_stack.url}/v1/realtime/calls"
    for length, status in ((8_000, 400), (15_000, 400), (20_000, 400)):
        async with (
            aiohttp.ClientSession() as http,
            http.post(
                url,
                data="v=0",
                headers=SDP | {"Authorization": "Bearer " + "x" * length},
            ) as response,
        ):
            assert response.status == status
            taken = response.content_type == "application/json"
            assert taken == (length < 16_000)
