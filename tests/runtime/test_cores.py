"""How many workers there are, where one a core is asked for."""

import pytest

from runtime.cores import available_cores, within_quota


@pytest.mark.parametrize(
    ("quota", "cores"),
    [
        ("max 100000\n", 8),
        ("400000 100000\n", 4),
        ("250000 100000\n", 2),
        ("50000 100000\n", 1),
        ("1600000 100000\n", 8),
        ("", 8),
        ("100000 0\n", 8),
        ("unreadable", 8),
    ],
)
def test_a_container_s_quota_bounds_the_cores(quota: str, cores: int) -> None:
    assert within_quota(8, quota) == cores


def test_there_is_one_core_at_least() -> None:
    assert within_quota(0, "") == 1
    assert available_cores() >= 1
