"""Client secrets over HTTP: minted by a key, good for calls, refused without a hint."""

import json
from typing import Any

import aiohttp
import pytest
from openai.types.realtime import ClientSecretCreateResponse

from proto.request import SessionRequest
from tests.support.caller import Caller
from tests.support.front_door import KEY, FrontDoor, front_door
from transceiver.client_secrets import ClientSecret, ClientSecrets

pytestmark = pytest.mark.interop

SESSION: dict[str, Any] = {
    "type": "realtime",
    "model": "gpt-realtime",
    "instructions": "Be kind.",
    "audio": {"input": {"turn_detection": {"type": "server_vad", "threshold": 0.7}}},
    "tools": [{"type": "function", "name": "look_up", "parameters": {}}],
}


def holding(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}


async def mint(
    door: FrontDoor, body: object = None, key: str = KEY
) -> tuple[int, dict[str, Any]]:
    """Ask for a secret; returns the status and the answer."""
    url = f"{door.url}/v1/realtime/client_secrets"
    async with door.http.post(url, json=body or {}, headers=holding(key)) as response:
        assert response.headers["Access-Control-Allow-Origin"] == "*"
        return response.status, await response.json()


async def minted(door: FrontDoor, **body: Any) -> str:
    status, answer = await mint(door, body)
    assert status == 200, answer
    return str(answer["value"])


async def place_call(
    door: FrontDoor,
    key: str,
    session: dict[str, Any] | None = None,
    headers: dict[str, str] | None = None,
) -> tuple[int, dict[str, Any]]:
    """Offer a call; returns the status, and the answer of a refusal."""
    caller = Caller()
    form = aiohttp.FormData(default_to_multipart=True)
    form.add_field("sdp", await caller.offer(), content_type="application/sdp")
    if session is not None:
        form.add_field("session", json.dumps(session))
    await caller.close()
    url = f"{door.url}/v1/realtime/calls"
    headers = holding(key) | (headers or {})
    async with door.http.post(url, data=form, headers=headers) as response:
        return response.status, {} if response.status == 201 else await response.json()


async def opened(
    door: FrontDoor, key: str, session: dict[str, Any] | None = None
) -> SessionRequest:
    """Open a call and return what the relay was asked for."""
    status, answer = await place_call(door, key, session)
    assert status == 201, answer
    return door.relay.requests[-1]


@pytest.mark.asyncio
@pytest.mark.parametrize(
    "session",
    [
        None,
        SESSION,
        {"type": "realtime"},
        {"instructions": "no type"},
        {"id": "mine", "object": "mine", "type": "realtime"},
        {
            "type": "transcription",
            "audio": {"input": {"transcription": {"model": "whisper-1"}}},
        },
    ],
)
async def test_the_answer_is_what_the_openai_package_expects(
    session: dict[str, Any] | None,
) -> None:
    async with front_door(KEY) as door:
        status, answer = await mint(door, {"session": session} if session else {})
        assert status == 200, answer
        parsed = ClientSecretCreateResponse.model_validate(answer, strict=True)
        assert parsed.value.startswith("ek_")
        assert len(parsed.value) <= 8_000
        assert parsed.expires_at == 1_000_600
        assert parsed.session.id.startswith("sess_")
        kind = (session or {}).get("type", "realtime")
        assert parsed.session.type == kind
        given = {k: v for k, v in (session or {}).items() if k not in {"id", "object"}}
        assert answer["session"].items() >= given.items()


@pytest.mark.asyncio
async def test_the_answer_says_that_a_secret_is_locked() -> None:
    async with front_door(KEY) as door:
        _, answer = await mint(door, {"session": SESSION, "locked": True})
        assert answer["locked"] is True
        ClientSecretCreateResponse.model_validate(answer, strict=True)
        _, answer = await mint(door, {"session": SESSION})
        assert "locked" not in answer


@pytest.mark.asyncio
async def test_a_request_without_a_body_takes_all_defaults() -> None:
    async with front_door(KEY) as door:
        url = f"{door.url}/v1/realtime/client_secrets"
        async with door.http.post(url, headers=holding(KEY)) as response:
            assert response.status == 200
            assert response.headers["Cache-Control"] == "no-store"


