"""README's cluster section on a real Slurm: a whole run in which jobs are killed, and a wrong input."""

from __future__ import annotations

import os
import re
import shlex
import signal
import subprocess
import time

import pandas as pd
import pytest
import yaml

from jamie import entry
from jamie.data.simulate import simulate_multiome
from shared.workflow import ROOT, checked_out, fenced, snakemake

pytestmark = pytest.mark.slurm

# the default run but for: one seed, few cells, short fits, and a method that computes with torch
SMALL = {
    "run": {"seeds": [0]},
    "datasets": {
        "simulated_multiome": {
            "options": {"n_cells": 240, "n_genes": 80, "n_peaks": 200, "paired_fraction": 0.75}
        }
    },
    "methods": {"jamie": {"options": {"max_epochs": 4, "min_steps": 20}}},
    "explain": {"chunks": 1},
}
TORCH = "mmd_ma"
WRONG = {
    "run": {"datasets": ["wrong"], "seeds": [0]},
    "datasets": {
        "wrong": {
            "reader": "h5mu",
            "files": {"data": {"path": "wrong.h5mu"}},
            "modalities": {"rna": {"kind": "rna"}, "atac": {"kind": "atac"}},
        }
    },
}
# Less than these take, Snakemake's own 200 MB included, and four times as much at the second attempt
OVER_MEMORY = {"compare_modalities": 300, "plot_scores": 250}
# Its first job is held up as by a file system that hangs; its limit is the shortest that Slurm has
OVER_TIME = "plot_history"


@pytest.fixture(scope="module")
def checkout(tmp_path_factory):
    """A copy of the repository; its Slurm profile is changed where comments there say that one may."""
    folder = checked_out(tmp_path_factory.mktemp("checkout"))
    path = folder / "profiles/slurm/config.yaml"
    profile = yaml.safe_load(path.read_text())
    for key in ("seconds-between-status-checks", "slurm-init-seconds-before-status-checks"):
        assert key in profile
        profile[key] = 3
    for rule, mem_mb in OVER_MEMORY.items():
        profile["set-resources"][rule] = {"mem_mb": f"{mem_mb} * attempt ** 2"}
    profile["set-resources"][OVER_TIME] = {"runtime": "1 if attempt == 1 else 10"}
    path.write_text(yaml.safe_dump(profile))
    return folder


def start(checkout, overlay: dict, *more: str) -> subprocess.Popen:
    """README's command for a cluster, with a configuration of its own and ``more`` flags for Snakemake."""
    section = re.search(r"^## On a Slurm cluster$(.*?)^## ", (ROOT / "README.md").read_text(), re.M | re.S)[1]
    (block,) = fenced(section, "bash")
    make, target, arguments = shlex.split(block)
    assert (make, target) == ("make", "report") and arguments.startswith("ARGS=")
    (checkout / "overlay.yaml").write_text(yaml.safe_dump(overlay))
    words = [make, target, " ".join([arguments, *more]), f"CONFIG={checkout}/overlay.yaml"]
    env = {key: value for key, value in os.environ.items() if key not in ("MAKEFLAGS", "CONFIG", "ARGS")}
    with (checkout / "slurm.log").open("w") as log:
        return subprocess.Popen(
            words, cwd=checkout, env=env, stdout=log, stderr=subprocess.STDOUT, start_new_session=True
        )


def finish(checkout, process: subprocess.Popen, look=lambda: None) -> tuple[int, str]:
    """Exit status and output, with a ``look`` once a second; after an hour it is ended."""
    deadline = time.monotonic() + 3600
    try:
        while process.poll() is None:
            look()
            assert time.monotonic() < deadline, (checkout / "slurm.log").read_text()[-4000:]
            time.sleep(1)
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGTERM)
            process.wait(60)
    return process.returncode, (checkout / "slurm.log").read_text()


@pytest.fixture(scope="module")
def run(cluster, checkout):
    """The output of a whole run, and its jobs as Slurm lists them."""
    methods = [*yaml.safe_load((ROOT / "config/config.yaml").read_text())["run"]["methods"], TORCH]
    stopped: set[str] = set()

    def hold_up():
        running = cluster.jobs("RUNNING")
        for job_id in running.loc[running["rule"] == OVER_TIME, "JobId"]:
            if not stopped or job_id in stopped:
                stopped.add(job_id)
                for pid in cluster.pids(job_id):
                    os.kill(pid, signal.SIGSTOP)

    process = start(checkout, SMALL | {"run": SMALL["run"] | {"methods": methods}})
    status, output = finish(checkout, process, hold_up)
    assert status == 0, output[-6000:]
    return output, cluster.jobs()


@pytest.fixture(scope="module")
def refused(cluster, checkout, run):
    """The same of a run on counts below zero, in a folder of its own."""
    folder = checkout / "refused"
    folder.mkdir()
    mdata, _ = simulate_multiome(n_cells=60, n_genes=40, n_peaks=80, n_types=3, seed=0)
    mdata["rna"].X.data[0] = -1
    mdata.write(folder / "wrong.h5mu")
    before = set(cluster.jobs()["JobId"])
    status, output = finish(checkout, start(checkout, WRONG, "--directory", str(folder)))
    assert status != 0
    jobs = cluster.jobs()
    return output, jobs[~jobs["JobId"].isin(before)]


