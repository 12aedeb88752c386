"""What every entry script needs: a log, a seed, threads, an account of how it ran, and readable errors."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import platform
import resource
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from jamie.data import inputs
from jamie.data.sources import brought, of_dataset
from jamie.errors import InputError
from jamie.evaluation import roles
from jamie.io import atomic, read_json, write_json
from jamie.jobs import checksums, claims, disk, gpus
from jamie.report import failures

PACKAGE = Path(__file__).parent
log = logging.getLogger("jamie")
USAGE = "Used: "  # how the last line of a log begins
REFUSED = "Not tried again: the input, the file or the config that is named above has to change first."


@contextmanager
def job(snakemake, judges: Iterable[str] = ()) -> Iterator[None]:
    """Log to the rule's log file and to stderr; an InputError ends the job with its message alone.

    Inputs are held against their checksums before they are read and outputs get theirs
    (`jamie.jobs.checksums`); no other job writes these at the same time (`jamie.jobs.claims`).
    The first line of the log file says where the job runs and what was asked for it, should it be killed. The
    last line says what a job that succeeded used, for ``make benchmark-workflow``, or that its input was
    refused, for ``rules/retries.smk``.
    A method that fails, and ``judges``, are explained in `jamie.report.failures`.
    """
    path, again = Path(snakemake.log[0]), snakemake.resources.get("attempt", 1) > 1
    if not again:  # what a killed attempt said stays
        path.unlink(missing_ok=True)  # an earlier job may still write into it
    handlers = [logging.FileHandler(path, mode="a"), logging.StreamHandler(sys.stderr)]
    # features of two modalities may share a name; within one, the check of the dataset sees to it
    warnings.filterwarnings("ignore", message="var_names are not unique", module="mudata")
    logging.basicConfig(level=logging.INFO, format="%(message)s", handlers=handlers, force=True)
    if about := getattr(getattr(snakemake, "params", None), "about", {}):
        roles.add_labels(about["labels"], about["no_pairs"])
    asked = snakemake.resources
    _note(handlers[0], f"On {platform.node()}, with {asked.get('mem_mb')} MB and {asked.get('runtime')} min.")
    try:
        with claims.claimed(snakemake.output):
            checksums.check(snakemake.input)
            checksums.forget(snakemake.output)
            with failures.recorded(snakemake, judges), gpus.allotted(asked.get("gpu", 0)):
                yield
            checksums.record(snakemake.output, rule=snakemake.rule, log=snakemake.log[0])
    except InputError as error:
        log.error("\nError: %s\n", error)
        _note(handlers[0], REFUSED)
        sys.exit(1)
    except Exception as error:
        if explained := disk.explained(error):
            log.error("\nError: %s\n", explained)
            os._exit(1)  # HDF5 would crash while it frees what it could not write
        log.exception("The job failed")
        raise
    _note(handlers[0], f"{USAGE}{json.dumps(usage(snakemake))}")


def _note(handler: logging.Handler, line: str) -> None:
    """A line for the log file alone."""
    handler.emit(logging.makeLogRecord({"msg": line}))


def refused(logs: Iterable[str | Path], since: float) -> bool:
    """Whether a log file, written after ``since`` (s since the epoch), is of a job that refused its input."""
    written = (log for log in map(Path, logs) if log.exists() and log.stat().st_mtime >= since)
    return any(log.read_text(errors="replace").rstrip().endswith(REFUSED) for log in written)


def sources(snakemake) -> tuple[dict, dict[str, Path]]:
    """A dataset's config entry, and where its files are (role -> path); a simulation is read as its file."""
    dataset = snakemake.params.entry
    if dataset["reader"] == "simulate":
        return dataset | {"reader": "h5mu"}, {"data": Path(snakemake.input.simulation)}
    return dataset, fetched(snakemake)


def fetched(snakemake, *keys: str) -> dict[str, Path]:
    """Role to path of the files on a job's list, wherever Snakemake put those that are in a storage.

    ``keys`` are those of the dataset's entry whose files the job reads; none: all that its parameter has.

    A download is still what it was when it was fetched.
    """
    listed, dataset = snakemake.input.files, snakemake.params.entry
    dataset = {key: dataset[key] for key in keys} if keys else dataset
    files = brought(dataset, read_json(listed), snakemake.input.get("stored", []))
    checksums.check(files.values(), together_with=[listed])
    return files


def write_inputs(snakemake, path: str, files: dict[str, Path]) -> None:
    """Write what a job read of a dataset's files (role -> path), by which `make verify` knows them again."""
    sources = {
        key.removeprefix("files."): source for key, source in of_dataset(snakemake.params.entry).items()
    }
    write_json(path, inputs.account(sources, {role: file for role, file in files.items() if role in sources}))


