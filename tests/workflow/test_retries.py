"""A job that refused its input is not tried again; one that failed otherwise is, as often as asked."""

import os
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from jamie import entry
from jamie.jobs import attempts

ROOT = Path(__file__).parents[2]
SNAKEFILE = f"""
import sys
sys.path.insert(0, {str(ROOT / "workflow_scripts")!r})
include: {str(ROOT / "rules/retries.smk")!r}
rule all:
    input: "refused.done", "broken.done"
rule fit:
    output: "{{name}}.done"
    log: "{{name}}.log"
    script: "fit.py"
"""
SCRIPT = """
from jamie import InputError, entry
with open(f"{snakemake.wildcards.name}.attempts", "a") as attempts:
    attempts.write("x")
with entry.job(snakemake):
    if snakemake.wildcards.name == "refused":
        raise InputError("Too few cells", expected="50", found="3", change="`files:` of the dataset")
    raise MemoryError
"""


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("retries")
    (folder / "Snakefile").write_text(SNAKEFILE)
    (folder / "fit.py").write_text(SCRIPT)
    command = [sys.executable, "-m", "snakemake", "--cores", "2", "--retries", "1", "--keep-going"]
    path = {"PYTHONPATH": str(ROOT / "workflow_scripts")}
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, env=os.environ | path)
    assert done.returncode == 1, done.stderr
    return folder


def test_refused_input_is_not_tried_again_and_another_failure_is(run):
    tries = {file.stem: len(file.read_text()) for file in run.glob("*.attempts")}
    assert tries == {"refused": 1, "broken": 2}
    assert (run / "refused.log").read_text().endswith(f"{entry.REFUSED}\n")
    assert "Not tried again" not in (run / "broken.log").read_text()


def test_a_group_is_not_tried_again_once_one_of_its_jobs_refused_its_input(run, monkeypatch):
    from snakemake import jobs

    for kind in (jobs.Job, jobs.GroupJob):  # put back what the rules replace
        monkeypatch.setattr(kind, "restart_times", kind.restart_times)
    monkeypatch.syspath_prepend(ROOT / "workflow_scripts")
    workflow = SimpleNamespace(is_main_process=True)
    exec((ROOT / "rules/retries.smk").read_text(), {"__name__": "retries", "workflow": workflow})
    rule = SimpleNamespace(restart_times=2)
    refused, broken = (SimpleNamespace(log=[run / f"{n}.log"], rule=rule) for n in ("refused", "broken"))
    of_job, of_group = jobs.Job.restart_times.fget, jobs.GroupJob.restart_times.fget
    together = SimpleNamespace(jobs=[broken, refused])
    assert of_job(refused) == of_group(together) == 2  # as its log is older than the run
    os.utime(run / "refused.log", (time.time() + 5,) * 2)
    assert of_job(refused) == of_group(together) == 0
    assert of_job(broken) == 2


def test_a_method_killed_at_its_last_attempt_gets_one_more_and_that_is_all(run, tmp_path, monkeypatch):
    from snakemake import jobs

    for kind in (jobs.Job, jobs.GroupJob):
        monkeypatch.setattr(kind, "restart_times", kind.restart_times)
    monkeypatch.syspath_prepend(ROOT / "workflow_scripts")
    workflow = SimpleNamespace(is_main_process=True)
    exec((ROOT / "rules/retries.smk").read_text(), {"__name__": "retries", "workflow": workflow})
    monkeypatch.setenv(attempts.ALLOWED, "3")
    noted, rule = tmp_path / "fit.attempts.json", SimpleNamespace(restart_times=2)
    job = SimpleNamespace(log=[], rule=rule, params={"attempts": str(noted)}, attempt=3)
    other = SimpleNamespace(log=[], rule=rule)
    group = SimpleNamespace(jobs=[other, job], attempt=3)
    of_job, of_group = jobs.Job.restart_times.fget, jobs.GroupJob.restart_times.fget
    assert of_job(job) == of_group(group) == 2  # it had not begun
    attempts.Attempt(noted, 3, {"mem_mb": 700, "runtime": 10}).begin()
    assert of_job(job) == of_group(group) == 3
    workflow.is_main_process = False  # inside what was submitted to a cluster
    assert of_job(job) == of_group(group) == 2
    workflow.is_main_process = True
    job.attempt = group.attempt = 4  # the one that only records was killed as well
    assert of_job(job) == of_group(group) == 2


def test_a_job_without_a_log_is_tried_again(tmp_path):
    assert not entry.refused([tmp_path / "none.log"], since=0)