@pytest.mark.asyncio
@pytest.mark.parametrize("seconds", [10, 600, 7_200])
async def test_a_secret_lives_as_long_as_asked(seconds: int) -> None:
    async with front_door(KEY) as door:
        after = {"anchor": "created_at", "seconds": seconds}
        status, answer = await mint(door, {"expires_after": after})
        assert status == 200
        assert answer["expires_at"] == 1_000_000 + seconds


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("body", "code", "param"),
    [
        ({"expires_after": 600}, "invalid_type", "expires_after"),
        (
            {"expires_after": {"anchor": "last_active_at"}},
            "invalid_value",
            "expires_after.anchor",
        ),
        *(
            (
                {"expires_after": {"anchor": "created_at", "seconds": seconds}},
                code,
                "expires_after.seconds",
            )
            for seconds, code in (
                (9, "invalid_value"),
                (7_201, "invalid_value"),
                (-1, "invalid_value"),
                (10**30, "invalid_type"),  # read as a float
                ("600", "invalid_type"),
                (600.5, "invalid_type"),
                (True, "invalid_type"),
                (None, "invalid_type"),
            )
        ),
        ({"session": []}, "invalid_type", "session"),
        ({"session": "realtime"}, "invalid_type", "session"),
        ({"session": {"type": "video"}}, "invalid_value", "session.type"),
        ({"session": {"type": ["realtime"]}}, "invalid_value", "session.type"),
        ({"session": {"model": 5}}, "invalid_type", "session.model"),
        ({"locked": "yes"}, "invalid_type", "locked"),
        ({"lock": True}, "unknown_parameter", "lock"),
        ({"session": {}, "Session": {}}, "unknown_parameter", "Session"),
        ([], "invalid_type", None),
        (
            {"session": {"a": json.loads("[" * 400 + "]" * 400)}},
            "invalid_type",
            "session",
        ),
        (
            {"session": {"x": "".join(map(str, range(9_000)))}},
            "session_too_large",
            "session",
        ),
    ],
)
async def test_a_wrong_wish_is_refused_by_its_name(
    body: Any, code: str, param: str | None
) -> None:
    async with front_door(KEY) as door:
        url = f"{door.url}/v1/realtime/client_secrets"
        data = json.dumps(body)
        async with door.http.post(url, data=data, headers=holding(KEY)) as response:
            answer = await response.json()
            assert response.status == 400, answer
            assert (answer["error"]["code"], answer["error"]["param"]) == (code, param)


@pytest.mark.asyncio
async def test_what_is_no_json_is_refused() -> None:
    async with front_door(KEY) as door:
        url = f"{door.url}/v1/realtime/client_secrets"
        async with door.http.post(url, data="{", headers=holding(KEY)) as response:
            assert response.status == 400
            assert (await response.json())["error"]["code"] == "invalid_json"


@pytest.mark.asyncio
async def test_a_secret_opens_calls_with_its_session_under_the_clients() -> None:
    async with front_door(KEY) as door:
        secret = await minted(door, session=SESSION)
        plain = await opened(door, secret)
        assert plain.session == SESSION
        assert plain.model == "gpt-realtime"
        assert plain.bound is None
        by_key = await opened(door, KEY)
        assert by_key.session is None
        assert plain.tenant == by_key.tenant
        wished = {"instructions": "Be rude.", "audio": {"output": {"voice": "ash"}}}
        merged = await opened(door, secret, wished)
        audio = SESSION["audio"] | wished["audio"]
        assert merged.session == SESSION | wished | {"audio": audio}
        assert merged.bound is None


@pytest.mark.asyncio
async def test_a_locked_secrets_session_wins_over_the_clients() -> None:
    async with front_door(KEY) as door:
        secret = await minted(door, session=SESSION, locked=True)
        wished = {
            "model": "dear",
            "instructions": "Be rude.",
            "audio": {"output": {"voice": "ash"}},
        }
        asked = await opened(door, secret, wished)
        assert asked.session == wished
        assert asked.bound == SESSION  # the relay lets it win
        assert asked.model == "gpt-realtime"


@pytest.mark.asyncio
async def test_the_relay_learns_what_the_client_speaks_and_takes() -> None:
    async with front_door(KEY) as door:
        asked = await opened(door, KEY)
        assert not asked.speaks_beta
        assert asked.max_event_bytes == 65_536 * 4  # aiortc's offer says so
        beta = {"OpenAI-Beta": "realtime=v1"}
        assert (await place_call(door, KEY, headers=beta))[0] == 201
        assert door.relay.requests[-1].speaks_beta


@pytest.mark.asyncio
async def test_the_longest_secret_fits_its_header() -> None:
    async with front_door(KEY) as door:
        prompt, secret = "", ""
        for number in range(3_000):
            prompt += str(hash((number, number)) % 10**9)
            if number % 50 == 0:
                status, answer = await mint(door, {"session": {"instructions": prompt}})
                if status != 200:
                    break
                secret = answer["value"]
        assert 7_500 < len(secret) <= 8_000
        assert (await opened(door, secret)).session is not None


@pytest.mark.asyncio
async def test_a_secret_mints_no_other() -> None:
    async with front_door(KEY) as door:
        status, answer = await mint(door, key=await minted(door))
        assert status == 403
        assert answer["error"]["code"] == "insufficient_permissions"


