"""Runs of the whole workflow, each in its own empty folder."""

from __future__ import annotations

import pytest

from shared.workflow import snakemake


@pytest.fixture(scope="session")
def small_run(tmp_path_factory):
    """The default config made small: two seeds, few cells, a short fit. Returns its folder."""
    folder = tmp_path_factory.mktemp("run")
    overlay = {
        "run": {
            "scenarios": ["paired_50", "paired_0"],
            "methods": ["jamie", "cca", "floor_mean", "ceiling"],
            "seeds": [0, 1],
        },
        "datasets": {
            "simulated_multiome": {
                "options": {"n_cells": 240, "n_genes": 80, "n_peaks": 200, "paired_fraction": 0.75}
            }
        },
        "methods": {"jamie": {"options": {"max_epochs": 4, "min_steps": 20}}},
        "explain": {"chunks": 1},
    }
    done = snakemake(folder, overlay=overlay)
    assert done.returncode == 0, done.stderr[-4000:]
    return folder
