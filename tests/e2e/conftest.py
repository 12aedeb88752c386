"""Runs of the whole workflow, each in its own empty folder."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]


def snakemake(folder: Path, *arguments: str, overlay: dict | None = None) -> subprocess.CompletedProcess:
    """Run the workflow in ``folder`` on 2 cores with ``overlay`` merged over the shipped config."""
    command = [sys.executable, "-m", "snakemake", "-s", str(ROOT / "Snakefile"), "--cores", "2", *arguments]
    if overlay is not None:
        path = folder / "overlay.yaml"
        path.write_text(yaml.safe_dump(overlay))
        command += ["--configfile", str(path)]
    return subprocess.run(
        command, cwd=folder, capture_output=True, text=True, timeout=900, env=os.environ | {"COLUMNS": "200"}
    )


@pytest.fixture(scope="session")
def small_run(tmp_path_factory):
    """The default config made small: two seeds, few cells, a short fit. Returns its folder."""
    folder = tmp_path_factory.mktemp("run")
    overlay = {
        "run": {
            "scenarios": ["paired_50", "paired_0"],
            "methods": ["jamie", "knn", "cca", "floor_mean", "ceiling"],
            "seeds": [0, 1],
        },
        "datasets": {
            "simulated_multiome": {
                "options": {"n_cells": 240, "n_genes": 80, "n_peaks": 200, "paired_fraction": 0.75}
            }
        },
        "methods": {"jamie": {"options": {"max_epochs": 4, "min_steps": 20}}},
    }
    done = snakemake(folder, overlay=overlay)
    assert done.returncode == 0, done.stderr[-4000:]
    return folder
