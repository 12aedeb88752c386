"""A run that is killed, again and again and anywhere, goes on by the same command to the same results."""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from shared.workflow import ROOT

pytestmark = [pytest.mark.e2e, pytest.mark.slow]
KILLS = int(os.environ.get("KILLS", "20"))
SEED = int(os.environ.get("SEED", str(random.SystemRandom().randrange(10_000))))


def begin(folder: Path, log: Path) -> subprocess.Popen:
    """The command that a user gives, in the background."""
    command = [sys.executable, "-m", "snakemake", "-s", str(ROOT / "Snakefile"), "--cores", "2"]
    with open(log, "w") as handle:
        return subprocess.Popen(
            [*command, "--configfile", "overlay.yaml"], cwd=folder, stdout=handle, stderr=handle
        )


def kill_somewhere(run: subprocess.Popen, log: Path, draw: random.Random) -> str:
    """Kill the main process after some jobs and a while, wherever they are then; returns where that was."""
    n_jobs, delay_s = draw.randrange(4), draw.uniform(0, 4)
    while run.poll() is None and log.read_text().count("Finished jobid") < n_jobs:
        time.sleep(0.05)
    time.sleep(delay_s)
    run.send_signal(signal.SIGKILL)
    run.wait()
    begun = [line for line in log.read_text().splitlines() if line.startswith(("rule ", "localrule "))]
    return f"after {n_jobs} jobs and {delay_s:.1f} s, at {begun[-1] if begun else 'its start'}"


def test_a_run_that_is_killed_anywhere_ends_in_the_same_metrics(small_run, tmp_path, capsys):
    shutil.copy(small_run / "overlay.yaml", tmp_path)
    draw, log = random.Random(SEED), tmp_path / "run.log"
    removed = 0
    for i in range(KILLS):
        run = begin(tmp_path, log)
        where = kill_somewhere(run, log, draw)
        with capsys.disabled():
            print(f"seed {SEED}, kill {i + 1}: {where}", flush=True)
        removed += "An earlier run in this folder was killed" in log.read_text()
        assert "--unlock" not in log.read_text(), log.read_text()[-3000:]
    run = begin(tmp_path, log)
    assert run.wait() == 0, log.read_text()[-4000:]
    assert removed > 0
    for name in ("metrics.tsv", "metrics_summary.tsv"):
        assert (tmp_path / "results" / name).read_bytes() == (small_run / "results" / name).read_bytes(), name
    left = [str(path) for path in (tmp_path / "results").rglob(".*") if ".part" in path.name]
    assert not left
    claims = (tmp_path / ".snakemake/jamie/claims").iterdir()
    assert not any(path.read_text() for path in claims)  # no job of a killed run is still at work
