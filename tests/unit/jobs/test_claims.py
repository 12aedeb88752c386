"""Two jobs never write one file at the same time, and none outlives its Snakemake."""

import json
import os
import signal
import time
from pathlib import Path

import pytest

from jamie import InputError
from jamie.jobs import claims, runs
from shared.processes import OURS, process

HOLD = "with claims.claimed(['out.tsv']): print('held', flush=True); time.sleep(100)"


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in OURS:
        monkeypatch.delenv(name, raising=False)
    return tmp_path


def the_claim() -> Path:
    (path,) = (runs.FOLDER / "claims").iterdir()
    return path


def test_a_claim_says_who_holds_it_and_ends_with_the_job(monkeypatch):
    monkeypatch.setenv("SLURM_JOB_ID", "12")
    with claims.claimed(["out.tsv"]):
        holder = json.loads(the_claim().read_text())
    assert holder["pid"] == os.getpid() and holder["slurm"] == "12"
    assert the_claim().read_text() == ""


def test_a_job_waits_for_another_that_writes_the_same_file(monkeypatch):
    monkeypatch.setattr(claims, "WAIT_S", 0.5)
    other = process(HOLD)
    with pytest.raises(InputError, match=rf"(?s)out.tsv is being written.*process {other.pid} on"):
        claims.claimed(["out.tsv"]).__enter__()
    with claims.claimed(["else.tsv"]):
        pass
    monkeypatch.setattr(claims, "WAIT_S", 60)
    other.kill()  # what it held is free, although it could not say so
    with claims.claimed(["out.tsv"]):
        pass
    other.wait()


def test_what_a_killed_job_left_is_removed_by_the_next(folder):
    (folder / ".out.99.part.tsv").touch()
    with claims.claimed(["out.tsv"]):
        assert not (folder / ".out.99.part.tsv").exists()


def test_a_job_of_a_run_that_has_ended_does_nothing(monkeypatch):
    (runs.FOLDER / "runs").mkdir(parents=True)
    monkeypatch.setenv("JAMIE_RUN", "host.1.2")
    with pytest.raises(InputError, match="a run that has ended"), claims.claimed(["out.tsv"]):
        pytest.fail("it went on")
    (runs.FOLDER / "runs" / "host.1.2.json").touch()
    with claims.claimed(["out.tsv"]):
        pass


def test_a_job_on_another_host_keeps_its_claim_as_long_as_its_run_goes():
    with claims.claimed(["out.tsv"]):
        pass
    holder = runs.here() | {"host": "node7", "run": "login.1.2", "slurm": "77", "slurm_name": "x"}
    the_claim().write_text(json.dumps(holder))
    (runs.FOLDER / "runs").mkdir()
    registered = runs.FOLDER / "runs" / "login.1.2.json"
    registered.touch()
    with pytest.raises(InputError, match=r"(?s)on node7, Slurm job 77.*scancel"), claims.claimed(["out.tsv"]):
        pytest.fail("it went on")
    registered.unlink()
    with claims.claimed(["out.tsv"]):
        pass


def test_another_attempt_of_the_same_run_takes_over(monkeypatch):
    """A node that was lost cannot give its claim back."""
    with claims.claimed(["out.tsv"]):
        pass
    (runs.FOLDER / "runs").mkdir()
    (runs.FOLDER / "runs" / "login.1.2.json").touch()
    the_claim().write_text(json.dumps(runs.here() | {"host": "node7", "run": "login.1.2"}))
    monkeypatch.setenv("JAMIE_RUN", "login.1.2")
    with claims.claimed(["out.tsv"]):
        assert json.loads(the_claim().read_text())["host"] == runs.here()["host"]


PARENT = """
import subprocess
runs.start(main=False)
child = subprocess.Popen([sys.executable, "-c", {code!r}], stdout=subprocess.PIPE, text=True)
print(child.pid, child.stdout.readline().strip(), flush=True)
time.sleep(100)
"""
ASLEEP = "import time; from jamie.jobs import claims\n" + HOLD
DEAF = """
import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN)
from jamie.jobs import claims; claims.END_S = 0.5
"""


@pytest.mark.parametrize("code", [ASLEEP, DEAF + ASLEEP], ids=["that heeds", "that does not"])
def test_a_job_ends_with_the_snakemake_that_was_killed(code):
    snakemake = process(PARENT.format(code=code))
    pid, word = snakemake.first.split()
    assert word == "held"
    job = os.pidfd_open(int(pid))
    snakemake.send_signal(signal.SIGKILL)
    snakemake.wait()
    deadline = time.monotonic() + 60
    while not ended(int(pid)) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert ended(int(pid))
    os.close(job)
    with claims.claimed(["out.tsv"]):
        pass


def ended(pid: int) -> bool:
    """Whether a process is gone, or waits for somebody to notice."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return True


def test_a_job_that_began_after_its_snakemake_was_killed_ends_at_once():
    gone = process("runs.start(main=False); import os; print(os.environ['JAMIE_SNAKEMAKE'], flush=True)")
    gone.wait()
    late = process("claims.end_with_snakemake(); print('went on')", JAMIE_SNAKEMAKE=gone.first)
    assert late.first == "" and late.wait() == -signal.SIGTERM


def test_a_snakemake_on_another_host_is_not_looked_for():
    away = process("claims.end_with_snakemake(); print('went on')", JAMIE_SNAKEMAKE="node7 1 pid:[1]")
    assert away.first == "went on" and away.wait() == 0
