"""A job keeps its outputs to itself while it writes them, and does not outlive the Snakemake that started it.

A run that is killed leaves jobs behind. On the same machine they end by themselves (`end_with_snakemake`),
and whoever writes the same files next waits for that; on a cluster the next run cancels them
(`jamie.jobs.runs`), and one that was still in the queue finds its run gone and does nothing.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import logging
import os
import select
import signal
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from jamie.errors import InputError
from jamie.io import remove_leftovers
from jamie.jobs import runs

log = logging.getLogger(__name__)
WAIT_S = 60  # for another job on this machine to end
END_S = 10  # for this one, from the moment it was asked to


@contextmanager
def claimed(outputs: Sequence[str | Path]) -> Iterator[None]:
    """Hold these outputs of a job, and clear away what writers that were killed have left of them.

    Raises
    ------
    InputError
        Another job writes them, or the run this job belongs to has ended.
    """
    end_with_snakemake()
    run = os.environ.get("JAMIE_RUN", "")
    if run and (runs.FOLDER / "runs").is_dir() and not runs.is_going(run):
        raise InputError(
            "This job is of a run that has ended",
            expected=f"run {run} to be going",
            found="that it is not: it was killed, and another has begun",
            change="nothing: the run that is going does this job itself",
        )
    if not outputs:
        yield
        return
    name = hashlib.sha256(os.fspath(outputs[0]).encode()).hexdigest()[:24]
    path = runs.FOLDER / "claims" / f"{name}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "a+") as handle:
        _take(handle, outputs[0], run)
        for output in outputs:
            remove_leftovers(output)
        try:
            yield
        finally:
            handle.truncate(0)  # nobody's; it is not removed, as another may be waiting for it


def _take(handle, output: str | Path, run: str) -> None:
    """Lock a claim, wait for its holder to end, and enter this job as the new one."""
    end, told = time.monotonic() + WAIT_S, False
    while not _locked(handle):
        if time.monotonic() > end:
            raise _held_by(_holder(handle), output)
        if not told:
            log.info("another job still writes %s: waiting for it to end", output)
            told = True
        time.sleep(0.2)
    before, own = _holder(handle), runs.here()
    # the lock tells of other hosts on some shared file systems only
    if before and before["host"] != own["host"] and before["run"] != run and runs.is_going(before["run"]):
        raise _held_by(before, output)
    slurm = {"slurm": os.environ.get("SLURM_JOB_ID"), "slurm_name": os.environ.get("SLURM_JOB_NAME")}
    handle.truncate(0)
    json.dump(own | {"run": run} | slurm, handle)
    handle.flush()


def _locked(handle) -> bool:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:  # a file system without locks: what is written in the file has to do
        log.info("%s: no locks on this file system", handle.name)
    return True


def _holder(handle) -> dict:
    handle.seek(0)
    try:
        return json.loads(handle.read() or "{}")
    except ValueError:  # its writer was killed, or is about to end
        return {}


def _held_by(holder: dict, output: str | Path) -> InputError:
    where = f"process {holder.get('pid')} on {holder.get('host')}"
    where += f", Slurm job {holder['slurm']}" if holder.get("slurm") else ""
    return InputError(
        f"{output} is being written by another job",
        expected="one job at a time to write a file",
        found=where,
        change=f"wait for that job or end it ({'scancel' if holder.get('slurm') else 'kill'}), "
        "then give the same command again",
    )


def end_with_snakemake() -> None:
    """End this process when the Snakemake that started it is gone: first asked to, then made to."""
    host, pid, pids = os.environ.get("JAMIE_SNAKEMAKE", "  ").split(" ")
    own = runs.here()
    if (host, pids) != (own["host"], own["pids"]):
        return  # started by hand, or where that process cannot be seen
    try:
        snakemake = os.pidfd_open(int(pid))
    except ProcessLookupError:
        _end()
        return
    threading.Thread(target=_follow, args=[snakemake], daemon=True).start()


def _follow(snakemake: int) -> None:
    select.select([snakemake], [], [])  # readable once the process has ended
    _end()
    time.sleep(END_S)
    os.kill(os.getpid(), signal.SIGKILL)


def _end() -> None:
    log.error("\nThe Snakemake that started this job is gone, so it ends: the next run does it anew.\n")
    os.kill(os.getpid(), signal.SIGTERM)
