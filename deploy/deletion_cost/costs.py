"""What a pod's deletion would cost, and whether the cluster has to be told.

The cost is the number of calls and sessions that the pod holds, as its /metrics say.
Each change that is told is a write to the cluster's store, and Kubernetes asks not to
follow a figure closely: so small changes of a large cost are kept back. Whether a pod
holds anything at all is always told.
"""

from prometheus_client.parser import text_string_to_metric_families

HELD = frozenset({"tandem_calls", "tandem_websockets", "tandem_relay_sessions"})
"""Gauges whose sum over all labels is what would be lost with the pod."""

WORTH_TELLING = 0.1
"""Smallest change told, as a share of what was told before."""


def held(page: str) -> int:
    """Return how much a pod holds.

    Args:
        page: Its /metrics.

    Raises:
        ValueError: The page is malformed, or tells of nothing that is held.
    """
    values = [
        sample.value
        for family in text_string_to_metric_families(page)
        if family.name in HELD
        for sample in family.samples
    ]
    if not values:
        raise ValueError("tells of no calls")
    return int(sum(values))


def is_worth_telling(told: int | None, now_held: int) -> bool:
    """Tell whether the cluster should hear of a pod's cost.

    Args:
        told: What it knows; None: nothing.
        now_held: What the pod holds.
    """
    if told is None or (told == 0) != (now_held == 0):
        return True
    return abs(now_held - told) > told * WORTH_TELLING
