import hmac

import pytest

from proto import handshake
from proto.errors import RemoteError
from proto.handshake import (
    FINISH_BYTES,
    HELLO_BYTES,
    SLOT_S,
    WELCOME_BYTES,
    DialerHandshake,
    LinkKey,
    ListenerHandshake,
    VersionMismatch,
)
from proto.wire import HEADER, HEADER_BYTES, VERSION, DatagramType

KEY, OTHER = LinkKey(bytes(32)), LinkKey(bytes([1]) * 32)
NOW = 1000.0


def dialer(key: LinkKey = KEY, nonce: bytes = bytes(32)) -> DialerHandshake:
    return DialerHandshake(key, 7, nonce)


def listener(*keys: LinkKey) -> ListenerHandshake:
    return ListenerHandshake(keys or (KEY,), bytes(32))


def flipped(datagram: bytes, index: int) -> bytes:
    return bytes(byte ^ 1 if i == index else byte for i, byte in enumerate(datagram))


def test_both_ends_come_to_the_same_keys() -> None:
    near, far = dialer(), listener()
    finish, ours = near.welcomed(far.welcome(near.hello(), NOW), NOW)
    theirs = far.finished(finish, NOW)
    assert theirs.opener.open(ours.sealer.seal(b"up")) == b"up"
    assert ours.opener.open(theirs.sealer.seal(b"down")) == b"down"


def test_directions_have_different_keys() -> None:
    near, far = dialer(), listener()
    finish, ours = near.welcomed(far.welcome(near.hello(), NOW), NOW)
    far.finished(finish, NOW)
    with pytest.raises(RemoteError):
        ours.opener.open(ours.sealer.seal(b"reflected"))


def test_answers_are_shorter_than_questions() -> None:
    near, far = dialer(), listener()
    welcome = far.welcome(near.hello(), NOW)
    finish, _ = near.welcomed(welcome, NOW)
    assert (len(near.hello()), len(welcome), len(finish)) == (
        HELLO_BYTES,
        WELCOME_BYTES,
        FINISH_BYTES,
    )
    assert WELCOME_BYTES <= HELLO_BYTES


def test_a_listener_keeps_nothing_before_the_finish() -> None:
    near, far = dialer(), listener()
    before = dict(vars(far))
    far.welcome(near.hello(), NOW)
    assert vars(far) == before


@pytest.mark.parametrize("index", range(HELLO_BYTES))
def test_a_hello_changed_anywhere_gets_no_answer(index: int) -> None:
    with pytest.raises(RemoteError):
        listener().welcome(flipped(dialer().hello(), index), NOW)


@pytest.mark.parametrize("index", range(WELCOME_BYTES))
def test_a_welcome_changed_anywhere_is_refused(index: int) -> None:
    near = dialer()
    welcome = listener().welcome(near.hello(), NOW)
    with pytest.raises(RemoteError):
        near.welcomed(flipped(welcome, index), NOW)


@pytest.mark.parametrize("index", range(FINISH_BYTES))
def test_a_finish_changed_anywhere_makes_no_link(index: int) -> None:
    near, far = dialer(), listener()
    finish, _ = near.welcomed(far.welcome(near.hello(), NOW), NOW)
    with pytest.raises(RemoteError):
        far.finished(flipped(finish, index), NOW)
    assert far.finished(finish, NOW).link_id


@pytest.mark.parametrize("length", [0, 1, 15, 16, HELLO_BYTES - 1, HELLO_BYTES + 1])
def test_any_other_length_is_refused(length: int) -> None:
    for step in (
        lambda junk: listener().welcome(junk, NOW),
        lambda junk: listener().finished(junk, NOW),
        lambda junk: dialer().welcomed(junk, NOW),
    ):
        with pytest.raises(RemoteError):
            step(bytes(length))


@pytest.mark.parametrize(
    "header",
    [
        HEADER.pack(VERSION, DatagramType.FINISH, 0, 0, 0),
        HEADER.pack(VERSION, DatagramType.FINISH, 0, 1, 0),
        HEADER.pack(VERSION, DatagramType.FINISH, 1, 0, 0),
        HEADER.pack(VERSION, DatagramType.WELCOME, 0, 0, 0),
    ],
)
def test_a_finish_for_another_link_id_than_it_names_makes_none(header: bytes) -> None:
    near, far = dialer(), listener()
    finish, _ = near.welcomed(far.welcome(near.hello(), NOW), NOW)
    transcript = finish[HEADER_BYTES:-32]
    proof = hmac.digest(KEY.secrets(transcript).finish, header + transcript, "sha256")
    with pytest.raises(RemoteError, match="wrong header"):
        far.finished(header + transcript + proof, NOW)


def test_a_foreign_key_gets_silence() -> None:
    with pytest.raises(RemoteError):
        listener().welcome(dialer(OTHER).hello(), NOW)


def test_two_keys_are_accepted_while_they_are_changed() -> None:
    far = listener(OTHER, KEY)
    for key in (KEY, OTHER):
        near = dialer(key)
        finish, _ = near.welcomed(far.welcome(near.hello(), NOW), NOW)
        far.finished(finish, NOW)


def test_a_welcome_for_another_hello_is_refused() -> None:
    welcome = listener().welcome(dialer(nonce=bytes([9]) * 32).hello(), NOW)
    with pytest.raises(RemoteError):
        dialer().welcomed(welcome, NOW)


def test_a_finish_makes_one_link_only() -> None:
    near, far = dialer(), listener()
    finish, _ = near.welcomed(far.welcome(near.hello(), NOW), NOW)
    far.finished(finish, NOW)
    for later_s in (0.0, SLOT_S, 2 * SLOT_S, 100 * SLOT_S):
        with pytest.raises(RemoteError):
            far.finished(finish, NOW + later_s)


def test_a_finish_is_good_in_the_slot_of_its_welcome_and_the_next() -> None:
    near = dialer()
    finish, _ = near.welcomed(listener().welcome(near.hello(), NOW), NOW)
    assert listener().finished(finish, NOW + SLOT_S)
    with pytest.raises(RemoteError):
        listener().finished(finish, NOW + 2 * SLOT_S)


def test_a_finish_for_another_process_makes_no_link() -> None:
    near = dialer()
    finish, _ = near.welcomed(listener().welcome(near.hello(), NOW), NOW)
    restarted = ListenerHandshake((KEY,), bytes([5]) * 32)
    with pytest.raises(RemoteError):
        restarted.finished(finish, NOW)


def test_remembered_handshakes_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(handshake, "MAX_FINISHED", 2)
    far = listener()
    for number in range(3):
        near = dialer(nonce=bytes([number]) * 32)
        finish, _ = near.welcomed(far.welcome(near.hello(), NOW), NOW)
        if number < 2:
            far.finished(finish, NOW)
            continue
        with pytest.raises(RemoteError, match="too many"):
            far.finished(finish, NOW)
        later = NOW + 3 * SLOT_S
        finish, _ = near.welcomed(far.welcome(near.hello(), later), later)
        assert far.finished(finish, later)


def test_no_common_version_is_told_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    far = listener()
    monkeypatch.setattr(handshake, "VERSION", 2)
    near = dialer()
    hello = near.hello()
    monkeypatch.setattr(handshake, "VERSION", 1)
    welcome = far.welcome(hello, NOW)
    with pytest.raises(VersionMismatch):
        near.welcomed(welcome, NOW)
