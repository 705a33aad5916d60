"""Which Python draws: matplotlib is no dependency of Tandem's."""

import importlib.util
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PLOT_PYTHON = ROOT / ".venv" / "compare" / "plot" / "bin" / "python"
NEEDED = "matplotlib: `make .venv/compare-plot.installed` or pip install it"


def python() -> Path | None:
    """Return a Python that has matplotlib; None: there is none."""
    if importlib.util.find_spec("matplotlib") is not None:
        return Path(sys.executable)
    return PLOT_PYTHON if PLOT_PYTHON.exists() else None


def draw(script: Path, figures: Path, target: Path) -> bool:
    """Have a script draw a JSON file; False where nothing can draw.

    Raises:
        subprocess.CalledProcessError: It failed; it has said why.
    """
    drawing = python()
    if drawing is None:
        return False
    subprocess.run([str(drawing), str(script), str(figures), str(target)], check=True)
    return True
