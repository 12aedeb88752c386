"""Which runs of the workflow are going in a folder, so that one that was killed is in nobody's way.

Snakemake locks a folder by files, which a process that is killed leaves behind. Each run therefore also holds
a lock of the operating system, which ends with the process, and registers under ``.snakemake/jamie/runs``.
Two variables tell jobs whose they are: ``JAMIE_RUN``, the run; ``JAMIE_SNAKEMAKE``, the process to end with.
"""

from __future__ import annotations

import atexit
import fcntl
import getpass
import os
import shutil
import socket
import subprocess
import time
from pathlib import Path

from jamie.io import read_json, write_json

FOLDER = Path(".snakemake/jamie")
LOCKS = Path(".snakemake/locks")  # those of Snakemake
CANCEL_S = 180  # Slurm kills a job that does not end within KillWait, by default 30 s


def here() -> dict:
    """This process: host, process id, and the namespace in which that is one."""
    return {"host": socket.gethostname(), "pid": os.getpid(), "pids": os.readlink("/proc/self/ns/pid")}


def start(main: bool) -> list[str]:
    """Tell jobs whose they are; with ``main`` register a run, and clear away what dead ones have left.

    Returns
    -------
    What a user should know of it.
    """
    os.environ["JAMIE_SNAKEMAKE"] = "{host} {pid} {pids}".format(**here())
    if not main:
        return []
    (FOLDER / "runs").mkdir(parents=True, exist_ok=True)
    notices = _clear()
    run = f"{socket.gethostname()}.{os.getpid()}.{time.time_ns()}"
    write_json(_file(run), here())
    atexit.register(_file(run).unlink, missing_ok=True)
    os.environ["JAMIE_RUN"] = run
    return notices


def is_going(run: str) -> bool:
    """Whether a run is registered: it has neither ended nor been found dead."""
    return _file(run).exists()


def _file(run: str) -> Path:
    return FOLDER.absolute() / "runs" / f"{run}.json"


def _clear() -> list[str]:
    """Hold the lock of this folder; if nobody else does, forget earlier runs and their locks."""
    handle = os.open(FOLDER / "lock", os.O_RDWR | os.O_CREAT)  # kept open until this process ends
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:  # another run is going; two may, if they make different files
        fcntl.flock(handle, fcntl.LOCK_SH)
        return []
    except OSError:  # a file system without such locks: nothing is known of earlier runs
        return []
    notices = _forget_dead()
    fcntl.flock(handle, fcntl.LOCK_SH)
    return notices


def _forget_dead() -> list[str]:
    earlier = {path: read_json(path) for path in sorted((FOLDER / "runs").glob("[!.]*.json"))}
    elsewhere = sorted({run["host"] for run in earlier.values()} - {socket.gethostname()})
    locks = list(LOCKS.glob("*.lock"))
    if locks and elsewhere:  # not every shared file system passes locks on to other hosts
        return [
            f"This folder is locked by a run that was started on {', '.join(elsewhere)}. If it is not going "
            "any more, repeat the command once with --unlock (make report ARGS=--unlock)."
        ]
    for path in earlier:
        path.unlink(missing_ok=True)
    if not locks or not earlier:
        return []
    shutil.rmtree(LOCKS)
    return ["An earlier run in this folder was killed. Its lock is removed; what it had finished is kept."]


def cancel_earlier() -> list[str]:
    """Cancel jobs that dead runs have left on a Slurm cluster; returns what a user should know of it."""
    left = {}
    for path in sorted((FOLDER / "claims").glob("[!.]*.json")):
        holder = read_json(path) if path.stat().st_size else {}
        if holder.get("slurm") and holder["run"] and not is_going(holder["run"]):
            left[path] = holder
    if not left:
        return []
    jobs = sorted({holder["slurm"] for holder in left.values()})
    names = sorted({holder["slurm_name"] for holder in left.values()})  # also of those that wait in the queue
    if shutil.which("scancel") is None:
        return [f"Jobs of an earlier run may still be on the cluster: scancel {' '.join(jobs)}"]
    own = f"--user={getpass.getuser()}"
    for command in (["scancel", *jobs], *(["scancel", own, f"--name={name}"] for name in names)):
        subprocess.run(command, check=False, capture_output=True)
    end = time.monotonic() + CANCEL_S
    while (queued := _queued(names)) and time.monotonic() < end:
        time.sleep(2)
    if queued:
        return [f"Jobs of an earlier run do not end: {' '.join(queued)}"]
    for path in left:
        path.unlink(missing_ok=True)
    return [f"Jobs that an earlier run had left on the cluster were cancelled: {' '.join(jobs)}"]


def _queued(names: list[str]) -> list[str]:
    """Ids of own jobs of these names that wait, run or end; the names, where Slurm does not answer."""
    command = ["squeue", "--me", "--noheader", "--format=%i", f"--name={','.join(names)}"]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    return names if done.returncode else done.stdout.split()
