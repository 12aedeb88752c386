"""What a run that was killed leaves is cleared away by the next, and only then."""

import json
import os
import stat
import subprocess

import pytest

from jamie.jobs import runs
from shared.processes import OURS, process

RUN = "print(runs.start(main=True), flush=True); time.sleep(100)"


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """A folder that Snakemake has locked."""
    monkeypatch.chdir(tmp_path)
    for name in OURS:
        monkeypatch.setenv(name, "")
    lock()
    return tmp_path


def lock() -> None:
    runs.LOCKS.mkdir(parents=True, exist_ok=True)
    (runs.LOCKS / "0.output.lock").write_text("results/metrics.tsv\n")


def started(**env) -> tuple[str, subprocess.Popen]:
    """The notices of another run that starts, and the run."""
    other = process(RUN, **env)
    return other.first, other


def killed(other) -> None:
    other.kill()
    other.wait()


def test_a_lock_of_nobody_known_stays():
    notices, other = started()
    assert notices == "[]" and runs.LOCKS.exists()
    killed(other)


def test_the_lock_of_a_run_that_was_killed_is_removed_with_a_notice():
    killed(started()[1])
    notices, other = started()
    assert "An earlier run in this folder was killed. Its lock is removed" in notices
    assert not runs.LOCKS.exists() and len(list((runs.FOLDER / "runs").iterdir())) == 1
    killed(other)


def test_the_lock_of_a_run_that_goes_on_stays_whoever_else_was_killed():
    going = started()[1]
    for _ in range(2):  # the second would find the first one dead
        notices, other = started()
        assert notices == "[]" and runs.LOCKS.exists()
        killed(other)
    killed(going)
    notices, last = started()
    assert "removed" in notices
    killed(last)


def test_a_lock_from_another_host_stays_and_the_notice_says_how_to_remove_it():
    killed(started()[1])
    (path,) = (runs.FOLDER / "runs").iterdir()
    path.write_text(json.dumps(json.loads(path.read_text()) | {"host": "login2"}))
    notices, other = started()
    assert "started on login2" in notices and "--unlock" in notices and runs.LOCKS.exists()
    killed(other)


def test_a_run_that_ends_is_registered_no_longer():
    other = process("runs.start(main=True); print(__import__('os').environ['JAMIE_RUN'], flush=True)")
    assert other.wait() == 0 and other.first and not runs.is_going(other.first)


def test_only_the_main_process_registers():
    other = process("runs.start(main=False); print(__import__('os').environ['JAMIE_SNAKEMAKE'], flush=True)")
    assert other.first.split()[1] == str(other.pid) and not runs.FOLDER.exists()
    other.wait()


SLURM = """#!/bin/sh
echo "$(basename $0) $*" >> {folder}/calls
[ "$(basename $0)" = squeue ] && cat {folder}/queue 2> /dev/null && rm {folder}/queue
exit 0
"""


@pytest.fixture
def slurm(folder, monkeypatch):
    """Commands that say what they were called with; squeue names one job, once."""
    for name in ("scancel", "squeue"):
        command = folder / "bin" / name
        command.parent.mkdir(exist_ok=True)
        command.write_text(SLURM.format(folder=folder))
        command.chmod(command.stat().st_mode | stat.S_IXUSR)
    (folder / "queue").write_text("12\n")
    monkeypatch.setenv("PATH", f"{folder / 'bin'}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setattr(runs.time, "sleep", lambda s: None)
    return folder


def claim(run: str, **more) -> None:
    folder = runs.FOLDER / "claims"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{run}.json").write_text(json.dumps({"run": run, **more}))


def test_jobs_that_a_dead_run_left_on_the_cluster_are_cancelled_and_waited_for(slurm):
    claim("dead", slurm="12", slurm_name="uuid-1")
    claim("local", slurm=None, slurm_name=None)
    claim("going", slurm="13", slurm_name="uuid-2")
    (runs.FOLDER / "runs").mkdir()
    (runs.FOLDER / "runs" / "going.json").touch()
    (notice,) = runs.cancel_earlier()
    assert notice.endswith("were cancelled: 12")
    cancelled, by_name, *looks = (slurm / "calls").read_text().splitlines()
    assert cancelled == "scancel 12" and by_name.startswith("scancel --user=")
    assert by_name.endswith("--name=uuid-1") and len(looks) == 2  # there once, then gone
    assert sorted(path.stem for path in (runs.FOLDER / "claims").iterdir()) == ["going", "local"]
    assert runs.cancel_earlier() == []


def test_where_jobs_cannot_be_cancelled_the_notice_says_how(monkeypatch):
    claim("dead", slurm="12", slurm_name="uuid-1")
    monkeypatch.setenv("PATH", "")
    assert runs.cancel_earlier() == ["Jobs of an earlier run may still be on the cluster: scancel 12"]
