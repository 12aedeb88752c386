"""Attempts at a method: which may be repeated, and what is recorded when the last one has failed.

Under ``.snakemake/jamie/attempts`` lies one small file for each rule of a method, which is no output of any:

- ``failures``: how often the rule failed for good. A parameter of the rule, so that the next run tries again.
- ``started``: the attempt that runs, or was killed: a killed process cannot say so.
- ``failed``: the record of the last failure; null once an attempt has succeeded.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from jamie import contract, io
from jamie.errors import InputError
from jamie.jobs import disk

# environment variables that Snakemake sets when it begins: attempts at each job, and what tells runs apart
ALLOWED, RUN = "JAMIE_ATTEMPTS", "JAMIE_RUN"
LONGEST_REASON = 400  # characters; the log has all
# what more memory, or another device, may mend: memory of the host, memory of a GPU, a GPU that is gone
AGAIN = ("MemoryError", "OutOfMemoryError", "AcceleratorError")
AGAIN_WORDS = ("can't allocate memory", "CUDA error")


def allowed() -> float:
    """How many attempts there are at a job; infinity where nobody said (Snakemake's --no-hooks)."""
    return float(os.environ.get(ALLOWED) or "inf")


def state(path: str | Path) -> dict:
    """What is known of a rule of a method: ``failures``, ``started``, ``failed``."""
    found = io.read_json(path) if Path(path).exists() else {}
    return {"failures": 0, "started": None, "failed": None} | found


def unended(path: str | Path) -> int:
    """Number of the attempt of this run that began last and did not say how it ended; 0: there is none."""
    started = state(path)["started"]
    return started["attempt"] if started and started["run"] == os.environ.get(RUN) else 0


@dataclass
class Attempt:
    """One attempt of a job of a method."""

    path: Path
    number: int
    about: dict  # rule, dataset, scenario, method, seed, log, mem_mb, runtime

    @classmethod
    def of(cls, snakemake) -> Attempt | None:
        """The attempt that a script is; None where the rule is no method's, and may not fail."""
        path = getattr(snakemake, "params", {}).get("attempts")
        if path is None:
            return None
        about = {name: snakemake.wildcards[name] for name in ("dataset", "scenario", "method")}
        about |= {"seed": int(snakemake.wildcards.seed), "rule": snakemake.rule, "log": snakemake.log[0]}
        about |= {name: snakemake.resources.get(name) for name in ("mem_mb", "runtime")}
        return cls(Path(path), int(snakemake.resources.attempt), about)

    def begin(self) -> dict | None:
        """Note that the attempt begins; or the record of a failure, where the last allowed one was killed.

        Snakemake then makes one attempt more than are allowed, for this alone (`rules/retries.smk`). A job
        that comes to it without having begun the one before was submitted with another that was killed, and
        is run.
        """
        now = state(self.path)
        killed = unended(self.path)
        if allowed() <= killed < self.number:
            started, tries = now["started"], f"attempt {killed} of {killed}"
            asked = f"with {started['mem_mb']} MB and {started['runtime']} min"
            return self._fail(f"killed (out of memory, over its time, or by hand) at {tries}, {asked}", now)
        asked = {name: self.about[name] for name in ("mem_mb", "runtime")}
        asked |= {"attempt": self.number, "run": os.environ.get(RUN)}
        io.write_json(self.path, now | {"started": asked, "failed": None})
        return None

    def fail(self, error: Exception) -> dict | None:
        """The record of a failure; None where it is none of the method's, or another attempt may mend it."""
        kinds = {kind.__name__ for kind in type(error).__mro__}
        again = bool(kinds & set(AGAIN)) or any(words in str(error) for words in AGAIN_WORDS)
        if again and self.number < allowed():
            return None
        # a full disk, a file that is gone: what the other methods meet as well
        if isinstance(error, OSError) or disk.explained(error):
            io.write_json(self.path, state(self.path) | {"started": None})  # it was not killed
            return None
        said = " ".join(str(error).split())
        reason = (
            said if isinstance(error, InputError) else f"{type(error).__name__}: {said}".removesuffix(": ")
        )
        if len(reason) > LONGEST_REASON:
            reason = reason[: LONGEST_REASON - 2] + " …"
        return self._fail(reason, state(self.path))

    def _fail(self, reason: str, now: dict) -> dict:
        about = {name: value for name, value in self.about.items() if name not in ("mem_mb", "runtime")}
        record = {"status": contract.FAILED, "reason": reason, **about, "embeds": False, "imputes": False}
        io.write_json(self.path, {"failures": now["failures"] + 1, "started": None, "failed": record})
        return record

    def end(self) -> None:
        """Note that the attempt has succeeded; of a rule that never failed nothing is left."""
        now = state(self.path)
        if now["failures"]:
            io.write_json(self.path, now | {"started": None, "failed": None})
        else:
            self.path.unlink(missing_ok=True)