def usage(snakemake) -> dict[str, float]:
    """CPU time in s and peak memory in MB of a job, what its rule asked for (runtime in min), and MB it read.

    Snakemake's own benchmark looks twice a second at first, later only every 30 s: it misses peaks, and the
    end of every job.
    """
    asked = {name: snakemake.resources.get(name) for name in ("mem_mb", "runtime", "read_mb")}
    return {"cpu_s": round(cpu_s(), 2), "peak_mb": peak_mb()} | asked


def cpu_s() -> float:
    """CPU time, user and system, of this process and of those it has started and waited for, s."""
    both = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(used.ru_utime + used.ru_stime for used in both)


def peak_mb() -> float:
    """Peak resident memory of this process, MB."""
    # on Linux ru_maxrss of a process that Snakemake started is at least that of Snakemake; this is not
    status = Path("/proc/self/status")
    if status.exists():
        fields = dict(line.split(":", 1) for line in status.read_text().splitlines())
        peak_kb = float(fields["VmHWM"].removesuffix("kB"))
    else:
        peak_kb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return round(peak_kb / 1024, 1)


def use_threads(n: int) -> None:
    """Keep torch to the threads the rule was given."""
    import torch

    torch.set_num_threads(max(1, n))


class RunInfo:
    """How a job ran: for ``run_info.json``."""

    def __init__(self, *, seed: int, code: str):
        self.start = time.perf_counter()
        self.content: dict = {"seed": seed, "code": code, "packages": versions()}

    def finish(self, **more) -> dict:
        """Wall time, peak memory and whatever the method adds."""
        return {
            **_device(),
            "peak_gpu_mb": _peak_gpu_mb(),
            **self.content,
            "wall_time_s": round(time.perf_counter() - self.start, 3),
            "peak_rss_mb": peak_mb(),
            **more,
        }


def _device() -> dict[str, str | None]:
    """What was computed on; a job that never asked for a device, which would load torch, used the CPU."""
    chosen = sys.modules.get("jamie.device")
    return chosen.used() if chosen else {"device": "cpu", "gpu": None}


def _peak_gpu_mb() -> float:
    torch = sys.modules.get("torch")
    if torch is None or not torch.cuda.is_available():
        return 0.0
    return round(torch.cuda.max_memory_allocated() / 2**20, 1)


def versions() -> dict[str, str]:
    from importlib import metadata

    names = ("torch", "numpy", "scipy", "scikit-learn", "anndata", "mudata", "scanpy", "muon", "snakemake")
    return {"python": sys.version.split()[0]} | {name: metadata.version(name) for name in (*names, "optuna")}


def plan(snakefile: str, config: dict, dataset: str) -> dict:
    """The jobs that a run of one dataset consists of, done or not, as Snakemake plans them.

    Parameters
    ----------
    config
        The configuration as Snakemake merged it.

    Returns
    -------
    ``nodes``: ``id`` and ``value["rule"]`` of each job; ``edges``: job ``v`` reads what job ``u`` makes.
    """
    done = _snakemake_of(dataset, config, "all", "--snakefile", snakefile, "--forceall", "--d3dag")
    if done.returncode or not done.stdout.startswith("{"):
        raise RuntimeError(f"Snakemake could not plan the run:\n{done.stderr}{done.stdout}")
    return json.loads(done.stdout)


def write_report(snakefile: str, config: dict, dataset: str, results: list[str], page: str) -> None:
    """Snakemake's report of finished results of one dataset, as ``page`` (.html); ``config`` as in `plan`."""
    with atomic(page) as temporary:
        done = _snakemake_of(dataset, config, *results, "--snakefile", snakefile, "--report", str(temporary))
        if done.returncode or not temporary.exists():
            raise RuntimeError(f"Snakemake could not write the report:\n{done.stderr}{done.stdout}")


def _snakemake_of(dataset: str, config: dict, *arguments: str) -> subprocess.CompletedProcess:
    """Snakemake as it would run here for one dataset alone."""
    config = dict(config) | {"run": dict(config["run"]) | {"datasets": [dataset]}}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "config.json"
        write_json(path, config)
        command = [sys.executable, "-m", "snakemake", *arguments, "--cores", "1", "--configfile", str(path)]
        return subprocess.run(command, capture_output=True, text=True, check=False)


def code_digest(*parts: str) -> str:
    """Digest of modules of the package, so that editing one reruns what depends on it.

    Parameters
    ----------
    parts
        Files or folders relative to the package, such as "data/preprocess.py" or "model".
    """
    digest = hashlib.sha256()
    for part in parts:
        path = PACKAGE / part
        for file in sorted(path.rglob("*.py")) if path.is_dir() else [path]:
            digest.update(os.fspath(file.relative_to(PACKAGE)).encode() + file.read_bytes())
    return digest.hexdigest()[:16]
