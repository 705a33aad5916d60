"""A ufrag names the owner of a call to who holds the link key, and to nobody else."""

import re

import pytest
from hypothesis import given, strategies as st

from transceiver.ingress.endpoint import Endpoint, pack, unpack
from transceiver.ingress.route import LONG, SHORT, Routes

OLD, NEW = bytes(32), bytes(range(32))

ROUTES = Routes(NEW)

endpoints = st.tuples(
    st.one_of(st.ip_addresses(v=4), st.ip_addresses(v=6)).map(str),
    st.integers(1, 65535),
)


@given(endpoints)
def test_a_route_names_its_owner_in_characters_that_ice_allows(owner: Endpoint) -> None:
    ufrag = ROUTES.mint(owner)
    assert re.fullmatch(r"[A-Za-z0-9+/]{4,256}", ufrag)
    assert ROUTES.owner(ufrag) == pack(owner)


def test_it_is_as_short_as_promised() -> None:
    assert len(ROUTES.mint(("192.0.2.1", 3478))) == SHORT
    assert len(ROUTES.mint(("2001:db8::1", 3478))) == LONG


def test_two_calls_of_one_owner_have_different_ufrags() -> None:
    owner = ("192.0.2.1", 3478)
    assert ROUTES.mint(owner) != ROUTES.mint(owner)


def test_both_keys_are_accepted_while_they_are_changed() -> None:
    minted = Routes(OLD).mint(("192.0.2.1", 3478))
    assert Routes(NEW, OLD).owner(minted) == pack(("192.0.2.1", 3478))
    assert Routes(OLD, NEW).owner(minted) == pack(("192.0.2.1", 3478))
    assert Routes(NEW).owner(minted) is None


@given(st.integers(0, SHORT - 1), st.sampled_from("ABab01+/"))
def test_a_changed_character_makes_it_worthless(place: int, other: str) -> None:
    ufrag = ROUTES.mint(("192.0.2.1", 3478))
    forged = ufrag[:place] + other + ufrag[place + 1 :]
    assert forged == ufrag or ROUTES.owner(forged) is None


@pytest.mark.parametrize(
    "ufrag", ["", "abcd", "=" * SHORT, "A" * SHORT, "A" * LONG, "\u00e9" * SHORT]
)
def test_other_names_are_no_routes(ufrag: str) -> None:
    assert ROUTES.owner(ufrag) is None


@given(st.text(max_size=60))
def test_any_text_is_a_route_or_none(ufrag: str) -> None:
    assert ROUTES.owner(ufrag) is None


@given(endpoints)
def test_an_endpoint_survives_packing(endpoint: Endpoint) -> None:
    once = unpack(pack(endpoint))
    assert unpack(pack(once)) == once
    assert pack(once) == pack(endpoint)


def test_an_ipv6_socket_is_given_ipv4_in_its_own_spelling() -> None:
    packed = pack(("192.0.2.1", 5))
    assert unpack(packed) == ("192.0.2.1", 5)
    assert unpack(packed, wide=True) == ("::ffff:192.0.2.1", 5)
    assert pack(("::ffff:192.0.2.1", 5)) == packed
