"""One page of metrics from those of several workers (Prometheus text format 0.0.4).

A family's header stands once, above the samples of all; each sample is told apart by
the label `worker`.
"""

from collections.abc import Mapping

_HELP, _TYPE = "# HELP ", "# TYPE "


def merged(pages: Mapping[int, bytes]) -> bytes:
    """Return the pages of some workers as one.

    Args:
        pages: Each as `prometheus_client.generate_latest` writes it, by worker.
    """
    headers: dict[str, list[str]] = {}
    samples: dict[str, list[str]] = {}
    for worker, page in sorted(pages.items()):
        family = ""
        for line in page.decode().split("\n"):
            if line.startswith((_HELP, _TYPE)):
                family = line.split(" ", 3)[2]
                known = headers.setdefault(family, [])
                if line not in known:
                    known.append(line)
            elif line and not line.startswith("#"):
                samples.setdefault(family, []).append(_labelled(line, worker))
    families = {**headers, **samples}
    lines = [
        line
        for family in families
        for line in (*headers.get(family, ()), *samples.get(family, ()))
    ]
    return "".join(f"{line}\n" for line in lines).encode()


def _labelled(sample: str, worker: int) -> str:
    """Return a sample with the label added; a name holds neither brace nor blank."""
    label = f'worker="{worker}"'
    name, brace, rest = sample.partition("{")
    if brace and " " not in name:
        return f"{name}{{{label},{rest}"
    name, _, value = sample.partition(" ")
    return f"{name}{{{label}}} {value}"
