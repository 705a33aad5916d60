"""What a pod's deletion costs, and when the cluster hears of it."""

import pytest
from prometheus_client import generate_latest

from deploy.deletion_cost.costs import HELD, held, is_worth_telling
from tests.deploy.exported import exported_metrics, registries


@pytest.mark.parametrize("service", ["transceiver", "relay"])
def test_a_pod_that_holds_nothing_costs_nothing(service: str) -> None:
    assert held(generate_latest(registries()[service]).decode()) == 0


def test_calls_and_sessions_of_all_workers_are_counted() -> None:
    page = (
        "# TYPE tandem_calls gauge\n"
        'tandem_calls{worker="0"} 3.0\n'
        'tandem_calls{worker="1"} 4.0\n'
        "# TYPE tandem_websockets gauge\n"
        'tandem_websockets{kind="session",worker="0"} 5.0\n'
        "# TYPE tandem_tasks gauge\n"
        "tandem_tasks 90.0\n"
    )
    assert held(page) == 12


@pytest.mark.parametrize("page", ["", "tandem_tasks 1.0\n", "tandem_calls many\n"])
def test_a_page_without_calls_is_no_page_of_a_pod_of_ours(page: str) -> None:
    with pytest.raises(ValueError, match=r"calls|float"):
        held(page)


def test_what_is_counted_is_exported() -> None:
    assert exported_metrics() >= HELD


@pytest.mark.parametrize(
    ("told", "now_held", "worth"),
    [
        (None, 0, True),
        (None, 9, True),
        (0, 0, False),
        (0, 1, True),
        (1, 0, True),
        (60, 60, False),
        (60, 65, False),
        (60, 55, False),
        (60, 67, True),
        (60, 53, True),
    ],
)
def test_small_changes_of_a_large_cost_are_kept_back(
    told: int | None, now_held: int, worth: bool
) -> None:
    assert is_worth_telling(told, now_held) is worth
