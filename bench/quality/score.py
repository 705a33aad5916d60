# /// script
# requires-python = ">=3.11"
# dependencies = [
#   "ai-edge-litert>=2",     # runs ViSQOL's own map from likeness to opinion
#   "numba>=0.60",           # ViSQOL in a tenth of the time
#   "numpy>=2",
#   "pystoi==0.4.*",
#   "scipy>=1.14",
#   "visqol-python==3.8.*",
#   "zimtohrli>=0.2",
# ]
#
# [tool.uv]
# exclude-dependencies = [
#   "backports-strenum",     # for Python 3.10
#   "libsvm-official",       # no wheel; only for music
# ]
# ///
"""Scores of speech against what it was: one JSON line for each stream, as it is done.

    .venv/compare/score/bin/python bench/quality/score.py speech.npz

PESQ (ITU-T P.862.2, wide band), ESTOI (Jensen and Taal 2016), ViSQOL (speech mode) and
Zimtohrli, which alone hears what lies above 8 kHz; higher is better in all of them.
PESQ has no wheel in any kept package: it is left out unless `pesq` is installed, which
takes a C compiler: .venv/compare/score/bin/python -m pip install pesq

Imports nothing of Tandem, so that any Python that has the packages can score.
"""

import json
import sys
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from pystoi import stoi
from scipy.signal import resample_poly
from visqol import VisqolApi
from zimtohrli import mos_from_signals

RATE_HZ = 24_000
WIDE_BAND_HZ = 16_000
FULL_SCALE = 32768.0

Wave = Any
"""float64, (samples,), -1 to 1, mono 24 kHz."""

Scorer = Callable[[Wave, Wave], float]


def main() -> None:
    """Score every stream of a file: "said/N" sentences, "heard/STREAM/N" of them."""
    scorers = _scorers()
    with np.load(Path(sys.argv[1])) as file:
        said = {key.split("/")[1]: file[key] for key in file if key[:5] == "said/"}
        streams: dict[str, dict[str, Any]] = {}
        for key in file:
            kind, *names = key.split("/")
            if kind == "heard":
                streams.setdefault(names[0], {})[names[1]] = file[key]
    for stream, parts in streams.items():
        pairs = [
            (said[number] / FULL_SCALE, part / FULL_SCALE)
            for number, part in parts.items()
        ]
        scores = {
            name: [float(score(clean, heard)) for clean, heard in pairs]
            for name, score in scorers.items()
        }
        print(json.dumps({"stream": stream, "scores": scores}), flush=True)


def _scorers() -> dict[str, Scorer]:
    visqol = VisqolApi()
    visqol.create(mode="speech")

    def estoi(said: Wave, heard: Wave) -> float:
        return float(stoi(said, heard, RATE_HZ, extended=True))

    def likeness(said: Wave, heard: Wave) -> float:
        result = visqol.measure_from_arrays(_wide(said), _wide(heard), WIDE_BAND_HZ)
        return float(result.moslqo)

    def full_band(said: Wave, heard: Wave) -> float:
        return float(
            mos_from_signals(resample_poly(said, 2, 1), resample_poly(heard, 2, 1))
        )

    found = {"ESTOI": estoi, "ViSQOL": likeness, "Zimtohrli": full_band}
    return {**_pesq(), **found}


def _pesq() -> dict[str, Scorer]:
    if find_spec("pesq") is None:
        return {}
    from pesq import pesq  # noqa: PLC0415  # not in the lock: see above

    def score(said: Wave, heard: Wave) -> float:
        return float(pesq(WIDE_BAND_HZ, _wide(said), _wide(heard), "wb"))

    return {"PESQ": score}


def _wide(wave: Wave) -> Wave:
    return resample_poly(wave, WIDE_BAND_HZ, RATE_HZ)


if __name__ == "__main__":
    main()
