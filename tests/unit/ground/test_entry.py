"""The frame of every job: what its log ends with."""

import json
import platform
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from jamie import InputError, entry


def job_of(folder: Path) -> SimpleNamespace:
    """What Snakemake gives to a script, as far as the frame needs it."""
    return SimpleNamespace(
        rule="any",
        input=[],
        output=[],
        log=[str(folder / "job.log")],
        resources={"mem_mb": 700, "runtime": 10, "tmpdir": "/"},
    )


def test_log_of_a_job_ends_with_what_it_used_and_asked_for(tmp_path, quiet_logging, capsys):
    with entry.job(job_of(tmp_path)):
        entry.log.info("at work")
    first, middle, last = (tmp_path / "job.log").read_text().splitlines()
    assert first == f"On {platform.node()}, with 700 MB and 10 min."
    assert middle == "at work" and last.startswith(entry.USAGE)
    used = json.loads(last.removeprefix(entry.USAGE))
    assert used["cpu_s"] > 0 and used["peak_mb"] > 50
    assert used["mem_mb"] == 700 and used["runtime"] == 10
    assert entry.USAGE not in capsys.readouterr().err  # of use in the file alone


@pytest.mark.parametrize(
    "error", [InputError("wrong", expected="a", found="b", change="c"), ValueError("broken")]
)
def test_log_of_a_job_that_failed_ends_with_the_error(tmp_path, quiet_logging, error):
    with pytest.raises((SystemExit, ValueError)), entry.job(job_of(tmp_path)):
        raise error
    text = (tmp_path / "job.log").read_text()
    assert str(error) in text and entry.USAGE not in text


def test_peak_is_that_of_the_process_and_not_of_the_larger_one_that_started_it():
    """By exec, a process inherits the peak that `getrusage` reports."""
    large = np.ones(50_000_000)  # 400 MB
    code = "from jamie import entry; x = bytearray(b'x') * 100_000_000; del x; print(entry.peak_mb())"
    root = Path(entry.__file__).parents[1]
    done = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True)
    assert len(large) and 100 < float(done.stdout) < 250


def test_cpu_time_includes_that_of_processes_that_were_waited_for():
    before = entry.cpu_s()
    subprocess.run([sys.executable, "-c", "sum(range(20_000_000))"], check=True)
    assert entry.cpu_s() > before + 0.05