@pytest.mark.asyncio
async def test_every_bad_secret_gets_the_same_refusal() -> None:
    async with front_door(KEY, "sk-other") as door:
        secret = await minted(door, session=SESSION)
        tenant = door.client_secrets.open(secret).tenant
        foreign = ClientSecret(tenant, 2_000_000, {}, locked=False)
        gone = foreign._replace(tenant="key-00000000")
        bad = {
            "malformed": "ek_junk",
            "empty": "ek_",
            "truncated": secret[:-7],
            "lengthened": secret + "A",
            "changed": secret[:50] + ("A" if secret[50] != "A" else "B") + secret[51:],
            "re-signed": ClientSecrets(bytes(32)).mint(foreign),
            "revoked": door.client_secrets.mint(gone),
            "revoked and expired": door.client_secrets.mint(
                gone._replace(expires_at_s=1)
            ),
            "not ours": "ek_68af296e8e408191a1120ab6383263c2",
            "a key": "sk-wrong",
        }
        answers = {name: await place_call(door, key) for name, key in bad.items()}
        assert len({json.dumps(answer) for answer in answers.values()}) == 1, answers
        status, answer = answers["malformed"]
        assert (status, answer["error"]["code"]) == (401, "invalid_api_key")
        assert not door.relay.requests


@pytest.mark.asyncio
async def test_only_the_holder_of_a_real_secret_learns_that_it_expired() -> None:
    now_s = [1_000_000.0]
    async with front_door(KEY, wall_s=lambda: now_s[0]) as door:
        secret = await minted(
            door, expires_after={"anchor": "created_at", "seconds": 10}
        )
        now_s[0] += 9.9
        assert (await place_call(door, secret))[0] == 201
        now_s[0] += 0.1
        status, answer = await place_call(door, secret)
        assert (status, answer["error"]["code"]) == (401, "invalid_api_key")
        assert "expired" in answer["error"]["message"]


@pytest.mark.asyncio
async def test_a_secret_opens_at_any_edge_of_the_cluster() -> None:
    async with front_door(KEY) as one, front_door(KEY) as two:
        assert (
            await opened(two, await minted(one, session=SESSION))
        ).session == SESSION


@pytest.mark.asyncio
async def test_an_open_door_still_tells_a_bad_secret_from_a_good_one() -> None:
    async with front_door() as door:
        assert (await place_call(door, await minted(door)))[0] == 201
        assert (await place_call(door, "ek_junk"))[0] == 401
        assert (await place_call(door, "whatever"))[0] == 201


@pytest.mark.asyncio
async def test_a_key_and_its_secrets_share_one_bound() -> None:
    async with front_door(KEY, "sk-other", max_calls_per_key=2) as door:
        secret = await minted(door)
        assert (await place_call(door, secret))[0] == 201
        assert (await place_call(door, KEY))[0] == 201
        for key in (secret, KEY):
            status, answer = await place_call(door, key)
            assert (status, answer["error"]["code"]) == (429, "rate_limit_exceeded")
        assert (await place_call(door, "sk-other"))[0] == 201
        assert len(door.admission) == 3


@pytest.mark.asyncio
async def test_every_refusal_can_be_read_by_a_browser() -> None:
    async with front_door(KEY, max_calls=2, max_calls_per_key=1) as door:
        url = f"{door.url}/v1/realtime/calls"
        caller = Caller()
        offer = await caller.offer()
        await caller.close()
        sdp = {"Content-Type": "application/sdp"}

        async def offered(key: str, path: str = "") -> tuple[int, bool]:
            headers = holding(key) | sdp | {"Origin": "https://app.example"}
            async with door.http.post(url + path, data=offer, headers=headers) as got:
                assert got.headers["Access-Control-Allow-Origin"] == "*"
                assert got.headers["Access-Control-Expose-Headers"] == "Location"
                if got.status == 201:
                    assert "useinbandfec=1" in await got.text()
                    assert got.headers["Location"].startswith("/v1/realtime/calls/rtc_")
                return got.status, "Retry-After" in got.headers

        assert await offered(KEY) == (201, False)
        assert await offered("wrong") == (401, False)
        assert await offered(KEY, "/nowhere/at/all") == (404, False)
        assert await offered(KEY) == (429, True)
        door.admission.drain()
        assert await offered(KEY) == (503, True)


@pytest.mark.asyncio
async def test_browsers_may_send_the_headers_that_sdks_send() -> None:
    wanted = {"authorization", "content-type", "x-openai-agents-sdk", "openai-beta"}
    async with front_door(KEY) as door:
        for path in ("calls", "client_secrets"):
            async with door.http.options(
                f"{door.url}/v1/realtime/{path}",
                headers={
                    "Origin": "https://app.example",
                    "Access-Control-Request-Method": "POST",
                    "Access-Control-Request-Headers": ",".join(sorted(wanted)),
                },
            ) as response:
                assert response.status == 204
                allowed = response.headers["Access-Control-Allow-Headers"].lower()
                assert wanted <= set(allowed.replace(" ", "").split(","))
