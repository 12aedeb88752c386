"""A disk that takes no more ends a job with a sentence, and leaves nothing torn."""

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

from jamie.jobs import disk
from shared.processes import PACKAGE

WRITERS = {
    "table": "import pandas as pd; io.write_table('out/a.tsv', pd.DataFrame(big))",
    "json": "io.write_json('out/a.json', {'x': big})",
    "h5mu": "import anndata; io.write_h5mu('out/a.h5mu', io.together({'a': anndata.AnnData(big)}))",
    "array": """
with io.atomic('out/b.h5mu') as path:
    h5py.File(path, 'w').close()
    io.append_array(path, 'm', big.shape, lambda rows: big[rows])
""",
    "safetensors": """
from safetensors.numpy import save_file
with io.atomic('out/model') as path:
    path.mkdir()
    save_file({'a': big}, path / 'weights.safetensors')
""",
    "checkpoint": """
from jamie.model.checkpoint import Checkpoint
Checkpoint('out/checkpoint.pt', '', 0).save(lambda: {'a': big.tolist(), 'epoch': 0})
""",
}
JOB = """
import resource, types
from pathlib import Path
import h5py
import numpy as np
from jamie import entry, io
{limit}
big = np.random.default_rng(0).normal(size=(400, 400))
job = types.SimpleNamespace(rule="any", input=[], output=["out/a"], log=["job.log"], resources={{}})
with entry.job(job):
{body}
"""
LIMITED = "resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))"


def run_job(folder: Path, writer: str, limit: str = "") -> subprocess.CompletedProcess:
    (folder / "out").mkdir(exist_ok=True)
    body = "\n".join(f"    {line}" for line in WRITERS[writer].strip().splitlines())
    return subprocess.run(
        [sys.executable, "-c", JOB.format(limit=limit, body=body)],
        cwd=folder,
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONPATH": str(PACKAGE)},
    )


@pytest.mark.parametrize("writer", WRITERS)
def test_a_file_that_may_not_grow_is_said_and_leaves_nothing(tmp_path, writer):
    done = run_job(tmp_path, writer, LIMITED)
    assert done.returncode == 1, done.stderr
    assert "A file cannot be read or written: a file would be larger than is allowed here" in done.stderr
    assert "give the same command again" in done.stderr and "The job failed" not in done.stderr
    assert list((tmp_path / "out").iterdir()) == []


@pytest.fixture
def mounted(tmp_path):
    """A file system in memory, of a size and with options."""
    if os.geteuid() != 0:
        pytest.skip("only root may mount a file system")
    places = []

    def mount(options: str) -> Path:
        done = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", options, "tmpfs", tmp_path], capture_output=True, text=True
        )
        if done.returncode:
            pytest.skip(f"no file system can be mounted here: {done.stderr.strip()}")
        places.append(tmp_path)
        return tmp_path

    yield mount
    for place in places:
        subprocess.run(["umount", place], check=True)


@pytest.mark.parametrize("writer", ["table", "h5mu", "array", "safetensors", "checkpoint"])
def test_a_full_disk_is_said_and_leaves_nothing(mounted, writer):
    folder = mounted("size=300k")
    done = run_job(folder, writer)
    assert done.returncode == 1, done.stderr  # and not that of a crash
    assert (
        "A file cannot be read or written: the disk is full" in done.stderr and " MB are free" in done.stderr
    )
    assert list((folder / "out").iterdir()) == []


@pytest.mark.parametrize("number", disk.REASONS)
def test_every_reason_is_found_in_what_an_error_arose_from(number):
    try:
        try:
            raise OSError(number, os.strerror(number), "results/a.tsv")
        except OSError as error:
            raise RuntimeError("writing failed") from error
    except RuntimeError as error:
        explained = disk.explained(error)
    reason, change = disk.REASONS[number]
    assert reason in explained.problem and explained.change == change
    assert explained.found.startswith("results/a.tsv: ")


@pytest.mark.parametrize(
    "error", [ValueError("wrong"), FileNotFoundError(errno.ENOENT, "no such file"), OSError("no number")]
)
def test_other_errors_are_not_explained(error):
    assert disk.explained(error) is None
