"""Snakemake looks for local jobs to start when one ends, and not ever more often."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
N_JOBS = 24
SNAKEFILE = f"""
include: {str(ROOT / "rules/looks.smk")!r}
onstart:
    HOOK
rule all:
    input: expand("{{i}}.done", i=range({N_JOBS}))
rule wait:
    output: "{{i}}.done"
    shell: "sleep 0.5; touch {{output}}"
"""


def looks(folder: Path, hook: str) -> int:
    """How often Snakemake looked, in a run of `N_JOBS` jobs of half a second, two at a time."""
    folder.mkdir()
    (folder / "Snakefile").write_text(SNAKEFILE.replace("HOOK", hook))
    command = [sys.executable, "-m", "snakemake", "--cores", "2", "--verbose"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert len(list(folder.glob("*.done"))) == N_JOBS
    return done.stderr.count("Ready jobs: ")


def test_the_scheduler_looks_once_for_a_job_that_ended(tmp_path):
    assert looks(tmp_path / "ours", "look_when_jobs_end()") <= N_JOBS + 2


def test_without_it_looks_multiply(tmp_path):
    """If this fails, Snakemake has mended it, and rules/looks.smk can go."""
    assert looks(tmp_path / "theirs", "pass") > 1.5 * N_JOBS


@pytest.mark.parametrize("profile", ["default", "s3", "scratch"])
def test_profiles_of_local_runs_do_not_limit_what_is_not_limited(profile):
    assert "max-jobs" not in (ROOT / f"profiles/{profile}/config.yaml").read_text()