@pytest.fixture(scope="module")
def failing(cluster, checkout):
    """The same of a run in which a method is over its memory at all of its three attempts."""
    profile = yaml.safe_load((checkout / "profiles/slurm/config.yaml").read_text())
    profile["set-resources"]["fit_torch_method"]["mem_mb"] = "250 if attempt <= 3 else 2000"
    (checkout / "profiles/failing").mkdir()
    (checkout / "profiles/failing/config.yaml").write_text(yaml.safe_dump(profile))
    overlay = SMALL | {
        "run": {"methods": ["knn", TORCH], "seeds": [0], "figures": "comparison", "explain": False}
    }
    flags = ["--workflow-profile", "profiles/failing", "--directory", str(checkout / "failing")]
    before = set(cluster.jobs()["JobId"])
    status, output = finish(checkout, start(checkout, overlay, *flags))
    jobs = cluster.jobs()
    return status, output, jobs[~jobs["JobId"].isin(before)]


def of_rule(jobs, rule: str):
    """The jobs of a rule in the order in which they were submitted: of one job, its attempts."""
    found = jobs[jobs["rule"] == rule]
    return found.loc[found["JobId"].astype(int).sort_values().index]


def test_the_run_ends_with_a_report_and_the_metrics_of_a_local_run(run, checkout, tmp_path):
    assert (checkout / "results/report.html").exists()
    overlay = yaml.safe_load((checkout / "overlay.yaml").read_text())
    done = snakemake(tmp_path, "results/metrics.tsv", overlay=overlay)
    assert done.returncode == 0, done.stderr[-4000:]
    assert (checkout / "results/metrics.tsv").read_bytes() == (tmp_path / "results/metrics.tsv").read_bytes()


@pytest.mark.parametrize("rule", ["train_jamie", "fit_torch_method"])
def test_what_fits_with_torch_asks_for_one_gpu(run, rule):
    _, jobs = run
    asked = of_rule(jobs, rule)
    assert set(asked["TresPerJob"]) == {"gres:gpu:1"} and set(asked["Partition"]) == {"gpu"}
    others = jobs[~jobs["rule"].isin(["train_jamie", "fit_torch_method"])]
    assert len(others) and others["TresPerJob"].isna().all() and set(others["Partition"]) == {"cpu"}


@pytest.mark.parametrize("rule", OVER_MEMORY)
def test_a_job_over_its_memory_succeeds_with_more_at_the_next_attempt(run, rule):
    output, jobs = run
    attempts = of_rule(jobs, rule)
    assert list(attempts["JobState"]) == ["FAILED", "COMPLETED"]
    assert [f"mem={n * OVER_MEMORY[rule]}M" in t for n, t in zip((1, 4), attempts["TRES"], strict=True)]
    told = output.split(f"Error in rule {rule}")[1].split("Trying to restart job")[0]
    assert "exceeded memory limit" in told.lower() or "exceeded job memory limit" in told.lower()


def test_a_job_over_its_time_succeeds_with_more_at_the_next_attempt(run):
    output, jobs = run
    attempts = of_rule(jobs, OVER_TIME)
    assert list(attempts["JobState"]) == ["TIMEOUT", "COMPLETED"]
    assert list(attempts["TimeLimit"]) == ["00:01:00", "00:10:00"]
    told = output.split(f"Error in rule {OVER_TIME}")[1].split("Trying to restart job")[0]
    assert "DUE TO TIME LIMIT" in told


def test_nothing_else_was_tried_twice(run):
    _, jobs = run
    once = jobs[~jobs["rule"].isin([*OVER_MEMORY, OVER_TIME])]
    assert set(once["JobState"]) == {"COMPLETED"}
    assert not once.duplicated(["rule", "job"]).any()


def test_a_method_killed_at_every_attempt_is_a_row_and_the_others_are_scored(failing, checkout):
    status, output, jobs = failing
    assert status != 0 and (checkout / "failing/results/report.html").exists(), output[-4000:]
    assert list(of_rule(jobs, "fit_torch_method")["JobState"]) == ["FAILED"] * 3 + ["COMPLETED"]
    metrics = pd.read_csv(checkout / "failing/results/metrics.tsv", sep="\t")
    of_method = metrics.groupby("method")["status"].agg(set)
    assert of_method[TORCH] == {"failed"} and "ok" in of_method["knn"]
    assert f"{TORCH} failed in simulated_multiome, " in output and "at attempt 3 of 3" in output


def test_a_wrong_input_is_not_tried_again_and_the_reason_is_told(refused):
    output, jobs = refused
    assert list(jobs["rule"]) == ["ingest_dataset"] and list(jobs["JobState"]) == ["FAILED"]
    assert re.search(r"Error: .*\n +expected: .*\n +found: .*\n +change: ", output)
    assert entry.REFUSED in output
    assert "Trying to restart job" not in output
