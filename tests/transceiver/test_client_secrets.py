"""Client secrets: what is minted opens in all the cluster, and nothing else does."""

import random
import string
from typing import Any

import orjson
import pytest
from hypothesis import given, strategies as st

from transceiver import client_secrets
from transceiver.client_secrets import (
    MAX_CHARACTERS,
    BadSecret,
    ClientSecret,
    ClientSecrets,
    TooLong,
)

LINK_KEY = bytes(range(32))
SESSION = {"type": "realtime", "instructions": "canary-prompt " * 20}
SECRET = ClientSecret("key-12345678", 1_000, SESSION, locked=True)

json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)


def noise(characters: int) -> str:
    """Return text that cannot be compressed much."""
    letters = random.Random(1).choices(
        string.ascii_letters + string.digits, k=characters
    )
    return "".join(letters)


@given(st.dictionaries(st.text(), json_values), st.integers(0, 2**40), st.booleans())
def test_what_is_minted_opens_with_all_that_it_held(
    session: dict[str, Any], expires_at_s: int, locked: bool
) -> None:
    secret = ClientSecret("key-12345678", expires_at_s, session, locked)
    minted = ClientSecrets(LINK_KEY).mint(secret)
    assert ClientSecrets(LINK_KEY).open(minted) == secret


def test_no_two_secrets_are_alike_and_none_shows_what_it_holds() -> None:
    mint = ClientSecrets(LINK_KEY)
    one, two = mint.mint(SECRET), mint.mint(SECRET)
    assert one != two
    assert one.startswith("ek_")
    assert "canary" not in one
    assert set(one) <= set(string.ascii_letters + string.digits + "-_")


def test_a_secret_changed_in_any_character_is_refused() -> None:
    secrets = ClientSecrets(LINK_KEY)
    minted = secrets.mint(SECRET)
    for place in range(len("ek_"), len(minted)):
        for other in ("A" if minted[place] != "A" else "B", "=", "é", "\udcff", "+"):
            with pytest.raises(BadSecret):
                secrets.open(minted[:place] + other + minted[place + 1 :])


def test_the_last_character_has_one_form_only() -> None:
    """Some of its bits may be unused: base64 alone would not look at them."""
    secrets = ClientSecrets(LINK_KEY)
    alphabet = string.ascii_letters + string.digits + "-_"
    for length in range(3):
        minted = secrets.mint(SECRET._replace(tenant="k" * length))
        opened = 0
        for last in alphabet:
            try:
                secrets.open(minted[:-1] + last)
            except BadSecret:
                continue
            opened += 1
        assert opened == 1


def test_a_secret_cut_off_or_lengthened_is_refused() -> None:
    secrets = ClientSecrets(LINK_KEY)
    minted = secrets.mint(SECRET)
    for changed in (
        *(minted[:length] for length in range(3, len(minted))),
        *(minted + more for more in ("A", "AA", "AAAA", "=", "==", " ", "\n")),
        "ek_" + "A" * 100_000,
    ):
        with pytest.raises(BadSecret):
            secrets.open(changed)


def test_a_secret_of_another_cluster_is_refused() -> None:
    foreign = ClientSecrets(bytes(32)).mint(SECRET)
    with pytest.raises(BadSecret):
        ClientSecrets(LINK_KEY).open(foreign)


def test_both_keys_open_secrets_while_keys_are_changed_and_the_first_mints() -> None:
    before, after = ClientSecrets(LINK_KEY), ClientSecrets(bytes(32))
    changing = ClientSecrets(bytes(32), LINK_KEY)
    assert changing.open(before.mint(SECRET)) == SECRET
    assert changing.open(after.mint(SECRET)) == SECRET
    assert after.open(changing.mint(SECRET)) == SECRET
    with pytest.raises(BadSecret):
        before.open(changing.mint(SECRET))
    with pytest.raises(BadSecret):
        changing.open(ClientSecrets(bytes(31) + b"x").mint(SECRET))


@given(st.text())
def test_any_text_opens_or_is_refused(text: str) -> None:
    with pytest.raises(BadSecret):
        ClientSecrets(LINK_KEY).open("ek_" + text)


def test_a_long_prompt_fits_if_it_is_ordinary_and_a_token_has_its_bound() -> None:
    secrets = ClientSecrets(LINK_KEY)
    prompt = "Answer in one sentence, and be kind. " * 500
    minted = secrets.mint(SECRET._replace(session={"instructions": prompt}))
    assert len(minted) <= MAX_CHARACTERS
    largest = 0
    for characters in range(7_600, 8_000, 20):
        try:
            minted = secrets.mint(SECRET._replace(session={"i": noise(characters)}))
        except TooLong:
            break
        largest = len(minted)
    assert MAX_CHARACTERS - 40 <= largest <= MAX_CHARACTERS


def test_what_the_link_cannot_carry_is_not_minted_however_well_it_packs() -> None:
    secrets = ClientSecrets(LINK_KEY)
    room = client_secrets.MAX_JSON_BYTES - len(
        orjson.dumps([*SECRET[:2], {"i": ""}, True])
    )
    fits = SECRET._replace(session={"i": "x" * room})
    assert secrets.open(secrets.mint(fits)) == fits
    with pytest.raises(TooLong):
        secrets.mint(SECRET._replace(session={"i": "x" * (room + 1)}))


def test_nothing_unpacks_beyond_its_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    secrets = ClientSecrets(LINK_KEY)
    minted = secrets.mint(SECRET)
    monkeypatch.setattr(client_secrets, "MAX_JSON_BYTES", 50)
    with pytest.raises(BadSecret):
        secrets.open(minted)
