import pytest
from hypothesis import given, strategies as st

from proto import seal
from proto.errors import NotConnected, RemoteError
from proto.seal import REPLAY_WINDOW, Opener, Replayed, Sealer, Unauthentic

SECRET = bytes(32)


def pair() -> tuple[Sealer, Opener]:
    return Sealer(SECRET, 7, 0.0), Opener(SECRET)


def test_no_nonce_is_used_twice_across_epochs() -> None:
    sealer, opener = pair()
    counters = set()
    for second in range(5):
        sealer.rotate_if_old(second * seal.EPOCH_S)
        datagram = sealer.seal(b"x")
        assert opener.open(datagram) == b"x"
        counters.add(datagram[8:16])
    assert len(counters) == 5


@given(st.integers(0, 49), st.integers(1, 255))
def test_a_datagram_changed_anywhere_is_refused(index: int, mask: int) -> None:
    sealer, opener = pair()
    datagram = bytearray(sealer.seal(bytes(18)))
    datagram[index] ^= mask
    with pytest.raises(RemoteError):
        opener.open(bytes(datagram))
    assert opener.newest == opener.opened == 0


def test_another_key_is_refused() -> None:
    with pytest.raises(Unauthentic):
        Opener(bytes([1]) * 32).open(Sealer(SECRET, 7, 0.0).seal(b"x"))


@given(st.lists(st.integers(0, 99), max_size=300))
def test_each_datagram_opens_once_in_any_order(order: list[int]) -> None:
    sealer, opener = pair()
    datagrams = [sealer.seal(b"x") for _ in range(100)]
    opened = set()
    for index in order:
        if index in opened:
            with pytest.raises(Replayed):
                opener.open(datagrams[index])
        else:
            opener.open(datagrams[index])
            opened.add(index)
    assert opener.opened == len(opened)


def test_a_datagram_older_than_the_window_is_refused() -> None:
    sealer, opener = pair()
    first = sealer.seal(b"old")
    for _ in range(REPLAY_WINDOW):
        opener.open(sealer.seal(b"x"))
    with pytest.raises(Replayed):
        opener.open(first)


@pytest.mark.parametrize("counter", [2**16 - 2, 2**32 - 2, 2**63 - 2])
def test_counters_cross_every_width(counter: int) -> None:
    sealer, opener = pair()
    sealer.counter = counter
    datagrams = [sealer.seal(b"x") for _ in range(4)]
    for datagram in reversed(datagrams):
        assert opener.open(datagram) == b"x"
        with pytest.raises(Replayed):
            opener.open(datagram)
    assert opener.newest == counter + 4


def test_a_late_datagram_of_the_former_epoch_opens() -> None:
    sealer, opener = pair()
    late = sealer.seal(b"late")
    sealer.rotate_if_old(seal.EPOCH_S)
    opener.open(sealer.seal(b"new"))
    assert opener.open(late) == b"late"


def test_an_epoch_long_past_is_refused() -> None:
    sealer, opener = pair()
    late = sealer.seal(b"late")
    for epoch in (1, 2):
        sealer.rotate_if_old(epoch * seal.EPOCH_S)
        opener.open(sealer.seal(b"new"))
    with pytest.raises(Unauthentic):
        opener.open(late)


def test_a_forged_next_epoch_does_not_move_the_receiver() -> None:
    sealer, opener = pair()
    forged = bytearray(sealer.seal(b"x"))
    forged[3] = 1
    with pytest.raises(Unauthentic):
        opener.open(bytes(forged))
    assert opener.open(sealer.seal(b"y")) == b"y"


def test_keys_rotate_after_so_many_datagrams(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(seal, "EPOCH_DATAGRAMS", 3)
    sealer, opener = pair()
    datagrams = [sealer.seal(b"x") for _ in range(10)]
    assert [datagram[3] for datagram in datagrams] == [0] * 3 + [1] * 3 + [2] * 3 + [3]
    assert [opener.open(datagram) for datagram in datagrams] == [b"x"] * 10


def test_the_last_epoch_ends_the_link(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(seal, "MAX_EPOCH", 1)
    monkeypatch.setattr(seal, "EPOCH_DATAGRAMS", 1)
    sealer, _ = pair()
    exhausted = []
    for _ in range(2):
        sealer.seal(b"x")
        exhausted.append(sealer.is_exhausted)
    assert exhausted == [False, True]
    with pytest.raises(NotConnected):
        sealer.seal(b"x")
