"""A run on Slurm that is killed leaves jobs behind: the next cancels them before it writes anything."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import pandas as pd
import pytest
import yaml

from shared.workflow import checked_out, snakemake
from slurm.test_cluster import SMALL, finish, start

pytestmark = pytest.mark.slurm

TARGET = "results/metrics.tsv"
# one method, with a fit that is long enough to be killed in
OVERLAY = SMALL | {
    "run": {"seeds": [0], "scenarios": ["paired_50"], "methods": ["jamie", "floor_mean", "ceiling"]},
    "methods": {"jamie": {"options": {"max_epochs": 400, "patience": 400}}},
}


def snakemakes(make: int) -> list[int]:
    """The main processes of Snakemake that a process of make has started."""
    children = Path(f"/proc/{make}/task/{make}/children").read_text().split()
    return [int(pid) for pid in children if b"snakemake" in Path(f"/proc/{pid}/cmdline").read_bytes()]


def test_jobs_of_a_killed_run_are_cancelled_and_none_runs_twice_at_a_time(cluster, tmp_path):
    checkout = checked_out(tmp_path / "checkout")
    path = checkout / "profiles/slurm/config.yaml"
    profile = yaml.safe_load(path.read_text())
    for key in ("seconds-between-status-checks", "slurm-init-seconds-before-status-checks"):
        profile[key] = 3
    path.write_text(yaml.safe_dump(profile))
    before = set(cluster.jobs()["JobId"])

    first = start(checkout, OVERLAY, TARGET)
    log = checkout / "logs/train_jamie/simulated_multiome.paired_50.jamie.0.log"
    deadline = time.monotonic() + 1800
    while not (log.exists() and "device:" in log.read_text()) and first.poll() is None:
        assert time.monotonic() < deadline, (checkout / "slurm.log").read_text()[-4000:]
        time.sleep(0.5)
    (main,) = snakemakes(first.pid)
    os.kill(main, signal.SIGKILL)
    first.wait()
    left = cluster.jobs("RUNNING", "PENDING")
    left = set(left["JobId"]) - before
    assert left  # Slurm does not know that the run is gone

    status, output = finish(checkout, start(checkout, OVERLAY, TARGET))
    assert status == 0, output[-6000:]
    assert "An earlier run in this folder was killed. Its lock is removed" in output
    assert "were cancelled: " in output
    jobs = cluster.jobs()
    jobs = jobs[~jobs["JobId"].isin(before)]
    states = set(jobs.loc[jobs["JobId"].isin(left), "JobState"])
    assert "CANCELLED" in states and states <= {"CANCELLED", "COMPLETED"}  # some ended before they were
    ended = pd.to_datetime(jobs.loc[jobs["JobId"].isin(left), "EndTime"])
    begun = pd.to_datetime(jobs.loc[jobs["JobId"].astype(int) > max(map(int, left)), "StartTime"])
    assert ended.max() <= begun.min()

    local = tmp_path / "local"
    local.mkdir()
    done = snakemake(local, TARGET, overlay=OVERLAY)
    assert done.returncode == 0, done.stderr[-4000:]
    assert (checkout / TARGET).read_bytes() == (local / TARGET).read_bytes()
