"""Which GPU a job computes on: one of its own, and the CPU where a GPU's memory does not do.

On a cluster the scheduler allots GPUs. On one machine nobody does: every job sees all of them and takes the
first. Here each job that asked for a GPU takes one that no other job has, by a lock that the kernel frees
when the process ends, however it ends; a job that asked for none sees none, as on a cluster.
"""

from __future__ import annotations

import logging
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TextIO, TypeVar

from jamie.errors import InputError

log = logging.getLogger(__name__)

VISIBLE = "CUDA_VISIBLE_DEVICES"
# set in jobs of a scheduler
SCHEDULED = ("SLURM_JOB_ID", "PBS_JOBID", "LSB_JOBID", "SGE_TASK_ID", "FLUX_JOB_ID")
LISTED = re.compile(
    r"^GPU \d+: (?P<gpu>.+) \(UUID: (?P<id>GPU-[^)]+)\)"
    r"|^ +(?P<part>MIG .+?) +Device .+UUID: (?P<mig>MIG-[^)]+)\)",
    re.MULTILINE,
)
T = TypeVar("T")
ASK_S, SMI_TIMEOUT_S = 1.0, 60


def present() -> dict[str, str]:
    """Identifier -> name of every GPU here, as ``nvidia-smi`` lists them: none where it does not run.

    A GPU that is divided (MIG) is its parts.
    """
    try:
        done = subprocess.run(
            ["nvidia-smi", "-L"], capture_output=True, text=True, timeout=SMI_TIMEOUT_S, check=False
        )
    except (FileNotFoundError, PermissionError, subprocess.TimeoutExpired):
        return {}
    found: dict[str, str] = {}
    whole = None
    for line in LISTED.finditer(done.stdout if done.returncode == 0 else ""):
        if line["id"]:
            whole, found[line["id"]] = line["id"], line["gpu"]
        else:
            found.pop(whole, None)
            found[line["mig"]] = line["part"]
    return found


def visible() -> dict[str, str]:
    """Those of `present` that ``CUDA_VISIBLE_DEVICES`` leaves, in its order; all where it is not set."""
    gpus, chosen = present(), os.environ.get(VISIBLE)
    if chosen is None:
        return gpus
    names = list(gpus)
    found = {}
    for word in filter(None, (word.strip() for word in chosen.split(","))):
        # a place in the list, or how an identifier begins; as CUDA does, stop at one that there is not
        by_place = names[int(word) : int(word) + 1] if word.isdecimal() else []
        own = by_place or [name for name in names if name.startswith(word)]
        if len(own) != 1:
            break
        found[own[0]] = gpus[own[0]]
    return found


@contextmanager
def allotted(asked: int) -> Iterator[None]:
    """Inside, CUDA shows one GPU that no other job of this user has; none, where a job ``asked`` for none.

    Waits while all of them are taken. Must be entered before CUDA is used for the first time. In a job of a
    scheduler that shows one GPU, or none, nothing is done.
    """
    scheduled = any(name in os.environ for name in SCHEDULED)
    gpus = visible() if asked else {}
    if (asked and not gpus) or (scheduled and len(gpus) < 2):
        yield
        return
    before = os.environ.get(VISIBLE)
    with ExitStack() as stack:
        own = stack.enter_context(_free_one(list(gpus))) if asked else ""
        os.environ[VISIBLE] = own
        if own:
            log.info("GPU: %s (%s)", gpus[own], own)
        try:
            yield
        finally:
            os.environ.pop(VISIBLE)
            os.environ |= {} if before is None else {VISIBLE: before}


@contextmanager
def _free_one(gpus: list[str]) -> Iterator[str]:
    """The first of these that no job holds; it is held until the end."""
    folder, told = _folder(), False
    while True:
        for gpu in gpus:
            with open(folder / f"{gpu.replace('/', '_')}.lock", "a") as file:
                if _lock(file):
                    yield gpu
                    return
        if not told:
            log.info("Waiting for a GPU: other jobs have all %d of them", len(gpus))
            told = True
        time.sleep(ASK_S)


def _folder() -> Path:
    """Where the locks of this machine are: of each user alone, as nobody may write what is another's."""
    folder = Path(tempfile.gettempdir()) / f"jamie-gpus-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    if folder.is_symlink() or folder.stat().st_uid != os.getuid():
        raise InputError(
            "The folder of locks that tell which GPU is free is not yours",
            expected=f"{folder}, made by this workflow",
            found="a link" if folder.is_symlink() else f"a folder of user {folder.stat().st_uid}",
            change="remove it, or set TMPDIR",
        )
    return folder


def _lock(file: TextIO) -> bool:
    import fcntl

    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def or_on_cpu(compute: Callable[[dict], T], options: dict) -> T:
    """``compute(options)``, and anew on the CPU where a GPU has too little memory for it.

    Only where the option ``device`` is ``auto``, its default: with ``cuda`` the error stands.
    """
    try:
        return compute(options)
    except RuntimeError as error:  # torch's own is one; torch is not imported for methods that do without
        torch = sys.modules.get("torch")
        too_large = torch is not None and isinstance(error, torch.OutOfMemoryError)
        if not too_large or options.get("device", "auto") != "auto":
            raise
        log.warning("%s\nThe GPU has too little memory: anew, on the CPU.", error)
    torch.cuda.empty_cache()  # outside of the clause above, which holds what was computed
    return compute(options | {"device": "cpu"})
