"""Runs of the whole workflow, each in its own empty folder."""

from __future__ import annotations

import pytest
from filelock import FileLock

from shared.workflow import TINY, snakemake


@pytest.fixture(scope="session")
def small_run(tmp_path_factory, worker_id):
    """The default config made small: two seeds, few cells, a short fit. Returns its folder.

    Run by the first worker that asks for it and read by all.
    """
    base = tmp_path_factory.getbasetemp()
    folder = (base if worker_id == "master" else base.parent) / "small_run"
    with FileLock(f"{folder}.lock"):
        if not (folder / "done").exists():
            folder.mkdir(exist_ok=True)
            small(folder, scenarios=["paired_50"], seeds=[0, 1])
            (folder / "done").touch()
    return folder


@pytest.fixture(scope="session")
def run_without_pairs(tmp_path_factory):
    """The same with one seed, and no known pair. Returns its folder."""
    return small(tmp_path_factory.mktemp("without_pairs"), scenarios=["paired_0"], seeds=[0])


def small(folder, **run):
    overlay = {
        "run": {"methods": ["jamie", "cca", "floor_mean", "ceiling"], **run},
        "datasets": TINY["datasets"],
        "methods": TINY["methods"],
        "explain": {"chunks": 1},
    }
    done = snakemake(folder, overlay=overlay)
    assert done.returncode == 0, done.stderr[-4000:]
    return folder
