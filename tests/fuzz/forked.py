"""One input in a process of its own: what becomes of it, be it a crash or a loop without end."""

from __future__ import annotations

import contextlib
import io
import logging
import os
import pickle
import resource
import select
import signal
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import psutil

ACCEPTED, CLEAR, OTHER, CRASH, HANG = "accepted", "one clear error", "other exception", "crash", "hang"
PARTIAL, DIFFERENT, UNREADABLE = "partial output", "accepted, but different", "accepted, no plain read"
OUTCOMES = (ACCEPTED, CLEAR, UNREADABLE, OTHER, CRASH, HANG, PARTIAL, DIFFERENT)
WORST = (OTHER, CRASH, HANG, PARTIAL, DIFFERENT)  # what should not be

LIMIT_S = 30.0
MEMORY_BYTES = 4 << 30  # beyond what the process already has


@dataclass(frozen=True)
class Outcome:
    """What became of an input: one of ``OUTCOMES``, and in words what was said."""

    kind: str
    said: str = ""


def outcome_of(read: Callable[[Callable[[Outcome], None]], Outcome]) -> Outcome:
    """Run ``read`` in a fork of this process.

    Parameters
    ----------
    read
        Returns the outcome. It may tell one earlier by the function that it is given; that one holds where
        what it does after ends the process.
    """
    told, tell = os.pipe()
    child = os.fork()
    if child == 0:
        _in_child(read, told, tell)
    os.close(tell)
    content, status = _wait(child, told)
    os.close(told)
    found = _last(content)
    if status is None:
        return found or Outcome(HANG, f"no end in {LIMIT_S:g} s")
    if os.WIFSIGNALED(status):
        return found or Outcome(CRASH, signal.Signals(os.WTERMSIG(status)).name)
    return found or Outcome(CRASH, f"ended with {os.waitstatus_to_exitcode(status)}")


def _in_child(read, told: int, tell: int) -> None:
    os.close(told)
    with contextlib.suppress(ValueError):  # the limit may be lower already
        most = psutil.Process().memory_info().vms + MEMORY_BYTES
        resource.setrlimit(resource.RLIMIT_AS, (most, most))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    logging.disable(logging.NOTSET)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.dup2(nowhere, 2)
    try:
        outcome = read(lambda early: os.write(tell, pickle.dumps(early)))
    except BaseException as error:
        outcome = Outcome(OTHER, in_words(error))
    os.write(tell, pickle.dumps(outcome))
    os._exit(0)


def in_words(error: BaseException) -> str:
    """An exception and the place of the package that it passed last."""
    frames = traceback.extract_tb(error.__traceback__)
    own = [f"{Path(frame.filename).name}:{frame.lineno}" for frame in frames if "jamie" in frame.filename]
    return f"{type(error).__name__}: {str(error)[:300]} ({own[-1] if own else 'elsewhere'})"


def _wait(child: int, told: int) -> tuple[bytes, int | None]:
    """What the child told, and how it ended; None: it was killed."""
    content, end = b"", time.monotonic() + LIMIT_S
    while (left := end - time.monotonic()) > 0:
        if select.select([told], [], [], left)[0]:
            part = os.read(told, 1 << 16)
            if not part:
                return content, os.waitpid(child, 0)[1]
            content += part
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return content, None


def _last(content: bytes) -> Outcome | None:
    """The last of the outcomes that were told whole."""
    stream, found = io.BytesIO(content), None
    while stream.tell() < len(content):
        try:
            found = pickle.load(stream)
        except (EOFError, pickle.UnpicklingError):
            break
    return found
