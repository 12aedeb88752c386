"""A folder that cannot be written to."""

import os
import subprocess

import pytest

from shared.workflow import snakemake


@pytest.fixture
def read_only(tmp_path):
    """An empty folder that not even root can write to."""
    if os.geteuid() != 0:
        tmp_path.chmod(0o500)
        yield tmp_path
        tmp_path.chmod(0o700)
        return
    mount = ["mount", "-t", "tmpfs", "-o", "ro", "tmpfs", str(tmp_path)]
    done = subprocess.run(mount, capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f"no file system can be mounted here: {done.stderr.strip()}")
    yield tmp_path
    subprocess.run(["umount", tmp_path], check=True)


def test_a_folder_that_is_read_only_is_said_before_anything_runs(read_only):
    done = snakemake(read_only)
    assert done.returncode != 0
    assert "A file cannot be read or written: " in done.stderr and "--directory FOLDER" in done.stderr
    assert "Traceback" not in done.stderr
