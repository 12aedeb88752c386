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
from shared.workflow import ROOT, TINY, checked_out, fenced, snakemake

pytestmark = pytest.mark.slurm

# the default run but for: one seed, few cells, short fits, a method that uses torch, and one that raises
SMALL = {
    "run": {"seeds": [0]},
    "datasets": TINY["datasets"],
    "methods": TINY["methods"] | {"broken": {"base": "cca", "options": {"shrinkage": 5.0}}},
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
# MB for two groups: less than they take, with Snakemake's own 200; four times that at the next attempt
OVER_MEMORY = {"data": 300, "torch": 400}
# its first attempt is held up on its way, as by a file system that hangs; the limit is the shortest of Slurm
OVER_TIME = "train_jamie"


@pytest.fixture(scope="module")
def checkout(tmp_path_factory):
    """A copy of the repository; its Slurm profile is changed where comments there say that one may."""
    folder = checked_out(tmp_path_factory.mktemp("checkout"))
    change_profile(folder, OVER_MEMORY)
    return folder


def change_profile(folder, over_memory: dict) -> None:
    profile = yaml.safe_load((ROOT / "profiles/slurm/config.yaml").read_text())
    for key in ("seconds-between-status-checks", "slurm-init-seconds-before-status-checks"):
        assert key in profile
        profile[key] = 3
    rules = profile["set-resources"]
    for rule, group in profile["groups"].items():
        rules[rule] = rules.get(rule, {}) | {"runtime": 120}  # however busy this machine is
        if mem_mb := over_memory.get(group.split("_")[0]):
            rules[rule] |= {"mem_mb": f"{mem_mb} * attempt ** 2"}
    rules[OVER_TIME] |= {"runtime": "1 if attempt == 1 else 120"}
    (folder / "profiles/slurm/config.yaml").write_text(yaml.safe_dump(profile))


def start(checkout, overlay: dict, *more: str) -> subprocess.Popen:
    """README's command for a cluster, with a configuration of its own and ``more`` flags for Snakemake."""
    section = re.search(r"^## On a Slurm cluster$(.*?)^## ", (ROOT / "README.md").read_text(), re.M | re.S)[1]
    commands = [shlex.split(line) for block in fenced(section, "bash") for line in block.splitlines()]
    ((make, target, arguments),) = [words for words in commands if words[:2] == ["make", "report"]]
    assert arguments.startswith("ARGS=")
    (checkout / "overlay.yaml").write_text(yaml.safe_dump(overlay))
    words = [make, target, " ".join([arguments, *more]), f"CONFIG={checkout}/overlay.yaml"]
    env = {key: value for key, value in os.environ.items() if key not in ("MAKEFLAGS", "CONFIG", "ARGS")}
    with (checkout / "slurm.log").open("w") as log:
        return subprocess.Popen(
            words, cwd=checkout, env=env, stdout=log, stderr=subprocess.STDOUT, start_new_session=True
        )


def finish(checkout, process: subprocess.Popen, look=lambda: None) -> tuple[int, str]:
    """Exit status and output, with a ``look`` once a second; after two hours it is ended."""
    deadline = time.monotonic() + 7200
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
    methods = [*yaml.safe_load((ROOT / "config/config.yaml").read_text())["run"]["methods"], TORCH, "broken"]
    stopped: set[str] = set()

    def hold_up():
        if not any((checkout / "logs" / OVER_TIME).glob("*.log")):
            return
        running = cluster.jobs("RUNNING")
        for job_id in running.loc[running["name"] == OVER_TIME, "JobId"]:
            if not stopped or job_id in stopped:
                stopped.add(job_id)
                for pid in cluster.pids(job_id):
                    os.kill(pid, signal.SIGSTOP)

    process = start(checkout, SMALL | {"run": SMALL["run"] | {"methods": methods}})
    status, output = finish(checkout, process, hold_up)
    assert status and "Failed fits of methods: 1." in output, output[-6000:]
    return output, cluster.jobs()


@pytest.fixture(scope="module")
def refused(cluster, checkout, run):
    """The same of a run on counts below zero, in a folder of its own."""
    folder = checkout / "refused"
    folder.mkdir()
    mdata, _ = simulate_multiome(n_cells=60, n_genes=40, n_peaks=80, n_types=3, seed=0)
    mdata["rna"].X.data[0] = -1
    mdata.write(folder / "wrong.h5mu")
    _, before = run
    change_profile(checkout, {})
    status, output = finish(checkout, start(checkout, WRONG, "--directory", str(folder)))
    assert status != 0
    jobs = cluster.jobs()
    return output, jobs[~jobs["JobId"].isin(before["JobId"])]


@pytest.fixture(scope="module")
def failing(cluster, checkout, refused):
    """The same of a run in which a method is over its memory at all of its three attempts."""
    folder = checkout / "failing"
    folder.mkdir()
    profile = checkout / "profiles/slurm/config.yaml"
    settings = yaml.safe_load(profile.read_text())
    settings["set-resources"]["fit_torch_method"]["mem_mb"] = "250 if attempt <= 3 else 2000"
    profile.write_text(yaml.safe_dump(settings))
    few = {"methods": ["knn", TORCH], "seeds": [0], "figures": "comparison", "explain": False}
    before = cluster.jobs()
    status, output = finish(checkout, start(checkout, SMALL | {"run": few}, "--directory", str(folder)))
    jobs = cluster.jobs()
    return status, output, jobs[~jobs["JobId"].isin(before["JobId"])]


def attempts(jobs, name: str):
    """The jobs of a rule or of a kind of group, in the order in which they were submitted."""
    found = jobs[jobs["name"].str.match(rf"{name}(_|$)")]
    return found.loc[found["JobId"].astype(int).sort_values().index]


def error_of(output: str, name: str) -> str:
    """What the terminal says of a job that failed."""
    return re.search(rf"Error in (?:rule|group) {name}.*?^Trying to restart job", output, re.M | re.S)[0]


def test_the_run_ends_with_a_report_and_the_metrics_of_a_local_run(run, checkout, tmp_path):
    assert (checkout / "results/report.html").exists()
    overlay = yaml.safe_load((checkout / "overlay.yaml").read_text())
    done = snakemake(tmp_path, "results/metrics.tsv", overlay=overlay)
    assert (tmp_path / "results/metrics.tsv").exists(), done.stderr[-4000:]
    assert (checkout / "results/metrics.tsv").read_bytes() == (tmp_path / "results/metrics.tsv").read_bytes()


def test_a_method_that_fails_is_a_row_and_the_others_are_scored(run, checkout):
    metrics = pd.read_csv(checkout / "results/metrics.tsv", sep="\t")
    broken = metrics["method"] == "broken"
    assert broken.any() and set(metrics.loc[broken, "status"]) == {"failed"}
    assert metrics.loc[broken, "reason"].str.contains("shrinkage").all()
    assert set(metrics.loc[~broken, "method"]) >= {"jamie", "cca", TORCH}
    assert "failed" not in set(metrics.loc[~broken, "status"])


def test_a_method_killed_at_every_attempt_is_a_row_and_the_others_are_scored(failing, checkout):
    status, output, jobs = failing
    assert status != 0 and (checkout / "failing/results/metrics.tsv").exists(), output[-4000:]
    assert list(attempts(jobs, "torch")["JobState"]) == ["FAILED"] * 3 + ["COMPLETED"]
    metrics = pd.read_csv(checkout / "failing/results/metrics.tsv", sep="\t")
    of_method = metrics.groupby("method")["status"].agg(set)
    assert of_method[TORCH] == {"failed"} and "ok" in of_method["knn"]
    assert f"{TORCH} failed in simulated_multiome, " in output and "at attempt 3 of 3" in output


def test_what_fits_with_torch_asks_for_one_gpu_and_nothing_else_does(run):
    _, jobs = run
    fits = jobs["name"].str.match("(train_jamie|torch)")
    assert fits.sum() >= 2
    assert set(jobs.loc[fits, "TresPerJob"]) == {"gres:gpu:1"} and set(jobs.loc[fits, "Partition"]) == {"gpu"}
    assert jobs.loc[~fits, "TresPerJob"].isna().all() and set(jobs.loc[~fits, "Partition"]) == {"cpu"}


@pytest.mark.parametrize("name", OVER_MEMORY)
def test_a_job_over_its_memory_succeeds_with_more_at_the_next_attempt(run, name):
    output, jobs = run
    tried = attempts(jobs, name)
    assert list(tried["JobState"]) == ["FAILED", "COMPLETED"]
    asked_mb = [int(re.search(r"mem=(\d+)M", tres)[1]) for tres in tried["TRES"]]
    assert asked_mb == [OVER_MEMORY[name], 4 * OVER_MEMORY[name]]
    assert re.search("slurmstepd.*exceeded (job )?memory limit", error_of(output, name), re.IGNORECASE)


def test_a_job_over_its_time_succeeds_with_more_at_the_next_attempt(run):
    output, jobs = run
    tried = attempts(jobs, OVER_TIME)
    assert list(tried["JobState"]) == ["TIMEOUT", "COMPLETED"]
    assert list(tried["TimeLimit"]) == ["00:01:00", "02:00:00"]
    told = error_of(output, OVER_TIME)
    assert "SLURM status is: 'TIMEOUT'" in told and re.search("slurmstepd.*DUE TO TIME LIMIT", told)


def test_nothing_else_was_tried_twice(run):
    _, jobs = run
    once = jobs[~jobs["name"].str.match("|".join([*OVER_MEMORY, OVER_TIME]))]
    assert len(once) and set(once["JobState"]) == {"COMPLETED"}
    assert not once.duplicated(["name", "of"]).any()


def test_a_wrong_input_is_not_tried_again_and_the_reason_is_told(refused):
    output, jobs = refused
    assert list(jobs["JobState"]) == ["FAILED"] and jobs["name"].item().startswith("data_wrong")
    assert re.search(r"Error: .*\n +expected: .*\n +found: .*\n +change: ", output)
    assert entry.REFUSED in output
    assert "Trying to restart job" not in output
