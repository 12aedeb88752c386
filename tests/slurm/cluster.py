"""A real Slurm of one node on loopback, without systemd: munged, slurmctld and slurmd, all in one folder."""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pandas as pd

PACKAGES = ("slurmctld", "slurmd", "slurm-client", "munge")  # of Debian and Ubuntu
PROGRAMS = ("slurmctld", "slurmd", "sbatch", "squeue", "scontrol", "munged")
# The executor drops SLURM_CONF before it starts the inner step, which finds its configuration here alone.
FIXED = Path("/etc/slurm/slurm.conf")
FOLDER = "slurm_of_jamie"  # how the name of a cluster's folder begins
PORT = 16817  # the first of two
CONFIG = """
ClusterName=test
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={port}
SlurmdPort={next_port}
CommunicationParameters=NoInAddrAny,NoCtldInAddrAny
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
CredType=cred/munge
SlurmUser=root
SlurmdUser=root
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
# what a job takes is looked at once a second, and one that takes more than it asked for is killed
JobAcctGatherType=jobacct_gather/linux
JobAcctGatherFrequency=task=1
JobAcctGatherParams=OverMemoryKill
AccountingStorageType=accounting_storage/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
SchedulerType=sched/backfill
SchedulerParameters=sched_interval=1,bf_interval=1,sched_min_interval=0,batch_sched_delay=0
ReturnToService=2
MpiDefault=none
SwitchType=switch/none
KillWait=2
OverTimeLimit=0
# jobs that have ended stay on the list for ten hours: the tests read it
MinJobAge=36000
SlurmctldTimeout=30
SlurmdTimeout=30
InactiveLimit=0
Waittime=0
GresTypes=gpu
NodeName={host} NodeAddr=127.0.0.1 CPUs={cores} RealMemory={memory_mb} Gres=gpu:test:{gpus} State=UNKNOWN
PartitionName=cpu Nodes={host} Default=YES MaxTime=INFINITE State=UP DefMemPerCPU=500
PartitionName=gpu Nodes={host} MaxTime=INFINITE State=UP DefMemPerCPU=500
"""


def why_not() -> str:
    """Why no Slurm can be started here; empty where one can."""
    if os.geteuid():
        return "a Slurm can only be started by root"
    if missing := [name for name in PROGRAMS if shutil.which(name) is None]:
        return f"no {', '.join(missing)}: apt-get install --no-install-recommends {' '.join(PACKAGES)}"
    if os.path.lexists(FIXED) and not _left_behind():
        return f"{FIXED} is there: this machine is part of a cluster, or such tests run on it now"
    return ""


def _left_behind() -> bool:
    """Whether the fixed configuration is that of such tests, whose Slurm is no longer there."""
    if not (FIXED.is_symlink() and FIXED.readlink().parent.name.startswith(FOLDER)):
        return False
    pid_file = FIXED.readlink().parent / "slurmctld.pid"
    return not (pid_file.exists() and Path("/proc", pid_file.read_text().strip()).exists())


