"""One Slurm for all tests of this folder."""

import pytest

from slurm import cluster as slurm


@pytest.fixture(scope="session")
def cluster(tmp_path_factory):
    """A started `slurm.Cluster` with two GPUs, which are none; where none can be, the reason."""
    if reason := slurm.why_not():
        pytest.skip(reason)
    started = slurm.Cluster(tmp_path_factory.mktemp(slurm.FOLDER))
    try:
        started.start()
        yield started
    finally:
        started.stop()
