"""Other processes of the package, in the folder of the test."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import jamie

PACKAGE = Path(jamie.__file__).parents[1]
OURS = ("JAMIE_RUN", "JAMIE_SNAKEMAKE", "SLURM_JOB_ID", "SLURM_JOB_NAME")  # what jobs are told by variables


def process(code: str, **env) -> subprocess.Popen:
    """A process that runs this code and has printed a line: ``first``."""
    start = "import sys, time; from jamie.jobs import claims, runs"
    environment = {name: value for name, value in os.environ.items() if name not in OURS}
    started = subprocess.Popen(
        [sys.executable, "-c", f"{start}\n{code}"],
        stdout=subprocess.PIPE,
        text=True,
        env=environment | {"PYTHONPATH": str(PACKAGE)} | env,
    )
    started.first = started.stdout.readline().strip()
    return started
