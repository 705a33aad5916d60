"""`python -m deploy.deletion_cost`, inside a cluster."""

import sys

from deploy.deletion_cost.service import serve
from deploy.deletion_cost.settings import DeletionCostSettings
from runtime.main import run

sys.exit(
    run(
        "deploy.deletion_cost",
        DeletionCostSettings,
        serve,
        what="Keeps the pod-deletion cost of a region's pods: their live calls.",
    )
)
