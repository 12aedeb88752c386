"""What a disk that is full, read-only or out of quota does to a job, in words.

Libraries say it in ways of their own: HDF5 by RuntimeError, safetensors by its own error. After a write that
failed, HDF5 may crash the interpreter as soon as its objects are freed.
"""

from __future__ import annotations

import errno
import re
import shutil
from pathlib import Path

from jamie.errors import InputError

ROOM = "make room, or run in a folder elsewhere (--directory FOLDER); then give the same command again"
ALLOW = "allow writing there, or run in a folder elsewhere (--directory FOLDER)"
ELSEWHERE = "run in a folder on another disk (--directory FOLDER), and have this one looked at"
REASONS = {
    errno.ENOSPC: ("the disk is full", ROOM),
    errno.EDQUOT: ("the quota of disk space is used up", ROOM),
    errno.EFBIG: ("a file would be larger than is allowed here (ulimit -f)", ROOM),
    errno.EROFS: ("the disk is read-only", ALLOW),
    errno.EACCES: ("it is not permitted", ALLOW),
    errno.EPERM: ("it is not permitted", ALLOW),
    errno.EIO: ("the disk reports an error of its own", ELSEWHERE),
}
NUMBER = re.compile(r"(?:\[Errno |errno = |os error )(\d+)")


def explained(error: BaseException) -> InputError | None:
    """An error for the user, if the disk is why a job failed; else None.

    Parameters
    ----------
    error
        Whatever was raised; what it arose from counts too.
    """
    link: BaseException | None = error
    while link is not None:
        number = _number(link)
        if number in REASONS:
            reason, change = REASONS[number]
            path = getattr(link, "filename", None)
            return InputError(
                f"A file cannot be read or written: {reason}",
                expected=f"to read and write in {Path.cwd()}",
                found=f"{f'{path}: ' if path else ''}{type(link).__name__}: {_first_line(link)}; "
                f"{shutil.disk_usage('.').free / 2**20:,.0f} MB are free",
                change=change,
            )
        link = link.__cause__ or link.__context__
    return None


def _number(error: BaseException) -> int | None:
    if isinstance(error, OSError) and error.errno is not None:
        return error.errno
    match = NUMBER.search(str(error))
    return int(match[1]) if match else None


def _first_line(error: BaseException) -> str:
    return (str(error).splitlines() or [""])[0][:200]
