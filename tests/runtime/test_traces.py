"""What a stranger's trace looks like, and spans that nobody hears of."""

import pytest

from runtime.traces import Steps, traceparent

VALID = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


@pytest.mark.parametrize(
    ("headers", "taken"),
    [
        ([], None),
        ([VALID], VALID),
        ([f" {VALID} "], VALID),
        ([VALID, VALID], None),
        ([VALID.upper()], None),
        ([VALID.replace("00-", "ff-")], None),
        ([f"00-{'0' * 32}-b7ad6b7169203331-01"], None),
        ([f"00-0af7651916cd43dd8448eb211c80319c-{'0' * 16}-01"], None),
        ([VALID + "\udcff"], None),
        ([""], None),
    ],
)
def test_only_a_valid_traceparent_is_taken(
    headers: list[str], taken: str | None
) -> None:
    assert traceparent(headers) == taken


def test_steps_without_a_span_are_no_trouble() -> None:
    steps = Steps()
    steps.begin("one")
    steps.begin("one")
    steps.end("two")
    steps.close()
    assert steps.span.traceparent is None
