"""Bodies in parts are taken apart, whatever they hold, and never at length."""

import pytest
from hypothesis import given, strategies as st

from transceiver.http.multipart import MAX_PARTS, form_parts

TYPE = "multipart/form-data; boundary=B"


def part(name: str, content: bytes, more: bytes = b"") -> bytes:
    head = b'Content-Disposition: form-data; name="%b"\r\n' % name.encode()
    return b"--B\r\n" + head + more + b"\r\n" + content + b"\r\n"


def test_parts_are_found_by_name_as_they_were_sent() -> None:
    typed = part("sdp", b"v=0\r\ns=-\r\n", b"content-type: application/sdp\r\n")
    body = b"a preamble\r\n" + typed + part("session", b"{}") + b"--B--\r\nan epilogue"
    assert form_parts(TYPE, body) == {"sdp": b"v=0\r\ns=-\r\n", "session": b"{}"}


def test_a_boundary_may_be_quoted_and_padded() -> None:
    body = b"--a b\r\nContent-Disposition: form-data; name=sdp\r\n\r\nx\r\n--a b--"
    assert form_parts('multipart/form-data; boundary="a b"', body) == {"sdp": b"x"}
    padded = b"--B \t\r\nContent-Disposition: form-data; name=sdp\r\n\r\nx\r\n--B--"
    assert form_parts(TYPE, padded) == {"sdp": b"x"}


def test_of_two_parts_with_one_name_the_last_counts() -> None:
    body = part("sdp", b"one") + part("sdp", b"two") + b"--B--\r\n"
    assert form_parts(TYPE, body) == {"sdp": b"two"}


def test_what_has_no_name_is_left_out() -> None:
    nameless = b"--B\r\n\r\nx\r\n" + b"--B\r\nContent-Type: text/plain\r\n\r\nx\r\n"
    body = nameless + part("sdp", b"v=0") + b"--B--\r\n"
    assert form_parts(TYPE, body) == {"sdp": b"v=0"}


def test_a_part_within_a_part_is_only_its_content() -> None:
    nested = b"Content-Type: multipart/mixed; boundary=C\r\n"
    body = part("sdp", b"--C\r\n\r\nx\r\n--C--", nested) + b"--B--\r\n"
    assert form_parts(TYPE, body) == {"sdp": b"--C\r\n\r\nx\r\n--C--"}


def test_as_many_parts_as_are_taken_and_no_more() -> None:
    body = part("x", b"") * MAX_PARTS
    assert form_parts(TYPE, body + b"--B--\r\n") == {"x": b""}
    with pytest.raises(ValueError, match="more parts"):
        form_parts(TYPE, body + part("x", b"") + b"--B--\r\n")


@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        (TYPE, b""),
        (TYPE, b"junk"),
        (TYPE, b"--B"),
        (TYPE, b"--B\r\n"),
        (TYPE, b"--B\r\nno header"),
        (TYPE, part("sdp", b"cut off")),
        (TYPE, b"--Boundary\r\n\r\nx\r\n--B--"),
        (TYPE, part("sdp", b"", b"X: " + b"y" * 9_000 + b"\r\n") + b"--B--"),
        ("multipart/form-data", b"--\r\n\r\nx\r\n----"),
        ("multipart/form-data; boundary=", b"--\r\n\r\nx\r\n----"),
        ("multipart/form-data; boundary=\udcff", b"--\xff\r\n\r\nx\r\n--\xff--"),
    ],
)
def test_what_is_broken_is_refused(content_type: str, body: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        form_parts(content_type, body)


@given(
    st.text(st.characters(max_codepoint=0xDCFF)),
    st.lists(st.sampled_from([b"--B", b"--", b"\r\n", b"\n", b"\xff", b"a: b", b"x"])),
)
def test_any_bytes_are_parts_or_refused(parameter: str, pieces: list[bytes]) -> None:
    for content_type in (TYPE, f"multipart/form-data; {parameter}"):
        try:
            parts = form_parts(content_type, b"".join(pieces))
        except ValueError:
            continue
        assert all(isinstance(content, bytes) for content in parts.values())