class Cluster:
    """The daemons, from `start` to `stop`, which ends exactly the processes that were started."""

    def __init__(self, folder: Path, gpus: int = 2):
        self.folder, self.gpus = folder, gpus
        self.host = socket.gethostname().split(".")[0]
        self.config = folder / "slurm.conf"

    def start(self) -> None:
        """Start the daemons, and wait until the node takes jobs."""
        for name in ("state", "spool"):
            (self.folder / name).mkdir(parents=True)
        self.folder.chmod(0o755)  # munged refuses a socket below a folder that others may write to
        self._write_configuration()
        FIXED.parent.mkdir(exist_ok=True)
        FIXED.unlink(missing_ok=True)  # `why_not` has looked at it
        FIXED.symlink_to(self.config)
        munged = [f"--{what}={self.folder}/munge.{what}" for what in ("socket", "log-file", "seed-file")]
        munged += [f"--key-file={self.folder}/munge.key", f"--pid-file={self.folder}/munged.pid"]
        _run("munged", "--force", *munged)
        _run("slurmctld", "-f", self.config, "-i")
        _run("slurmd", "-f", self.config, "-N", self.host)
        self._wait(60, lambda: _run("sinfo", "-h", "-p", "cpu", "-o", "%T", check=False).strip() == "idle")

    def _wait(self, seconds: float, done: Callable[[], bool]) -> None:
        """Wait until it is done, or fail with the daemons' logs."""
        deadline = time.monotonic() + seconds
        while not done():
            if time.monotonic() > deadline:
                logs = "\n".join(path.read_text()[-2000:] for path in self.folder.glob("slurm*.log"))
                raise TimeoutError(f"Slurm does not do what it should in {seconds} s:\n{logs}")
            time.sleep(0.5)

    def _write_configuration(self) -> None:
        key = self.folder / "munge.key"
        key.write_bytes(os.urandom(128))
        key.chmod(0o400)
        gpus = [self.folder / f"gpu{i}" for i in range(self.gpus)]
        for gpu in gpus:  # Slurm asks for a device file for each, here another /dev/null
            os.mknod(gpu, 0o666 | 0o020000, os.stat("/dev/null").st_rdev)
        lines = [f"NodeName={self.host} Name=gpu Type=test File={gpu}\n" for gpu in gpus]
        (self.folder / "gres.conf").write_text("".join(lines))
        total_mb = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2**20
        self.config.write_text(
            CONFIG.format(
                host=self.host,
                folder=self.folder,
                port=PORT,
                next_port=PORT + 1,
                cores=os.cpu_count(),
                memory_mb=int(0.9 * total_mb),
                gpus=self.gpus,
            )
        )

    def stop(self) -> None:
        """End the jobs that are left, then the daemons."""
        if (self.folder / "slurmctld.pid").exists() and len(left := self.jobs("PENDING", "RUNNING")):
            _run("scancel", *left["JobId"])
            self._wait(60, lambda: not len(self.jobs("RUNNING", "COMPLETING")))
        for name in ("slurmd", "slurmctld", "munged"):
            end(self.folder / f"{name}.pid")
        if FIXED.is_symlink() and FIXED.readlink() == self.config:
            FIXED.unlink()

    def jobs(self, *states: str) -> pd.DataFrame:
        """All jobs so far, or those in these states: a row each, in Slurm's words, with `name` and `of`.

        They are what the executor writes into a job's comment: rule and wildcards; or group and rules.
        """
        lines = _run("scontrol", "show", "jobs", "--oneliner").splitlines()
        rows = [dict(re.findall(r"(\w+)=(\S*)", line)) for line in lines if line.startswith("JobId=")]
        table = pd.DataFrame(rows, columns=sorted(set().union(*rows)) or ["JobId", "JobState", "Comment"])
        comments = table["Comment"].str.extract(r"^rule_(?P<name>.*?)(?:_wildcards_(?P<of>.*))?$")
        table = table.join(comments)
        return table[table["JobState"].isin(states)] if states else table

    def pids(self, job_id: str) -> list[int]:
        """The processes of a running job."""
        lines = _run("scontrol", "listpids", job_id, check=False).splitlines()[1:]
        return [int(line.split()[0]) for line in lines if int(line.split()[0]) > 0]


def end(pid_file: Path) -> None:
    """End the process of that file; kill it where it does not within ten seconds."""
    if not pid_file.exists():
        return
    pid = int(pid_file.read_text())
    for sign, seconds in ((signal.SIGTERM, 10), (signal.SIGKILL, 5)):
        deadline = time.monotonic() + seconds
        try:
            os.kill(pid, sign)
            while time.monotonic() < deadline:
                os.kill(pid, 0)
                time.sleep(0.1)
        except ProcessLookupError:
            return
    raise TimeoutError(f"Process {pid} of {pid_file.name} does not end")


def _run(*command: str | Path, check: bool = True) -> str:
    return subprocess.run(command, check=check, capture_output=True, text=True).stdout
