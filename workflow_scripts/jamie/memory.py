"""How much memory there is, asked before a file is read that says how large it is."""

from __future__ import annotations

import resource
from pathlib import Path

from jamie.errors import InputError

CGROUP, OWN = Path("/sys/fs/cgroup"), Path("/proc/self/cgroup")  # of a container or of a job of Slurm
GB = 1e9


def available_bytes() -> int:
    """Memory that a process may still take: of the machine, of its container and of its own limit."""
    import psutil

    found = [psutil.virtual_memory().available]
    limit = resource.getrlimit(resource.RLIMIT_AS)[0]
    if limit != resource.RLIM_INFINITY:
        found.append(limit - psutil.Process().memory_info().vms)
    own = [line[4:] for line in OWN.read_text().splitlines() if line[:4] == "0::/"] if OWN.is_file() else []
    for folder in (place for name in own for place in (CGROUP / name, *(CGROUP / name).parents)):
        most = folder / "memory.max"
        if most.is_file() and most.read_text().strip().isdigit():
            found.append(int(most.read_text()))
    return max(0, min(found))


def check_fits(n_bytes: int, path: Path | str, what: str) -> None:
    """Refuse what a file says it holds, where that is more than there is memory for.

    Parameters
    ----------
    n_bytes
        As it would be in memory.
    path, what
        The file, and which part of it.

    Raises
    ------
    InputError
    """
    there = available_bytes()
    if n_bytes > there:
        raise InputError(
            f"{path} is too large for this machine, or broken",
            expected=f"{what} of at most {there / GB:.1f} GB, the memory that is free",
            found=f"{n_bytes / GB:.1f} GB, as the file says",
            change="more memory for the job, fewer cells or features in the file, or the file itself",
        )
